"""How `python -m dashboard` starts Streamlit."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dashboard import __main__ as main
from dashboard.settings import DashboardSettings
from services.common.errors import SettingsError
from services.common.settings import load

URL = {"SMILE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def settings(**changes: str) -> DashboardSettings:
    return load(DashboardSettings, {**URL, **changes})


def test_streamlit_is_told_port_path_and_protection():
    arguments = main.arguments(settings(SMILE_DASHBOARD_PORT="8600",
                                        SMILE_DASHBOARD_BASE_PATH="/smile/"))
    assert arguments[0] == "run"
    assert arguments[1].endswith("app.py")
    assert {"--server.port=8600", "--server.baseUrlPath=smile", "--server.enableCORS=true",
            "--server.enableXsrfProtection=true", "--server.headless=true",
            "--browser.gatherUsageStats=false"} <= set(arguments)


@pytest.mark.parametrize(("changes", "url"), [
    ({}, "http://127.0.0.1:8501/_stcore/health"),
    ({"SMILE_DASHBOARD_BASE_PATH": "a/b"}, "http://127.0.0.1:8501/a/b/_stcore/health"),
    ({"SMILE_DASHBOARD_ADDRESS": "10.1.2.3"}, "http://10.1.2.3:8501/_stcore/health")])
def test_health_is_asked_where_the_server_listens(changes: dict[str, str], url: str):
    assert main.health_url(settings(**changes)) == url


def test_a_missing_setting_ends_with_its_name_and_code_2(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("SMILE_DATABASE_URL", raising=False)
    assert main.main() == 2
    assert "SMILE_DATABASE_URL" in capsys.readouterr().err


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SettingsError, match=f"SMILE_DASHBOARD_PORT={port}.*in use"):
            main.check_port(settings(SMILE_DASHBOARD_PORT=port,
                                     SMILE_DASHBOARD_ADDRESS="127.0.0.1"))
    main.check_port(settings(SMILE_DASHBOARD_PORT=port, SMILE_DASHBOARD_ADDRESS="127.0.0.1"))


def test_a_server_that_answers_is_alive_and_one_that_does_not_is_not():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/good" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        assert main.answers(f"{base}/good")
        assert not main.answers(f"{base}/bad")
        server.shutdown()
    assert not main.answers(f"{base}/good")
