"""The simulator's gateway and unmodified ib_insync clients of it."""

import asyncio
import contextlib

import numpy as np
from ib_insync import IB, Option, Stock

from services.common.settings import load
from services.simulator.faults import script
from services.simulator.gateway import Gateway
from services.simulator.market import SyntheticMarket
from services.simulator.outages import Outages
from services.simulator.settings import SimulatorSettings

START = 1_795_446_000.0  # 2026-11-23 15:00 UTC, a Monday
TICK_S = 0.05
HANGS_S = 60


class ManualClock:
    """Market time that a test sets; without a hand on it it stands."""

    def __init__(self, at):
        self.at = at

    def start(self):
        pass

    def now(self):
        return self.at


@contextlib.asynccontextmanager
async def running(faults=(), feed=None, **settings):
    """A gateway on a free port whose market stands at START until the clock is moved."""
    variables = {"SMILE_SIMULATOR_PORT": "0", "SMILE_SIMULATOR_SNAPSHOT_DELAY": "0.4"}
    variables |= {f"SMILE_SIMULATOR_{name.upper()}": str(value)
                  for name, value in settings.items()}
    gateway = Gateway(load(SimulatorSettings, variables), feed or SyntheticMarket(7),
                      ManualClock(START))
    outages = Outages(gateway, script(faults))
    gateway.feed.expiries("SPY", START)  # reads the exchange calendar
    await gateway.open()
    turns = asyncio.create_task(turn_for_ever(gateway))
    try:
        yield gateway
    finally:
        turns.cancel()
        await outages.stop()
        await gateway.close()


async def turn_for_ever(gateway):
    """Let the gateway send what is due."""
    while True:
        gateway.tick()
        await asyncio.sleep(TICK_S)


@contextlib.asynccontextmanager
async def client(gateway, client_id=1, **options):
    """A connected client that keeps the errors it is told."""
    ib = IB()
    ib.errors = []
    ib.errorEvent += lambda req_id, code, text, contract: ib.errors.append((req_id, code))
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=client_id, timeout=5, **options)
    try:
        async with asyncio.timeout(HANGS_S):
            yield ib
    finally:
        ib.disconnect()


async def until(condition, seconds=10.0):
    """Wait for a condition of the public interface; its last value, true or not."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    return condition()


def codes(ib):
    """The codes of all errors so far."""
    return [code for _, code in ib.errors]


async def ladder(ib, expiry):
    """All options of SPY that expire on a day."""
    details = await ib.reqContractDetailsAsync(
        Option("SPY", expiry, exchange="SMART", currency="USD"))
    return [item.contract for item in details]


async def near_the_money(ib, gateway, count):
    """Those nearest the money."""
    spot = float(gateway.feed.spot("SPY", np.array(int(START))))
    contracts = await ladder(ib, "20261204")
    return sorted(contracts, key=lambda contract: abs(contract.strike - spot))[:count]


def stream(ib, contracts):
    """Tickers with volume, open interest and implied volatility."""
    return [ib.reqMktData(contract, "100,101,106") for contract in contracts]


async def spy(ib):
    """The underlying, qualified."""
    (contract,) = await ib.qualifyContractsAsync(Stock("SPY", "SMART", "USD"))
    return contract
