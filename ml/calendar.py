"""Market time: the instant at which an expiry settles, and the year fraction until then.

Sessions are those of the New York Stock Exchange (XNYS of `exchange_calendars`), half days
included. Years beyond the calendar's own bounds get plain weekdays, 09:30 to 16:00 New York.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ml.types import Settlement

NEW_YORK = ZoneInfo("America/New_York")
YEAR_SECONDS = 365 * 86_400.0
MIN_TAU = 60 / YEAR_SECONDS
"""Floor of the year fraction before expiry: one minute."""

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
    used until 2015, an unplanned closure) settles at the close of the session before it.
    """
    session = session_bounds(expiry)
    if session is None:
        return expiry_instant(expiry - timedelta(days=1))
    return session[0] if settlement == "AM" else session[1]


def year_fraction(at: datetime, expiry: date, settlement: Settlement = "PM") -> float:
    """Years from the aware instant `at` to the expiry's instant, ACT/365.

    At least `MIN_TAU` before the instant, NaN from the instant on.
    """
    seconds = (expiry_instant(expiry, settlement) - at).total_seconds()
    return max(seconds / YEAR_SECONDS, MIN_TAU) if seconds > 0 else float("nan")


@lru_cache(maxsize=1)
def _sessions() -> dict[date, Session]:
    # Imported here: the library brings 70 MB of pandas, which not every importer needs.
    from exchange_calendars import get_calendar

    calendar = get_calendar("XNYS", start=f"{_FIRST_YEAR}-01-01", end=f"{_LAST_YEAR}-12-31")
    days = calendar.sessions.date
    opens = calendar.opens.dt.to_pydatetime()
    closes = calendar.closes.dt.to_pydatetime()
    return dict(zip(days, zip(opens, closes, strict=True), strict=True))
