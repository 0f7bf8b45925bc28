"""What `helm test` asks: each check against a server that is well, ill, or not there."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from services.common import check


class Answers(BaseHTTPRequestHandler):
    """What each path answers is set by the test."""

    paths: ClassVar[dict[str, tuple[int, str]]] = {}
    seen: ClassVar[dict[str, str | None]] = {}

    def do_GET(self) -> None:
        self.seen[self.path] = self.headers.get("Authorization")
        status, body = self.paths.get(self.path.partition("?")[0], (404, ""))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Answers.paths, Answers.seen = {}, {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


REGISTRY = "/api/2.0/mlflow/registered-models/search"


@pytest.mark.parametrize(("name", "paths", "said"), [
    ("dashboard", {"/_stcore/health": (200, "ok")}, "is well"),
    ("model-server", {"/livez": (200, ""), "/readyz": (200, "")}, "has a champion"),
    ("model-server", {"/livez": (200, ""), "/readyz": (503, "")}, "none yet"),
    ("registry", {REGISTRY: (200, '{"registered_models": [{"name": "smile"}]}')}, "smile"),
    ("registry", {REGISTRY: (200, "{}")}, "(none yet)"),
])
def test_what_is_well_is_said(name: str, paths: dict[str, tuple[int, str]], said: str, url: str,
                              capsys: pytest.CaptureFixture[str]) -> None:
    Answers.paths = paths

    assert check.main([name, url]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("name", "paths", "said"), [
    ("dashboard", {"/_stcore/health": (502, "")}, "502"),
    ("model-server", {"/livez": (503, "")}, "503"),
    ("model-server", {"/livez": (200, ""), "/readyz": (404, "")}, "404"),
    ("registry", {REGISTRY: (401, "who are you?")}, "refuses us: 401 who are you"),
    ("registry", {REGISTRY: (500, "")}, "500"),
])
def test_what_is_ill_is_said_with_exit_code_1(name: str, paths: dict[str, tuple[int, str]],
                                              said: str, url: str,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    Answers.paths = paths

    assert check.main([name, url]) == 1
    assert said in capsys.readouterr().err


def test_nobody_there_is_said_by_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["dashboard", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_it_waits_for_what_comes_later(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAUSE_S", 0.05)
    threading.Timer(0.3, Answers.paths.update, [{"/_stcore/health": (200, "ok")}]).start()

    assert check.main(["--wait", "10", "dashboard", url]) == 0


def test_mlflow_is_told_who_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers.paths = {REGISTRY: (200, "{}")}
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")

    assert check.main(["registry", url]) == 0
    assert list(Answers.seen.values()) == ["Basic YWRtaW46c2VjcmV0"]
