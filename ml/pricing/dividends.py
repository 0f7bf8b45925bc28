"""When an underlying goes ex-dividend: by its fund's rule, or on dates given."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from ml.calendar import NEW_YORK, YEAR_SECONDS, session_bounds
from ml.types import Floats

MOST_AHEAD: Final = 40
"""Dividends looked ahead: ten years of quarterly ones."""

_DAY = timedelta(days=1)
_LONGEST_YEARS = 20.0
_LONGEST_CLOSURE = 14
"""Days without a session that are bridged; the longest since 1914 is four."""


@dataclass(frozen=True, slots=True)
class Dividend:
    """A known cash dividend: its ex-date and its amount in currency per share."""

    ex_date: date
    amount: float


@dataclass(frozen=True, slots=True)
class DividendRule:
    """Ex-dates by the calendar: the third Friday of some months, or the session after it.

    A payment as a share of the price is about `payment` ± `deviation`, the same for all payments,
    and each differs from that by `scatter` besides (standard deviations).
    """

    months: tuple[int, ...]
    after_friday: bool = False
    """The session after the third Friday; else that Friday, or the session before it."""
    payment: float = 0.0
    deviation: float = 0.001
    scatter: float = 0.0003


_QUARTERLY = (3, 6, 9, 12)
_MONTHLY = tuple(range(1, 13))

RULES: Final = {
    "SPY": DividendRule(_QUARTERLY, payment=0.0026, deviation=0.0004, scatter=0.0002),
    "DIA": DividendRule(_MONTHLY, payment=0.0013, deviation=0.0003, scatter=0.0008),
    "QQQ": DividendRule(_QUARTERLY, after_friday=True, payment=0.0013, deviation=0.0003,
                        scatter=0.0002),
}
"""Funds whose ex-dates keep a rule. SPY and DIA: the third Friday of the month, or the business
day before it (ex-dates published 2019 to 2025 for SPY and 2020 to 2024 for DIA, all of which this
gives; Good Friday 2022 went to the Thursday). QQQ: the first business day after the third Friday
(supplement of 31 May 2024 to its prospectus; ex-dates 2024 and 2025). IWM keeps none. Sizes of
payments are those of 2023 to 2025."""


def ex_dates(symbol: str, after: date, until: date) -> list[date]:
    """Ex-dates by the symbol's rule with `after` < date ≤ `until`, ascending; [] without a rule.

    >>> ex_dates("SPY", date(2026, 3, 20), date(2026, 12, 31))[0]  # the Friday is a holiday
    datetime.date(2026, 6, 18)
    """
    rule = RULES.get(symbol.upper())
    return rule_dates(rule, after, until) if rule else []


def rule_dates(rule: DividendRule, after: date, until: date) -> list[date]:
    """As `ex_dates`, by a rule."""
    found: list[date] = []
    if until > after:
        for year in range(after.year, until.year + 1):
            found += _dates_of_year(rule.months, rule.after_friday, year)
    return [day for day in found if after < day <= until]


def ex_instant(day: date) -> datetime:
    """From when on the underlying trades without the dividend of that ex-date, in UTC.

    A second after the close of the session before, which is the last chance to exercise for it:
    nothing trades until the drop at the open. A date without a session stands for the next one.
    """
    session = session_bounds(_session_from(_session_from(day, _DAY) - _DAY, -_DAY))
    close = session[1] if session else datetime.combine(day - _DAY, time(16), NEW_YORK)
    return close + timedelta(seconds=1)


def years_to_ex(at: datetime, days: Sequence[date]) -> list[float]:
    """Years (ACT/365) from the aware instant `at` to each ex-date's instant; past ones below 0."""
    return [(ex_instant(day) - at).total_seconds() / YEAR_SECONDS for day in days]


@lru_cache(maxsize=64)
def schedule(
    rule: DividendRule | None, known: tuple[Dividend, ...], at: datetime, years: float
) -> tuple[Floats, Floats]:
    """Years to the ex-dividend instants of the next `years`, and amounts, NaN where not known.

    Known ones as given, by ascending date; the rule's after the last of them. At most
    `MOST_AHEAD`. Two arrays of shape (m,), not to be written.
    """
    today = at.astimezone(NEW_YORK).date()
    last = today + timedelta(days=min(max(years, 0.0), _LONGEST_YEARS) * 365 + 1)
    given = {dividend.ex_date: dividend.amount for dividend in known if dividend.ex_date <= last}
    by_rule = rule_dates(rule, max([today - _DAY, *given]), last) if rule else []
    days = [*given, *by_rule]
    times = np.array(years_to_ex(at, days))
    amounts = np.array([*given.values(), *(math.nan for _ in by_rule)])
    counted = np.flatnonzero((times > 0) & (times <= years))[:MOST_AHEAD]
    times, amounts = times[counted], amounts[counted]
    times.flags.writeable = amounts.flags.writeable = False
    return times, amounts


@lru_cache(maxsize=1024)
def _dates_of_year(months: tuple[int, ...], after_friday: bool, year: int) -> tuple[date, ...]:
    fridays = [_third_friday(year, month) for month in months]
    if after_friday:
        return tuple(_session_from(friday + _DAY, _DAY) for friday in fridays)
    return tuple(_session_from(friday, -_DAY) for friday in fridays)


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _session_from(day: date, step: timedelta) -> date:
    """The first day with a session, going from `day` by `step`."""
    days = (day + step * count for count in range(_LONGEST_CLOSURE))
    return next((found for found in days if session_bounds(found)), day)
