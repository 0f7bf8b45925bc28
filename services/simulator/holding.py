"""What it pays and costs to hold an underlying of the synthetic market, and its options' style.

Symbols with a dividend rule (`ml.pricing.dividends`) pay the same cash amount on each of its
ex-dates. Between two of them the price gains that amount evenly and drops by it at the instant
from which the underlying trades without it, so that forwards move smoothly through it and nobody
earns a dividend by holding for a day.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from ml.pricing.carry import Carry
from ml.pricing.conventions import conventions
from ml.pricing.dividends import ex_instant, rule_dates
from ml.types import Floats
from services.simulator.paths import YEAR_S, Steps

RATE = 0.04
INDEX_YIELD = 0.012
"""Of European symbols, whose many members pay all the time."""
DIVIDENDS = {"SPY": 1.75, "QQQ": 0.70, "DIA": 0.60}
"""Currency per share on each ex-date, about those of 2025."""
FIRST, LAST = date(1999, 1, 1), date(2101, 12, 31)


@dataclass(frozen=True, slots=True)
class Holding:
    """Rates per year, and one cash amount at each of the ex-instants."""

    is_american: bool
    borrow: float
    """Continuous yield."""
    ex: Steps
    """Ex-instants in seconds since 1970, ascending; empty without dividends."""
    amount: float
    """Currency per share and ex-date."""

    @staticmethod
    def of(symbol: str) -> "Holding":
        """By the symbol's conventions."""
        style = conventions(symbol)
        borrow = 0.0 if style.is_american else INDEX_YIELD
        if style.rule is None or symbol not in DIVIDENDS:
            return Holding(style.is_american, borrow, np.empty(0, dtype=np.int64), 0.0)
        days = rule_dates(style.rule, FIRST, LAST)
        ex = np.array([int(ex_instant(day).timestamp()) for day in days], dtype=np.int64)
        return Holding(style.is_american, borrow, ex, DIVIDENDS[symbol])

    @property
    def growth(self) -> float:
        """At which the forward rises between ex-dates, per year."""
        return RATE - self.borrow

    def accrued(self, steps: Steps) -> Floats:
        """What the price at `steps` holds of the dividend to come."""
        if not len(self.ex):
            return np.zeros(steps.shape)
        following = np.searchsorted(self.ex, steps, side="right")
        before, after = self.ex[following - 1], self.ex[following]
        held: Floats = self.amount * (steps - before) / (after - before)
        return held

    def value(self, steps: Steps, expires: Steps) -> Floats:
        """Value at `steps` of the dividends after them and until `expires`; both broadcast."""
        value = np.zeros(np.broadcast_shapes(steps.shape, expires.shape))
        for at in self._between(steps.min(), expires.max()):
            paid = (steps < at) & (at <= expires)
            value += paid * self.amount * np.exp(-self.growth * (at - steps) / YEAR_S)
        return value

    def carry(self, step: int, expires: int) -> Carry:
        """The same as pricing wants it, for one instant and expiry."""
        times = (self._between(step, expires) - step) / YEAR_S
        return Carry(RATE, self.borrow, times, np.full(len(times), self.amount))

    def _between(self, begin: int, end: int) -> Steps:
        """Ex-instants after `begin` and until `end`."""
        first, last = np.searchsorted(self.ex, [begin, end], side="right")
        return self.ex[first:last]
