import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ml import contract as contracts
from ml.errors import ModelContractError
from services.common import model_contract
from services.common.errors import Unavailable
from tests.unit.small_model import make_contract


class Server(HTTPServer):
    """Answers every request with `status` and `body`, and keeps the paths asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.paths = 200, b"", []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format, *args):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def answer(**more):
    return json.dumps({**json.loads(contracts.to_json(make_contract())), **more}).encode()


def test_contract_and_version_are_the_served_models(server):
    server.body = answer(model_version="7")

    served = model_contract.served(url(server) + "/", 10.0)

    assert (served.contract, served.version) == (make_contract(), "7")
    assert model_contract.fetch(url(server), 10.0) == make_contract()
    assert server.paths == ["/contract"] * 2


def test_a_server_without_a_champion_is_unavailable(server):
    server.status = 503

    with pytest.raises(Unavailable, match=r"not ready \(HTTP 503\)"):
        model_contract.fetch(url(server), 10.0)


@pytest.mark.parametrize("body", [answer(), b"{}", b"<html>", b"\xff"])
def test_an_answer_without_a_version_is_none(server, body):
    server.body = body

    with pytest.raises(ModelContractError, match="tells no version"):
        model_contract.fetch(url(server), 10.0)


def test_a_contract_that_is_none_is_named(server):
    server.body = answer(model_version="7", step_s=-1.0)

    with pytest.raises(ModelContractError, match="not a model contract"):
        model_contract.fetch(url(server), 10.0)


def test_a_server_that_is_away_is_unavailable():
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1/contract can't be reached"):
        model_contract.fetch("http://127.0.0.1:1", 10.0)
