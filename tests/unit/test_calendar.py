from datetime import UTC, date, datetime, timedelta
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.calendar import (
    MIN_TAU,
    TRADING_YEAR_SECONDS,
    expiry_instant,
    is_open,
    open_seconds,
    session_bounds,
    session_day,
    session_fraction,
    trading_year_fraction,
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
    (date(2026, 4, 3), "AM", datetime(2026, 4, 2, 13, 30, tzinfo=UTC)),
    (date(2014, 6, 21), "AM", datetime(2014, 6, 20, 13, 30, tzinfo=UTC)),  # a Saturday
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


MOMENTS = st.integers(0, 50 * 365 * 86_400).map(
    lambda seconds: datetime(1995, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(("start", "end", "hours"), [
    (utc(2015, 12, 24, 12), utc(2015, 12, 24, 23), 3.5),  # half day
    (utc(2015, 12, 24, 17), utc(2015, 12, 28, 15, 30), 2.0),  # over Christmas and a weekend
    (utc(2026, 8, 15), utc(2026, 8, 16), 0.0),
    (utc(2026, 8, 14, 15), utc(2026, 8, 14, 16), 1.0),
    (utc(2026, 8, 14, 16), utc(2026, 8, 14, 15), 0.0),
    (utc(2026, 12, 31, 20), utc(2027, 1, 4, 15, 30), 2.0),  # over the turn of the year
    (utc(2041, 6, 21, 13), utc(2041, 6, 24, 14, 30), 7.5),  # beyond the calendar
    (utc(2015, 1, 1), utc(2016, 1, 1), 250 * 6.5 + 2 * 3.5),  # two half days
])
def test_open_seconds_are_those_of_sessions(start, end, hours):
    assert open_seconds(start, end) == pytest.approx(hours * 3600)


@given(MOMENTS, MOMENTS, MOMENTS)
def test_open_seconds_add_up_and_never_exceed_the_time_between(first, second, third):
    first, second, third = sorted((first, second, third))
    whole = open_seconds(first, third)
    assert open_seconds(first, second) + open_seconds(second, third) == pytest.approx(whole)
    assert 0 <= whole <= (third - first).total_seconds()


def test_the_trading_clock_stands_still_while_the_exchange_is_closed():
    expiry = date(2026, 8, 21)
    friday, monday = utc(2026, 8, 14, 20), utc(2026, 8, 17, 13, 30)
    assert trading_year_fraction(friday, expiry) == trading_year_fraction(monday, expiry)
    assert trading_year_fraction(friday, expiry) == pytest.approx(5 / 252)
    assert trading_year_fraction(friday, expiry, closed_weight=0.1) > trading_year_fraction(
        monday, expiry, closed_weight=0.1)


@given(MOMENTS)
def test_with_a_weight_of_1_the_trading_clock_is_the_calendar(at):
    expiry = (at + timedelta(days=40)).date()
    assert trading_year_fraction(at, expiry, closed_weight=1.0) == pytest.approx(
        year_fraction(at, expiry))


def test_the_trading_clock_has_a_floor_before_the_instant_and_is_unknown_after():
    expiry = date(2026, 8, 21)
    opens = expiry_instant(expiry, "AM")
    overnight = trading_year_fraction(opens - timedelta(hours=3), expiry, "AM")
    assert overnight == pytest.approx(60 / TRADING_YEAR_SECONDS)
    assert isnan(trading_year_fraction(opens, expiry, "AM"))


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_an_impossible_weight_is_refused(weight):
    with pytest.raises(ValueError, match="closed_weight"):
        trading_year_fraction(utc(2026, 8, 14, 15), date(2026, 8, 21), closed_weight=weight)
