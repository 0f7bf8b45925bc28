"""Tickers as messages: every way to say "none" becomes null, and times are those of change."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from ib_insync import OptionComputation, Ticker

from services.common import messages
from services.common.messages import ChainSlice
from services.ingest.ibkr.sampler import (
    ChangeTimes,
    count,
    median_age_s,
    mid,
    price,
    sample,
    spot,
    vendor_iv,
)
from services.ingest.ibkr.selection import Line

AT = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 1, 9), date(2026, 1, 16)
UNSET = 1.7976931348623157e308


@pytest.mark.parametrize("none", [None, math.nan, -1.0, -1, 0.0, UNSET, math.inf, -math.inf])
def test_every_sentinel_is_no_price(none: float | None) -> None:
    assert price(none) is None


@pytest.mark.parametrize("none", [None, math.nan, -1.0, UNSET, math.inf])
def test_every_sentinel_is_no_count(none: float | None) -> None:
    assert count(none) is None


def test_numbers_are_numbers() -> None:
    assert price(0.01) == 0.01 and count(0) == 0.0 and count(12) == 12.0


def test_the_spot_is_the_mid_or_the_last_and_never_the_close() -> None:
    assert spot(Ticker(bid=10.0, ask=10.5, last=9.0)) == mid(Ticker(bid=10, ask=10.5)) == 10.25
    assert spot(Ticker(bid=-1.0, ask=10.5, last=9.0)) == 9.0
    assert spot(Ticker(close=8.0)) is None


@pytest.mark.parametrize(("greeks", "iv"), [
    (None, None), (OptionComputation(0, None, None, None, None, None, -2.0, -2.0, None), None),
    (OptionComputation(0, UNSET, 0, 0, 0, 0, 0, 0, 0), None),
    (OptionComputation(0, 0.21, 0, 0, 0, 0, 0, 0, 0), 0.21)])
def test_vendor_volatility_is_missing_where_the_gateway_has_none(
        greeks: OptionComputation | None, iv: float | None) -> None:
    assert vendor_iv(Ticker(modelGreeks=greeks)) == iv


def watch(changes: ChangeTimes, *tickers: Ticker) -> None:
    for ticker in tickers:
        changes.on_update(ticker)


def take(changes: ChangeTimes, lines: dict[Line, Ticker], source: messages.Source = "simulated",
         underlying: Ticker | None = None) -> list[ChainSlice]:
    changes.settle(lambda wall: AT + timedelta(hours=1), AT)
    return sample("SPY", AT, source, underlying or Ticker(bid=690.0, ask=690.02), lines, changes)


def test_a_slice_per_expiry_with_missing_as_null() -> None:
    one_sided = Ticker(bid=-1.0, bidSize=0, ask=0.05, askSize=12, last=math.nan, volume=0,
                       putOpenInterest=300.0, callOpenInterest=0.0)
    whole = Ticker(bid=1.2, bidSize=3, ask=1.25, askSize=4, last=1.22, volume=10,
                   callOpenInterest=7.0)
    changes = ChangeTimes()
    watch(changes, one_sided, whole)
    near, far = take(changes, {Line(FAR, 700.0, "C"): whole, Line(NEAR, 650.0, "P"): one_sided})
    assert (near.expiry, near.slice, near.slices, far.slice) == (NEAR, 1, 2, 2)
    assert (near.bid, near.bid_size, near.ask, near.ask_size) == ([None], [None], [0.05], [12])
    assert (near.last, near.volume, near.open_interest) == ([None], [0.0], [300.0])
    assert (far.bid, far.open_interest, far.right, far.strike) == ([1.2], [7.0], ["C"], [700.0])
    assert (near.underlying_bid, near.underlying_last) == (690.0, None)
    assert messages.decode(messages.encode(near), ChainSlice) == near


def test_a_line_without_any_quote_yet_is_left_out() -> None:
    changes, silent = ChangeTimes(), Ticker()
    watch(changes, silent)
    assert take(changes, {Line(NEAR, 650.0, "P"): silent}) == []


def test_a_quote_keeps_the_time_of_its_last_change_and_never_one_after_the_sample() -> None:
    changes, ticker = ChangeTimes(), Ticker(bid=1.0, ask=1.1, bidSize=1, askSize=1)
    watch(changes, ticker)
    changes.settle(lambda wall: AT - timedelta(seconds=30), AT)
    watch(changes, ticker)
    changes.settle(lambda wall: AT - timedelta(seconds=10), AT)
    assert changes.of(ticker) == AT - timedelta(seconds=30)
    ticker.bidSize = 2
    watch(changes, ticker)
    changes.settle(lambda wall: AT + timedelta(milliseconds=3), AT)
    assert changes.of(ticker) == AT


def test_after_forgetting_nothing_is_known_until_it_comes_again() -> None:
    changes, ticker = ChangeTimes(), Ticker(bid=1.0, ask=1.1)
    line = {Line(NEAR, 650.0, "P"): ticker}
    watch(changes, ticker)
    assert take(changes, line)
    changes.forget()
    assert take(changes, line) == []
    watch(changes, ticker)
    assert take(changes, line)


@pytest.mark.parametrize(("kind", "label", "said"), [
    (1, "live", "live"), (3, "live", "delayed"), (4, "live", "delayed"),
    (3, "simulated", "simulated")])
def test_delayed_quotes_say_so(kind: int, label: messages.Source, said: str) -> None:
    changes, ticker = ChangeTimes(), Ticker(bid=1.0, ask=1.1, marketDataType=kind)
    watch(changes, ticker)
    assert take(changes, {Line(NEAR, 650.0, "P"): ticker}, label)[0].source == said


def test_the_median_age_is_in_market_seconds() -> None:
    changes, ticker = ChangeTimes(), Ticker(bid=1.0, ask=1.1)
    watch(changes, ticker)
    changes.settle(lambda wall: AT - timedelta(seconds=4), AT)
    slices = sample("SPY", AT, "live", Ticker(), {Line(NEAR, 650.0, "P"): ticker}, changes)
    assert median_age_s(slices) == 4.0 and math.isnan(median_age_s([]))
