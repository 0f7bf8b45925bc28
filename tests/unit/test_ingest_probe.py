"""The probe of a gateway's API: against the simulator, and against what is no gateway."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.common.errors import Unavailable
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.ingest.ibkr.probe import ProbeSettings, server_version, watch
from services.simulator.clock import MarketClock
from services.simulator.gateway import Gateway
from services.simulator.market import SyntheticMarket
from services.simulator.settings import SimulatorSettings


async def test_a_gateway_tells_its_version() -> None:
    settings = SimulatorSettings(simulator_port=0)
    gateway = Gateway(settings, SyntheticMarket(7, ("SPY",), True), MarketClock(time.time(), 1.0))
    await gateway.open()
    try:
        version = await asyncio.to_thread(server_version, "127.0.0.1", gateway.port, 5.0)
    finally:
        await gateway.close()

    assert 100 <= version <= 176


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that says so to everyone and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("answer", "said"), [
    (b"", "is it logged in"),
    (b"\0\0\0\5hello", "no gateway"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed"),
])
def test_what_is_no_gateway_is_told_from_one(answer: bytes, said: str) -> None:
    with answering(answer) as port, pytest.raises(Unavailable, match=said):
        server_version("127.0.0.1", port, 5.0)


def test_a_port_where_nothing_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: .*refused"):
        server_version("127.0.0.1", port, 5.0)


def test_readiness_follows_the_gateway() -> None:
    stop, heartbeat = Stop(), Heartbeat()
    with answering(b"\0\0\0\x04176\0") as port:
        settings = ProbeSettings(gateway_port=port, probe_seconds=0.1)
        thread = threading.Thread(target=watch, args=(settings, stop, heartbeat), daemon=True)
        thread.start()
        assert until(lambda: not heartbeat.waiting)
    assert until(lambda: "refused" in heartbeat.waiting)
    stop.set()
    thread.join(5)


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()
