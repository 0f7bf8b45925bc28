"""A session on raw bytes: what a real client library would hide."""

import asyncio
import contextlib
import socket
import struct

import numpy as np
import pytest

from services.common.settings import load
from services.simulator.feed import Option
from services.simulator.gateway import Gateway
from services.simulator.market import SyntheticMarket
from services.simulator.settings import SimulatorSettings

START = 1_795_446_000.0
HANGS_S = 60


class ManualClock:
    def __init__(self, at):
        self.at = at

    def start(self):
        pass

    def now(self):
        return self.at


def frame(*fields):
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


class RawClient:
    """Writes frames and reads fields."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, *fields):
        self.writer.write(frame(*fields))

    async def read(self):
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        return (await self.reader.readexactly(length))[:-1].decode().split("\0")

    async def read_until(self, message):
        while (fields := await self.read())[0] != message:
            pass
        return fields


@contextlib.asynccontextmanager
async def connected(versions="v157..176", start=True):
    settings = load(SimulatorSettings, {"SMILE_SIMULATOR_PORT": "0"})
    gateway = Gateway(settings, SyntheticMarket(7), ManualClock(START))
    gateway.feed.expiries("SPY", START)
    await gateway.open()
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    body = versions.encode()
    writer.write(b"API\0" + struct.pack(">I", len(body)) + body)
    client = RawClient(reader, writer)
    try:
        async with asyncio.timeout(HANGS_S):
            if start:
                await client.read()
                client.send(71, 2, 1, "")
            yield gateway, client
    finally:
        writer.close()
        await gateway.close()


@pytest.mark.parametrize(("versions", "agreed"), [
    ("v157..176", "176"), ("v157..178 +PACEAPI", "176"), ("v100..157", "157"),
    ("v100..226", "176"), ("v176", "176")])
async def test_the_handshake_agrees_on_the_lower_version(versions, agreed):
    async with connected(versions, start=False) as (_, client):
        version, time = await client.read()
        assert version == agreed
        assert time.startswith("20261123 10:00:00")


@pytest.mark.parametrize("versions", ["v177..226", "v60..90", "what", ""])
async def test_a_client_without_a_common_version_is_sent_away(versions):
    async with connected(versions, start=False) as (_, client):
        assert await client.reader.read() == b""


async def test_the_first_answers_have_three_fields():
    async with connected() as (_, client):
        assert await client.read() == ["15", "1", "DU1234567"]
        assert await client.read() == ["9", "1", "1"]


async def test_layouts_follow_the_version():
    async with connected("v100..157") as (_, client):
        notice = await client.read_until("4")
        assert len(notice) == 5
        client.send(9, 8, 7, 0, "SPY", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "", 0, "",
                    "")
        details = await client.read_until("10")
        assert details[1:5] == ["8", "7", "SPY", "STK"]


async def test_a_frame_that_claims_to_be_huge_ends_the_session():
    async with connected() as (gateway, client):
        await client.read_until("9")
        assert list(gateway.sessions) == [1]
        client.writer.write(struct.pack(">I", 1 << 30))
        await client.reader.read()
        assert not gateway.sessions


async def test_orders_are_refused_as_read_only():
    async with connected() as (_, client):
        client.send(3, 55, "whatever")
        while (fields := await client.read_until("4"))[2] == "-1":
            pass
        assert fields[2:4] == ["55", "321"]


async def test_account_summary_is_answered_after_1102():
    async with connected() as (_, client):
        client.send(62, 1, 9, "All", "NetLiquidation")
        assert await client.read_until("64") == ["64", "1", "9"]


async def test_a_new_line_gets_its_type_and_its_parameters_before_its_ticks():
    async with connected() as (gateway, client):
        subscribe(client, 11, 560.0, "C")
        assert await client.read_until("58") == ["58", "1", "11", "1"]
        assert await client.read() == ["81", "11", "0.01", "9c0001", "3"]
        gateway.tick()
        tick = await client.read()
        assert tick[:4] == ["1", "6", "11", "1"] and len(tick) == 7


def subscribe(client, req_id, strike, right):
    client.send(1, 11, req_id, 0, "SPY", "OPT", "20261204", strike, right, "100", "SMART", "",
                "USD", "", "SPY", 0, "", 0, 0, "")


async def test_only_changes_are_sent():
    async with connected() as (gateway, client):
        subscribe(client, 11, 560.0, "C")
        await client.read_until("81")
        for _ in range(10):
            gateway.tick()
        client.send(49, 1)
        seen = []
        while (fields := await client.read())[0] != "49":
            seen.append((fields[0], fields[3 if fields[0] != "21" else 2]))
        assert len(seen) == len(set(seen)) >= 5


async def test_a_client_that_does_not_read_costs_no_memory_and_misses_nothing(monkeypatch):
    monkeypatch.setattr("services.simulator.wire.CONGESTED_BYTES", 50_000)
    async with connected() as (gateway, client):
        strikes = [float(strike) for strike in range(540, 585)]
        for req_id, strike in enumerate(strikes, start=100):
            subscribe(client, req_id, strike, "P")
        await read_ids(client, len(strikes))
        (session,) = gateway.sessions.values()
        turns_behind = 0
        while turns_behind < 30:
            gateway.clock.at += 60
            gateway.tick()
            turns_behind += session.out.congested
        assert session.out.unsent_bytes < 100_000
        client.send(49, 1)
        bids = await last_bids(client)
        while session.out.congested:
            await asyncio.sleep(0)
        gateway.tick()
        client.send(49, 1)
        bids |= await last_bids(client)
        options = [Option("SPY", gateway.feed.expiries("SPY", START)[8], strike, False)
                   for strike in strikes]
        now = gateway.feed.batch(options).quotes(np.array(int(gateway.clock.at)))
        assert [bids[req_id] for req_id in sorted(bids)] == np.nan_to_num(now.bid, nan=-1).tolist()


async def read_ids(client, count):
    for _ in range(count):
        await client.read_until("81")


async def last_bids(client):
    bids = {}
    while (fields := await client.read())[0] != "49":
        if fields[0] == "1" and fields[3] == "1":
            bids[int(fields[2])] = float(fields[4])
    return bids
