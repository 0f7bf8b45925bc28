"""Market data lines: only the difference changes, within the limit, and a refusal costs one."""

import asyncio
import math
import time
from datetime import date
from types import SimpleNamespace

import pytest
from ib_insync import Contract, Ticker

from services.ingest.ibkr.codes import Meaning
from services.ingest.ibkr.selection import Line
from services.ingest.ibkr.subscriptions import Subscriptions, TokenBucket

DAY = date(2026, 1, 9)
LINES = [Line(DAY, float(strike), "C") for strike in range(500, 510)]
CONTRACTS = {line: Contract(conId=at, strike=line.strike) for at, line in enumerate(LINES, 1)}
STOCK = Contract(conId=999, symbol="SPY")


class Gateway:
    """Takes the calls of ib_insync that subscriptions make, and keeps its rules."""

    def __init__(self) -> None:
        self.log: list[tuple[str, float]] = []
        self.tickers: dict[int, Ticker] = {}
        self.live: set[int] = set()
        self.wrapper = SimpleNamespace(endTicker=lambda ticker, kind: self.live.remove(
            id(ticker.contract)))

    def reqMktData(self, contract: Contract, generic_ticks: str) -> Ticker:
        assert id(contract) not in self.live, "a second line on one contract"
        self.live.add(id(contract))
        self.log.append(("+", contract.strike))
        return self.tickers.setdefault(id(contract), Ticker(contract=contract))

    def cancelMktData(self, contract: Contract) -> None:
        self.live.remove(id(contract))
        self.log.append(("-", contract.strike))


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def updates() -> list[Ticker]:
    return []


@pytest.fixture
def lines(gateway: Gateway, updates: list[Ticker]) -> Subscriptions:
    return Subscriptions(gateway, 6, updates.append)  # type: ignore[arg-type]


async def test_lines_are_taken_in_order_up_to_the_limit(
        gateway: Gateway, lines: Subscriptions) -> None:
    await lines.watch_underlying(STOCK)
    await lines.apply(LINES, CONTRACTS)
    assert list(lines.tickers) == LINES[:5] and lines.held == 6 == len(gateway.live)
    assert lines.budget == 5


async def test_only_the_difference_changes_and_cancels_come_first(
        gateway: Gateway, lines: Subscriptions) -> None:
    await lines.apply(LINES[:3], CONTRACTS)
    gateway.log.clear()
    await lines.apply(LINES[1:4], CONTRACTS)
    assert gateway.log == [("-", 500.0), ("+", 503.0)]


async def test_updates_are_heard_once_while_subscribed(
        lines: Subscriptions, updates: list[Ticker]) -> None:
    await lines.apply(LINES[:1], CONTRACTS)
    ticker = lines.tickers[LINES[0]]
    await lines.renew()
    ticker.updateEvent.emit(ticker)
    assert updates == [ticker]
    await lines.apply([], {})
    ticker.updateEvent.emit(ticker)
    assert updates == [ticker]


async def test_renewal_forgets_quotes_and_keeps_the_lines(
        gateway: Gateway, lines: Subscriptions) -> None:
    stock = await lines.watch_underlying(STOCK)
    await lines.apply(LINES[:2], CONTRACTS)
    stock.bid = lines.tickers[LINES[0]].ask = 1.0
    gateway.log.clear()
    await lines.renew()
    assert [sign for sign, _ in gateway.log] == ["-", "+"] * 3 and lines.held == 3
    assert math.isnan(stock.bid) and math.isnan(lines.tickers[LINES[0]].ask)


async def test_a_refused_contract_is_not_asked_for_again(
        gateway: Gateway, lines: Subscriptions) -> None:
    await lines.apply(LINES[:3], CONTRACTS)
    assert lines.drop(CONTRACTS[LINES[1]], Meaning.NO_CONTRACT)
    gateway.log.clear()
    await lines.apply(LINES[:3], CONTRACTS)
    assert gateway.log == [] and LINES[1] not in lines.tickers


async def test_without_lines_left_the_limit_is_what_is_held(lines: Subscriptions) -> None:
    await lines.watch_underlying(STOCK)
    await lines.apply(LINES[:4], CONTRACTS)
    assert lines.drop(CONTRACTS[LINES[3]], Meaning.NO_LINE)
    assert lines.budget == 3
    await lines.apply(LINES[:4], CONTRACTS)
    assert list(lines.tickers) == LINES[:3]


async def test_what_is_not_an_option_of_ours_is_not_dropped(lines: Subscriptions) -> None:
    await lines.watch_underlying(STOCK)
    assert lines.holds(STOCK) and not lines.drop(STOCK, Meaning.NO_CONTRACT)
    stranger = Contract(conId=999, symbol="SPY")
    assert not lines.holds(stranger) and not lines.drop(stranger, Meaning.NO_CONTRACT)


async def test_the_bucket_holds_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    bucket = TokenBucket(rate=30, burst=10)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    moments = []
    for _ in range(100):
        await bucket.take()
        moments.append(clock[0])
    assert moments[9] == 0 and math.isclose(moments[-1], 3.0)
    assert all(moments[at + 40] - moments[at] >= 1 - 1e-9 for at in range(60))
