"""The gateway's tickers as they stand at one instant, as messages."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import groupby
from statistics import median
from typing import Any

from ib_insync import Ticker

from services.common.messages import ChainSlice, Source
from services.ingest.ibkr.selection import Line

LARGEST = 1e300
"""The API's "not set" is 1.797E308."""
DELAYED_TYPES = (3, 4)
Quote = tuple[float, float, float, float]


def price(value: float | None) -> float | None:
    """A price or volatility; None for every way to say that there is none: NaN, −1, 0, 1.8E308."""
    return None if value is None or not 0 < value < LARGEST else float(value)


def count(value: float | None) -> float | None:
    """A size, volume or open interest, where 0 is a number."""
    return None if value is None or not 0 <= value < LARGEST else float(value)


def mid(ticker: Ticker) -> float | None:
    """The mid of a two-sided quote."""
    bid, ask = price(ticker.bid), price(ticker.ask)
    return None if bid is None or ask is None else (bid + ask) / 2


def spot(ticker: Ticker) -> float | None:
    """The underlying's mid, else its last price; yesterday's close would choose wrong lines."""
    return mid(ticker) or price(ticker.last)


class ChangeTimes:
    """When each ticker's quote last changed, in market time; listens to the tickers."""

    def __init__(self) -> None:
        self._quotes: dict[int, Quote] = {}
        self._walls: dict[int, float] = {}
        self._markets: dict[int, datetime] = {}
        self.latest = time.monotonic()
        """When any quote last changed (monotonic), or listening began."""

    def on_update(self, ticker: Ticker) -> None:
        """Take note of a change of price or size; ticks that repeat them are none."""
        quote = (ticker.bid, ticker.ask, ticker.bidSize, ticker.askSize)
        if not any(map(math.isfinite, quote)) or self._quotes.get(id(ticker)) == quote:
            return
        self._quotes[id(ticker)] = quote
        self._walls[id(ticker)] = time.time()
        self.latest = time.monotonic()

    def restart(self) -> None:
        """Count as if listening began now: nothing was to be expected till here."""
        self.latest = time.monotonic()

    def forget(self) -> None:
        """After a renewal nothing is known until it comes again."""
        self._quotes.clear()
        self._walls.clear()
        self._markets.clear()

    def settle(self, market_time: Callable[[float], datetime], at: datetime) -> None:
        """Turn wall times since the last sample into market times not after `at`."""
        for key, wall in self._walls.items():
            self._markets[key] = min(market_time(wall), at)
        self._walls.clear()

    def of(self, ticker: Ticker) -> datetime | None:
        """When the quote last changed, as of the last `settle`; None if there never was one."""
        return self._markets.get(id(ticker))


def sample(symbol: str, at: datetime, source: Source, underlying: Ticker,
           tickers: Mapping[Line, Ticker], changes: ChangeTimes) -> list[ChainSlice]:
    """One slice per expiry, of the lines that have had a quote; call `changes.settle` before."""
    quoted = sorted((line, ticker) for line, ticker in tickers.items()
                    if changes.of(ticker) is not None)
    groups = [(expiry, list(rows))
              for expiry, rows in groupby(quoted, key=lambda row: row[0].expiry)]
    facts: dict[str, Any] = {
        "symbol": symbol, "sampled_at": at, "slices": len(groups),
        "underlying_bid": price(underlying.bid), "underlying_ask": price(underlying.ask),
        "underlying_last": price(underlying.last), "underlying_time": changes.of(underlying)}
    return [_slice(expiry, rows, source, changes, {**facts, "slice": place})
            for place, (expiry, rows) in enumerate(groups, 1)]


def _slice(expiry: date, rows: list[tuple[Line, Ticker]], source: Source, changes: ChangeTimes,
           facts: Mapping[str, Any]) -> ChainSlice:
    tickers = [ticker for _, ticker in rows]
    delayed = any(ticker.marketDataType in DELAYED_TYPES for ticker in tickers)
    bids, asks = ([price(getattr(ticker, side)) for ticker in tickers] for side in ("bid", "ask"))
    return ChainSlice(
        expiry=expiry, source="delayed" if delayed and source == "live" else source,
        strike=[line.strike for line, _ in rows], right=[line.right for line, _ in rows],
        bid=bids, ask=asks,
        bid_size=[count(ticker.bidSize) if bid else None
                  for ticker, bid in zip(tickers, bids, strict=True)],
        ask_size=[count(ticker.askSize) if ask else None
                  for ticker, ask in zip(tickers, asks, strict=True)],
        last=[price(ticker.last) for ticker in tickers],
        volume=[count(ticker.volume) for ticker in tickers],
        open_interest=[count(ticker.callOpenInterest if line.right == "C"
                             else ticker.putOpenInterest) for line, ticker in rows],
        quote_time=[changes.of(ticker) for ticker in tickers],
        vendor_iv=[vendor_iv(ticker) for ticker in tickers], **facts)


def vendor_iv(ticker: Ticker) -> float | None:
    """The gateway's own implied volatility at its model price."""
    return None if ticker.modelGreeks is None else price(ticker.modelGreeks.impliedVol)


def median_age_s(slices: list[ChainSlice]) -> float:
    """Of all quotes of one instant, in market seconds; NaN without any."""
    ages = [(part.sampled_at - moment).total_seconds()
            for part in slices for moment in part.quote_time if moment is not None]
    return median(ages) if ages else math.nan
