"""What is said while MLflow does not answer."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ml.errors import UnavailableError
from ml.quiet_mlflow import say_when_waiting
from ml.registry import CHAMPION, find_alias


class Registry(BaseHTTPRequestHandler):
    """It knows one model, without aliases."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"registered_model": {"name": "smile"}}).encode())

    def log_message(self, *_):
        """Nothing: standard error is looked at."""


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_one_line_says_what_is_waited_for_and_it_goes_on_when_that_comes(
        port, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
    uri = f"http://bob:hunter2@127.0.0.1:{port}"
    say_when_waiting("http://elsewhere")
    say_when_waiting(uri)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(find_alias("smile", CHAMPION, uri)))
    asking.start()
    told = ""
    while "waiting" not in told and asking.is_alive():
        told += capsys.readouterr().err
    with HTTPServer(("127.0.0.1", port), Registry) as server:
        threading.Thread(target=server.serve_forever).start()
        asking.join(60)
        server.shutdown()
    told += capsys.readouterr().err

    assert answers == [None]
    assert told.count("\n") == 1
    assert told.startswith(f"waiting for MLflow at http://***@127.0.0.1:{port}: ")
    assert "hunter2" not in told


def test_without_patience_nothing_is_waited_for(port, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{port}"
    say_when_waiting(uri)

    with pytest.raises(UnavailableError, match="does not answer"):
        find_alias("smile", CHAMPION, uri)
    assert capsys.readouterr().err == ""
