"""What a session needs of a market, be it synthetic or a recording."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np

from ml.types import Floats
from services.simulator.paths import Steps


@dataclass(frozen=True, slots=True)
class Option:
    """One listed option."""

    symbol: str
    expiry: date
    strike: float
    is_call: bool


@dataclass(frozen=True, slots=True)
class StockQuotes:
    """The underlying at one or more instants; arrays of one shape, NaN where unknown."""

    bid: Floats
    bid_size: Floats
    ask: Floats
    ask_size: Floats
    last: Floats
    last_size: Floats
    last_time: Floats
    """Seconds since 1970, UTC."""
    volume: Floats
    close: Floats
    """Last price of the trading day before."""

    @property
    def mid(self) -> Floats:
        return 0.5 * (self.bid + self.ask)


@dataclass(frozen=True, slots=True)
class OptionQuotes:
    """Options at one or more instants; arrays of one shape, NaN where unknown."""

    bid: Floats
    bid_size: Floats
    ask: Floats
    ask_size: Floats
    last: Floats
    last_size: Floats
    last_time: Floats
    volume: Floats
    open_interest: Floats


@dataclass(frozen=True, slots=True)
class ModelGreeks:
    """The vendor's own model; arrays of one shape, NaN where it has none."""

    iv: Floats
    delta: Floats
    price: Floats
    gamma: Floats
    vega: Floats
    """Per 0.01 of volatility, as the gateway gives it."""
    theta: Floats
    """Per day."""
    underlying: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Options of one symbol, prepared by a feed for repeated asking at whole seconds.

    A single instant (shape ()) gives arrays (n,), instants (t,) give (t, n).
    """

    options: Sequence[Option]
    quotes: Callable[[Steps], OptionQuotes]
    greeks: Callable[[Steps], ModelGreeks]


class Feed(Protocol):
    """A market of some symbols; `at` is market time in seconds since 1970, UTC."""

    symbols: tuple[str, ...]

    def begins(self) -> float | None:
        """The first instant, or None where any will do."""

    def is_open(self, at: float) -> bool:
        """Whether quotes are to be had."""

    def sessions(self, days: Sequence[date]) -> list[tuple[date, str]]:
        """Trading hours of each day in the gateway's notation, without the day's prefix."""

    def expiries(self, symbol: str, at: float) -> list[date]:
        """Expiries that are listed and have not passed, ascending."""

    def strikes(self, symbol: str, expiry: date, at: float) -> Sequence[float]:
        """The ladder of one expiry, ascending; both rights are listed at each strike."""

    def batch(self, options: Sequence[Option]) -> Batch:
        """Prepare options of one symbol."""

    def stock(self, symbol: str, steps: Steps) -> StockQuotes:
        """The underlying at whole seconds `steps` of any shape."""


def nowhere(shape: tuple[int, ...]) -> Floats:
    """An array of unknowns."""
    return np.full(shape, np.nan)
