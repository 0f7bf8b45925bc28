"""An unmodified ib_insync client while the simulated gateway fails."""

import asyncio
import contextlib
import socket

import pytest
from ib_insync import IB

from tests.contract.gateway import (
    TICK_S,
    client,
    codes,
    near_the_money,
    running,
    spy,
    stream,
    until,
)


async def test_1100_freezes_the_ticks_with_the_socket_up_until_1102():
    async with running(["freeze@0.5+1"]) as gateway, client(gateway) as ib:
        ticker = ib.reqMktData(await spy(ib), "")
        assert await until(lambda: 1100 in codes(ib))
        before = ticker.bidSize
        gateway.clock.at += 30
        await asyncio.sleep(4 * TICK_S)
        assert ib.isConnected() and ticker.bidSize == before
        assert await until(lambda: 1102 in codes(ib))
        assert await until(lambda: ticker.bidSize != before)


async def test_1101_loses_the_subscriptions():
    async with running(["1100@0.3", "1101@0.6"]) as gateway, client(gateway) as ib:
        contract = await spy(ib)
        ticker = ib.reqMktData(contract, "")
        assert await until(lambda: 1101 in codes(ib))
        before = ticker.bidSize
        gateway.clock.at += 30
        await asyncio.sleep(4 * TICK_S)
        assert ticker.bidSize == before
        ib.reqMktData(contract, "")
        assert await until(lambda: ticker.bidSize != before)


async def test_10197_is_told_for_each_line():
    async with running(["10197@0.5"]) as gateway, client(gateway) as ib:
        stream(ib, (await near_the_money(ib, gateway, 5)))
        assert await until(lambda: codes(ib).count(10197) == 5)
        assert ib.isConnected() and gateway.lines_in_use() == 0


async def test_a_cut_in_mid_frame_ends_the_connection_and_a_new_one_works():
    async with running(["cut@0.5"]) as gateway:
        async with client(gateway) as ib:
            ib.reqMktData(await spy(ib), "")
            assert await until(lambda: not ib.isConnected())
        async with client(gateway) as again:
            assert (await spy(again)).conId == 756733


async def test_a_restart_refuses_the_port_for_a_while():
    async with running(["restart@0.3+1"]) as gateway:
        async with client(gateway) as ib:
            assert await until(lambda: not ib.isConnected())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), timeout=1)
        assert await until(lambda: listens(gateway.port))
        async with client(gateway) as again:
            assert again.isConnected()


def listens(port):
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


async def test_refuse_accepts_and_closes():
    async with running(["refuse@0.3+60"]) as gateway:
        async with client(gateway) as ib:
            assert await until(lambda: not ib.isConnected())
        assert await until(lambda: gateway.refusing)
        with pytest.raises((ConnectionError, TimeoutError)):
            await IB().connectAsync("127.0.0.1", gateway.port, clientId=2, timeout=1)
