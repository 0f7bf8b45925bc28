"""/metrics and /healthz of a service, served from a thread."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common.errors import SettingsError


class Heartbeat:
    """The age of the last turn of a service's loop: liveness means that the loop turns."""

    def __init__(self, limit_s: float = 60.0) -> None:
        self.limit_s = limit_s
        self._last = time.monotonic()

    def beat(self) -> None:
        self._last = time.monotonic()

    def age_s(self) -> float:
        return time.monotonic() - self._last

    def alive(self) -> bool:
        return self.age_s() < self.limit_s


class HealthServer(ThreadingHTTPServer):
    """Serves /metrics, and /healthz: 200 while the heart beats, else 503."""

    daemon_threads = True

    def __init__(self, port: int, heartbeat: Heartbeat, host: str = "0.0.0.0") -> None:
        self.heartbeat = heartbeat
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise SettingsError(f"SMILE_METRICS_PORT={port}: {error.strerror}; "
                                "set another port") from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> "HealthServer":
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
        elif self.path == "/healthz":
            heartbeat = self.server.heartbeat
            status = 200 if heartbeat.alive() else 503
            text = f"last turn of the loop {heartbeat.age_s():.1f} s ago\n"
            self._answer(status, text.encode(), "text/plain; charset=utf-8")
        else:
            self._answer(404, b"try /metrics or /healthz\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep probes out of the log."""


def serve(port: int, heartbeat: Heartbeat) -> HealthServer:
    """A context manager that serves until it is left; port 0 takes any free one.

    Raises:
        SettingsError: the port is in use.
    """
    return HealthServer(port, heartbeat)
