"""A gateway that can't be had: each way to fail is told apart, with what to do."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.common.errors import Unavailable
from services.ingest.ibkr import connection
from services.ingest.ibkr.connection import Backoff, connected

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    running = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


def frame(*fields: object) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


async def failure(port: int, host: str = "127.0.0.1") -> str:
    with pytest.raises(Unavailable) as caught:
        async with connected(host, port, 17):
            raise AssertionError("connected")
    return str(caught.value)


async def test_a_port_where_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = await failure(port)
    assert said.startswith(f"127.0.0.1:{port}: nothing listens there") and "GATEWAY_PORT" in said


async def test_a_host_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert "not known; check SMILE_GATEWAY_HOST" in await failure(4002, "nowhere.invalid")


async def test_a_server_that_accepts_and_closes_is_not_waited_for() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with server(close) as port:
        assert "closed during the handshake" in await failure(port)


async def test_a_client_id_in_use() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(frame(176, "20260105 15:00:00 UTC"))
        await reader.read(100)
        writer.write(frame(4, 2, -1, 326, "client id is already in use", ""))
        writer.close()

    async with server(refuse) as port:
        assert "client id 17 is in use; set another SMILE_CLIENT_ID" in await failure(port)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.05)

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(silence) as port:
        assert "no TWS handshake within 0.05 s" in await failure(port)


async def test_a_cancelled_connection_is_cancelled() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(silence) as port:
        task = asyncio.ensure_future(failure(port))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_waits_grow_to_a_longest_and_begin_anew() -> None:
    backoff = Backoff(longest=5.0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next() == 1
