"""What is listed on the synthetic market: expiries, strikes, and when trading is on.

An expiry on every session of the exchange for two weeks, on the last session of each week for
six weeks, and on the third Friday's for three months. Strikes are whole units within 10 % of the
day's first spot, and multiples of five from there to 30 %.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from ml import calendar

DAILY_DAYS, WEEKLY_DAYS, MONTHLY_DAYS = 14, 42, 95
NEAR, FAR, FAR_SPACING = 0.10, 0.30, 5


def expiries(at: float) -> list[date]:
    """The expiries listed at `at` (seconds since 1970) whose instant has not passed."""
    now = datetime.fromtimestamp(at, UTC)
    return [day for day in listed_on(calendar.session_day(now))
            if calendar.expiry_instant(day) > now]


@lru_cache(maxsize=512)
def listed_on(today: date) -> tuple[date, ...]:
    """The expiries that are listed on a New York date, that day's own included."""
    days = (today + timedelta(days=ahead) for ahead in range(MONTHLY_DAYS))
    return tuple(day for day in days if _is_listed(day, (day - today).days))


def _is_listed(day: date, ahead: int) -> bool:
    if calendar.session_bounds(day) is None:
        return False
    if ahead < DAILY_DAYS:
        return True
    if not _is_last_session_of_week(day):
        return False
    third = _third_friday(day)
    return ahead < WEEKLY_DAYS or third - timedelta(days=4) <= day <= third


def _is_last_session_of_week(day: date) -> bool:
    later = (day + timedelta(days=ahead) for ahead in range(1, 7 - day.weekday()))
    return all(calendar.session_bounds(other) is None for other in later)


def _third_friday(day: date) -> date:
    first = day.replace(day=1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


@lru_cache(maxsize=64)
def strikes(spot: float) -> tuple[float, ...]:
    """The ladder of every expiry on a day whose first spot is `spot`, ascending."""
    low, high = int(spot * (1 - FAR)), int(spot * (1 + FAR))
    return tuple(float(strike) for strike in range(low, high + 1)
                 if strike % FAR_SPACING == 0 or abs(strike - spot) <= NEAR * spot)


def hours(days: Sequence[date], always_open: bool) -> list[tuple[date, str]]:
    """Each day's trading in the gateway's notation: `0930-20260105:1600` or `CLOSED`."""
    return [(day, _hours(day, always_open)) for day in days]


def _hours(day: date, always_open: bool) -> str:
    if always_open:
        return f"0000-{day + timedelta(days=1):%Y%m%d}:0000"
    session = calendar.session_bounds(day)
    if session is None:
        return "CLOSED"
    opens, closes = (end.astimezone(calendar.NEW_YORK) for end in session)
    return f"{opens:%H%M}-{closes:%Y%m%d:%H%M}"
