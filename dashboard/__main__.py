"""`python -m dashboard`: the pages, with /metrics and /healthz beside them."""

import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from streamlit.web import cli

from dashboard import charts
from dashboard.settings import DashboardSettings
from services.common import health
from services.common.errors import SettingsError
from services.common.settings import load

APP = Path(__file__).with_name("app.py")
PROBE_S = 5.0
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def main() -> int:
    """Run until a signal; the exit code is 2 for a bad setting."""
    try:
        settings = load(DashboardSettings)
        check_port(settings)
        with ExitStack() as stack:
            heartbeat = health.Heartbeat()
            stack.enter_context(health.serve(settings.metrics_port, heartbeat))
            _in_background(_warm_up)
            _in_background(_probe_for_ever, health_url(settings), heartbeat)
            cli.main(arguments(settings), standalone_mode=False)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def check_port(settings: DashboardSettings) -> None:
    """Raise SettingsError if the pages can't be served where the settings say."""
    host, port = settings.dashboard_address, settings.dashboard_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror).split(" (")[0]
        raise SettingsError(f"SMILE_DASHBOARD_PORT={port} on {host}: {why}; set another port or "
                            "SMILE_DASHBOARD_ADDRESS") from error


def arguments(settings: DashboardSettings) -> list[str]:
    """The command line for streamlit; the rest is in `.streamlit/config.toml`."""
    options = {
        "server.port": settings.dashboard_port,
        "server.address": settings.dashboard_address,
        "server.baseUrlPath": settings.base_path,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "browser.gatherUsageStats": "false",
        "logger.level": settings.log_level.lower(),
    }
    return ["run", str(APP), *(f"--{name}={value}" for name, value in options.items())]


def health_url(settings: DashboardSettings) -> str:
    """Streamlit's own health endpoint, as seen from this machine."""
    host = LOOPBACK.get(settings.dashboard_address, settings.dashboard_address)
    path = f"/{settings.base_path}" if settings.base_path else ""
    return f"http://{host}:{settings.dashboard_port}{path}/_stcore/health"


def _in_background(work: Callable[..., None], *values: object) -> None:
    threading.Thread(target=work, args=values, name=work.__name__, daemon=True).start()


def _warm_up() -> None:
    """Make the first page's charts, so that the first viewer doesn't wait for them."""
    for axis in charts.AXES:
        charts.smile(axis, True)
        charts.difference(axis, True)
    charts.atm_history()


def _probe_for_ever(url: str, heartbeat: health.Heartbeat) -> None:
    """The heart beats while the web server answers."""
    pause = threading.Event()
    while not pause.wait(PROBE_S):
        if answers(url):
            heartbeat.beat()


def answers(url: str) -> bool:
    """True if `url` answers with 200 within a few seconds."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main())
