from datetime import UTC, date, datetime, timedelta
from math import isnan

import pytest

from ml.calendar import (
    MIN_TAU,
    expiry_instant,
    is_open,
    session_bounds,
    session_day,
    session_fraction,
    year_fraction,
)


@pytest.mark.parametrize(("expiry", "settlement", "instant"), [
    (date(2026, 8, 21), "PM", datetime(2026, 8, 21, 20, tzinfo=UTC)),
    (date(2026, 8, 21), "AM", datetime(2026, 8, 21, 13, 30, tzinfo=UTC)),
    (date(2026, 1, 16), "PM", datetime(2026, 1, 16, 21, tzinfo=UTC)),  # winter time
    (date(2015, 12, 24), "PM", datetime(2015, 12, 24, 18, tzinfo=UTC)),  # half day
    (date(2028, 1, 21), "PM", datetime(2028, 1, 21, 21, tzinfo=UTC)),  # LEAPS
    (date(2041, 6, 21), "PM", datetime(2041, 6, 21, 20, tzinfo=UTC)),  # beyond the calendar
    (date(2015, 1, 17), "PM", datetime(2015, 1, 16, 21, tzinfo=UTC)),  # a Saturday
    (date(2026, 4, 3), "PM", datetime(2026, 4, 2, 20, tzinfo=UTC)),  # Good Friday
    (date(2026, 4, 3), "AM", datetime(2026, 4, 2, 20, tzinfo=UTC)),
])
def test_expiry_is_an_instant_of_the_exchange(expiry, settlement, instant):
    assert expiry_instant(expiry, settlement) == instant


def test_year_fraction_counts_calendar_days():
    at = expiry_instant(date(2026, 8, 21)) - timedelta(days=73)
    assert year_fraction(at, date(2026, 8, 21)) == pytest.approx(0.2)


def test_year_fraction_has_a_floor_before_expiry_and_is_unknown_after():
    instant = expiry_instant(date(2026, 8, 21))
    assert year_fraction(instant - timedelta(seconds=1), date(2026, 8, 21)) == MIN_TAU
    assert isnan(year_fraction(instant, date(2026, 8, 21)))
    assert isnan(year_fraction(instant + timedelta(days=1), date(2026, 8, 21)))


def test_session_day_is_the_new_york_date():
    assert session_day(datetime(2026, 8, 15, 3, 59, tzinfo=UTC)) == date(2026, 8, 14)
    assert session_day(datetime(2026, 8, 15, 4, 0, tzinfo=UTC)) == date(2026, 8, 15)


def test_an_instant_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        session_day(datetime(2026, 8, 14, 12, 0))  # noqa: DTZ001


def test_is_open_from_the_open_until_just_before_the_close():
    opens, closes = session_bounds(date(2015, 12, 24))
    assert not is_open(opens - timedelta(seconds=1))
    assert is_open(opens)
    assert is_open(closes - timedelta(seconds=1))
    assert not is_open(closes)


@pytest.mark.parametrize("day", [date(2026, 8, 15), date(2026, 12, 25), date(2041, 6, 22)])
def test_a_day_without_a_session_has_no_bounds(day):
    assert session_bounds(day) is None
    noon = datetime(day.year, day.month, day.day, 16, tzinfo=UTC)
    assert not is_open(noon)
    assert isnan(session_fraction(noon))


def test_session_fraction_runs_from_0_to_1_on_a_half_day_too():
    opens, closes = session_bounds(date(2015, 12, 24))
    assert session_fraction(opens - timedelta(hours=1)) == 0
    assert session_fraction(opens + (closes - opens) / 4) == pytest.approx(0.25)
    assert session_fraction(closes + timedelta(hours=1)) == 1
