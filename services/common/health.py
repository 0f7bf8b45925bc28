"""/metrics, /healthz and /readyz of a service, served from a thread."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common import metrics
from services.common.errors import SettingsError

TEXT = "text/plain; charset=utf-8"


class Heartbeat:
    """The age of the last turn of a service's loop: liveness means that the loop turns.

    Readiness means that the service can work, too: `waiting` says what it lacks for that, and is
    empty when nothing.
    """

    def __init__(self, limit_s: float = 60.0) -> None:
        self.limit_s = limit_s
        self.waiting = ""
        self._last = time.monotonic()

    def beat(self) -> None:
        self._last = time.monotonic()

    def age_s(self) -> float:
        return time.monotonic() - self._last

    def alive(self) -> bool:
        return self.age_s() < self.limit_s


class HealthServer(ThreadingHTTPServer):
    """Serves /metrics, /healthz (200 while the heart beats, else 503), and /readyz.

    The latter is 200 while the heart beats and nothing is waited for.
    """

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
            metrics.HEARTBEAT_AGE_SECONDS.set(self.server.heartbeat.age_s())
            self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
        elif self.path == "/healthz":
            heartbeat = self.server.heartbeat
            self._say(heartbeat.alive(), f"last turn of the loop {heartbeat.age_s():.1f} s ago")
        elif self.path == "/readyz":
            heartbeat = self.server.heartbeat
            waiting = heartbeat.waiting
            self._say(heartbeat.alive() and not waiting,
                      f"waits for {waiting}" if waiting else "can work")
        else:
            self._answer(404, b"try /metrics, /healthz or /readyz\n", TEXT)

    def _say(self, well: bool, sentence: str) -> None:
        self._answer(200 if well else 503, f"{sentence}\n".encode(), TEXT)

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
