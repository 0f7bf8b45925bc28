"""Whether a gateway answers its API: for the probes of a pod whose program is not ours.

    python -m services.ingest.ibkr.probe    # SMILE_GATEWAY_HOST, SMILE_GATEWAY_PORT

It shakes hands as a client does and leaves before it would need a client id. /readyz is 200 while
the last handshake was answered; a gateway that is not logged in does not answer.
"""

import socket
import struct
from typing import Annotated

import structlog
from msgspec import Meta

from services.common import health, lifecycle, logs
from services.common.errors import Unavailable
from services.common.lifecycle import Stop
from services.common.settings import Port, Seconds, Settings, load

HELLO = b"API\0" + struct.pack(">I", len(b"v100..176")) + b"v100..176"
LONGEST_ANSWER = 1000
log = structlog.stdlib.get_logger(__name__)


class ProbeSettings(Settings, frozen=True, kw_only=True):
    """Settings of the probe; each is read from `SMILE_<NAME>`."""

    gateway_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    gateway_port: Port = 4002
    probe_seconds: Seconds = 10.0
    """How often to ask, and at most half of it how long to wait for the answer."""


def server_version(host: str, port: int, timeout_s: float) -> int:
    """The protocol version that a gateway offers.

    Raises:
        Unavailable: nothing answers there, or no gateway.
    """
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(HELLO)
            length, = struct.unpack(">I", _exactly(connection, 4))
            answer = _exactly(connection, min(length, LONGEST_ANSWER))
    except OSError as error:
        raise Unavailable(f"the gateway's API at {host}:{port}: {error}") from error
    version = answer.split(b"\0")[0]
    if not version.isdigit():
        raise Unavailable(f"the gateway's API at {host}:{port}: what answers is no gateway")
    return int(version)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("closed during the handshake; is it logged in?")
        data += part
    return data


def watch(settings: ProbeSettings, stop: Stop, heartbeat: health.Heartbeat) -> None:
    """Ask until `stop`; a change is logged once."""
    heartbeat.waiting = "the gateway's API"
    while not stop:
        heartbeat.beat()
        waiting = _lacking(settings)
        if waiting != heartbeat.waiting:
            log.info("the gateway answers" if not waiting else "no gateway", why=waiting or None)
        heartbeat.waiting = waiting
        stop.wait(settings.probe_seconds)


def _lacking(settings: ProbeSettings) -> str:
    try:
        server_version(settings.gateway_host, settings.gateway_port, settings.probe_seconds / 2)
    except Unavailable as error:
        return str(error)
    return ""


def run() -> None:
    """Serve the last answer until a signal."""
    settings = load(ProbeSettings)
    logs.set_up("gateway_probe", settings.log_level)
    heartbeat = health.Heartbeat()
    stop = Stop().on_signals()
    with health.serve(settings.metrics_port, heartbeat):
        watch(settings, stop, heartbeat)


if __name__ == "__main__":
    lifecycle.run(run)
