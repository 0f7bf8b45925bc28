"""What must be known of a symbol besides its quotes: exercise style, rates, dividends."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from ml.pricing.dividends import RULES, Dividend, DividendRule

Exercise = Literal["american", "european"]

RATE, RATE_DEVIATION = 0.03, 0.02
"""Belief about the interest rate per year before any quote is seen: mean, standard deviation."""

GIVEN_RATE_DEVIATION = 0.005
"""Standard deviation about a rate that was given; the quotes decide within that."""

EUROPEAN: Final = frozenset({
    "SPX", "SPXW", "XSP", "NDX", "NDXP", "XND", "MNX", "RUT", "RUTW", "MRUT", "DJX", "XEO",
    "VIX", "VIXW",
})
"""Roots of cash-settled index options of European exercise (contract specifications of Cboe and
Nasdaq). OEX, the older S&P 100 option, is American, as all options on shares and funds are."""
_UNTIED: Final = frozenset({"VIX", "VIXW"})
"""Each expiry has a future of its own; its forward is not the index carried forward."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """How a symbol's options are exercised, and what is believed of its carry beforehand.

    Deviations are standard deviations of normal priors, per year except where said.
    """

    exercise: Exercise = "american"
    rate: float = RATE
    rate_deviation: float = RATE_DEVIATION
    borrow_deviation: float = 0.005
    """Of the continuous yield about zero. For European symbols the quotes alone tell it."""
    rule: DividendRule | None = None
    dividends: tuple[Dividend, ...] = ()
    """Known ones, by ascending date. The rule counts only after the last of them."""
    tied: bool = True
    """The forwards of all expiries come of one spot price by a smooth carry."""

    @property
    def is_american(self) -> bool:
        """Whether an option may be exercised before it expires."""
        return self.exercise == "american"


def conventions(symbol: str, dividends: tuple[Dividend, ...] = ()) -> Conventions:
    """The conventions of a symbol or option root, with the dividends that are known.

    >>> conventions("SPX").exercise, conventions("SPY").exercise
    ('european', 'american')
    """
    root = symbol.strip().upper().lstrip("^$.")
    return Conventions(
        exercise="european" if root in EUROPEAN else "american", rule=RULES.get(root),
        dividends=dividends, tied=root not in _UNTIED)


def conventions_with(
    rate: float | None, dividends: tuple[Dividend, ...]
) -> Callable[[str], Conventions]:
    """The conventions of a symbol with a rate that was given, ± half a percent, and dividends.

    >>> conventions_with(0.045, ())("SPY").rate
    0.045
    """

    def of(symbol: str) -> Conventions:
        known = conventions(symbol, dividends)
        if rate is None:
            return known
        return replace(known, rate=rate, rate_deviation=GIVEN_RATE_DEVIATION)

    return of


def parse_dividends(text: str) -> tuple[Dividend, ...]:
    """Dividends from a setting such as "2026-09-18:1.85,2026-12-18:1.95"; () from nothing.

    Raises:
        ValueError: a sentence that names the part which is wrong.

    >>> parse_dividends("2026-09-18:1.85")
    (Dividend(ex_date=datetime.date(2026, 9, 18), amount=1.85),)
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = sorted(map(_parse_one, parts), key=lambda dividend: dividend.ex_date)
    for before, after in itertools.pairwise(found):
        if before.ex_date == after.ex_date:
            raise ValueError(f"Ex-date {after.ex_date} is given twice among the dividends.")
    return tuple(found)


def _parse_one(part: str) -> Dividend:
    day, colon, amount = (piece.strip() for piece in part.partition(":"))
    if not colon:
        raise ValueError(f"Dividend `{part}` must be written DATE:AMOUNT, as 2026-09-18:1.85.")
    try:
        ex_date = date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"Ex-date `{day}` of dividend `{part}` must be written "
                         "YYYY-MM-DD.") from None
    try:
        value = float(amount)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"Amount `{amount}` of dividend `{part}` must be a number above 0.")
    return Dividend(ex_date, value)
