"""Market time: the instant at which an expiry settles, and the year fraction until then.

Sessions are those of the New York Stock Exchange (XNYS of `exchange_calendars`), half days
included. Years beyond the calendar's own bounds get plain weekdays, 09:30 to 16:00 New York.

Total variance does not depend on the clock: restated on another one, a volatility is
σ √(τ / τ′). The trading clock counts the hours of open sessions only, or with a smaller weight
the closed ones too: prices vary far less while the exchange is closed (French and Roll 1986,
"Stock return variances: the arrival of information and the reaction of traders").
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from ml.types import Settlement

NEW_YORK = ZoneInfo("America/New_York")
YEAR_SECONDS = 365 * 86_400.0
MIN_TAU = 60 / YEAR_SECONDS
"""Floor of the year fraction before expiry: one minute."""
TRADING_YEAR_SECONDS = 252 * 6.5 * 3600.0
"""A year of open sessions: 252 days of six and a half hours."""

_FIRST_YEAR, _LAST_YEAR = 2005, 2035
_OPEN, _CLOSE = time(9, 30), time(16)
Session = tuple[datetime, datetime]


def session_day(at: datetime) -> date:
    """The New York date at the aware instant `at`."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    return at.astimezone(NEW_YORK).date()


@lru_cache(maxsize=4096)
def session_bounds(day: date) -> Session | None:
    """Open and close of the regular session of `day`, in UTC; None if there is none."""
    if _FIRST_YEAR <= day.year <= _LAST_YEAR:
        return _sessions().get(day)
    if day.weekday() >= 5:
        return None
    opens, closes = (datetime.combine(day, at, NEW_YORK) for at in (_OPEN, _CLOSE))
    return opens.astimezone(UTC), closes.astimezone(UTC)


def is_open(at: datetime) -> bool:
    """Whether the regular session is on at the aware instant `at` (open ≤ at < close)."""
    session = session_bounds(session_day(at))
    return session is not None and session[0] <= at < session[1]


def session_fraction(at: datetime) -> float:
    """Share of the day's session that has passed, within 0..1; NaN on a day without one."""
    session = session_bounds(session_day(at))
    if session is None:
        return float("nan")
    opens, closes = session
    return min(max((at - opens) / (closes - opens), 0.0), 1.0)


@lru_cache(maxsize=4096)
def expiry_instant(expiry: date, settlement: Settlement = "PM") -> datetime:
    """The UTC instant at which options of `expiry` settle.

    PM is the session's close, AM its open. An expiry on a day without a session (the Saturdays
    used until 2015, an unplanned closure) settles in the session before it.
    """
    session = session_bounds(expiry)
    if session is None:
        return expiry_instant(expiry - timedelta(days=1), settlement)
    return session[0] if settlement == "AM" else session[1]


def year_fraction(at: datetime, expiry: date, settlement: Settlement = "PM") -> float:
    """Years from the aware instant `at` to the expiry's instant, ACT/365.

    At least `MIN_TAU` before the instant, NaN from the instant on.
    """
    seconds = (expiry_instant(expiry, settlement) - at).total_seconds()
    return max(seconds / YEAR_SECONDS, MIN_TAU) if seconds > 0 else float("nan")


def trading_year_fraction(
    at: datetime, expiry: date, settlement: Settlement = "PM", closed_weight: float = 0.0
) -> float:
    """Years of trading from the aware instant `at` to the expiry's instant; see `trading_years`.

    At least a minute's worth before the instant, NaN from the instant on.

    >>> at = datetime(2026, 8, 14, 16, 45, tzinfo=UTC)  # a Friday, half of its session left
    >>> round(trading_year_fraction(at, date(2026, 8, 17)) * 252, 6)
    1.5

    Raises:
        ValueError: if the weight is not within 0 and 1.
    """
    end = expiry_instant(expiry, settlement)
    years = trading_years(at, end, closed_weight)
    return max(years, 60.0 / _weighted_year(closed_weight)) if end > at else float("nan")


def trading_years(start: datetime, end: datetime, closed_weight: float = 0.0) -> float:
    """Years of trading between two aware instants; 0 if `end` is not after `start`.

    A second of an open session counts 1, one of a night, weekend or holiday `closed_weight`, in
    0..1; half days count the hours that they have. A year is 252 × 6.5 open hours and, weighted,
    the rest of 365 days, so that a weight of 1 is ACT/365.

    Raises:
        ValueError: if the weight is not within 0 and 1.
    """
    if not 0.0 <= closed_weight <= 1.0:
        raise ValueError(f"closed_weight {closed_weight} is not within 0 and 1")
    seconds, opened = max((end - start).total_seconds(), 0.0), open_seconds(start, end)
    return (opened + closed_weight * (seconds - opened)) / _weighted_year(closed_weight)


def _weighted_year(closed_weight: float) -> float:
    return TRADING_YEAR_SECONDS + closed_weight * (YEAR_SECONDS - TRADING_YEAR_SECONDS)


def open_seconds(start: datetime, end: datetime) -> float:
    """Seconds of regular sessions between two aware instants; 0 if `end` is not after `start`."""
    if end <= start:
        return 0.0
    first, last = start.astimezone(UTC).year, end.astimezone(UTC).year
    whole = sum(_open_hours(year).total for year in range(first, last))
    return whole + _open_hours(last).before(end) - _open_hours(first).before(start)


@dataclass(frozen=True, slots=True)
class _OpenHours:
    """The sessions of a year: seconds since 1970 of each open, and how long it was open before."""

    opens: list[float]
    lengths: list[float]
    passed: list[float]
    total: float

    def before(self, at: datetime) -> float:
        """Open seconds of the year before `at`."""
        moment = at.timestamp()
        place = bisect_right(self.opens, moment) - 1
        if place < 0:
            return 0.0
        return self.passed[place] + min(moment - self.opens[place], self.lengths[place])


@lru_cache(maxsize=256)
def _open_hours(year: int) -> _OpenHours:
    # No session spans the turn of the year in UTC: New York closes at 21:00.
    days = (date(year, 1, 1) + timedelta(days=number) for number in range(366))
    sessions = [bounds for day in days if day.year == year and (bounds := session_bounds(day))]
    lengths = [(closes - opens).total_seconds() for opens, closes in sessions]
    passed = list(accumulate(lengths, initial=0.0))
    return _OpenHours([opens.timestamp() for opens, _ in sessions], lengths, passed, passed[-1])


@lru_cache(maxsize=1)
def _sessions() -> dict[date, Session]:
    # Imported here: the library brings 70 MB of pandas, which not every importer needs.
    from exchange_calendars import get_calendar

    calendar = get_calendar("XNYS", start=f"{_FIRST_YEAR}-01-01", end=f"{_LAST_YEAR}-12-31")
    days = calendar.sessions.date
    opens = calendar.opens.dt.to_pydatetime()
    closes = calendar.closes.dt.to_pydatetime()
    return dict(zip(days, zip(opens, closes, strict=True), strict=True))
