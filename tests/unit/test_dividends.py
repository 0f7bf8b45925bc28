from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.calendar import session_bounds
from ml.pricing.dividends import (
    MOST_AHEAD,
    RULES,
    Dividend,
    ex_dates,
    ex_instant,
    schedule,
    years_to_ex,
)

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
PUBLISHED = {
    "SPY": ["2023-03-17", "2023-06-16", "2023-09-15", "2023-12-15", "2024-03-15", "2024-06-21",
            "2024-09-20", "2024-12-20", "2025-03-21", "2025-06-20"],
    "QQQ": ["2024-03-18", "2024-06-24", "2024-09-23", "2024-12-23", "2025-03-24", "2025-06-23",
            "2025-09-22", "2025-12-22"],
    "DIA": ["2022-01-21", "2022-02-18", "2022-03-18", "2022-04-14", "2022-05-20", "2022-06-17",
            "2022-07-15", "2022-08-19", "2022-09-16", "2022-10-21", "2022-11-18", "2022-12-16"],
}


def days(*texts: str) -> list[date]:
    return [date.fromisoformat(text) for text in texts]


@pytest.mark.parametrize("symbol", PUBLISHED)
def test_the_rules_give_the_dates_that_were_published(symbol):
    published = days(*PUBLISHED[symbol])
    before = published[0] - timedelta(days=1)
    assert ex_dates(symbol, before, published[-1]) == published


def test_a_third_friday_without_a_session_goes_to_the_session_before():
    assert ex_dates("spy", date(2026, 6, 1), date(2026, 6, 30)) == days("2026-06-18")
    assert ex_dates("DIA", date(2022, 4, 1), date(2022, 4, 30)) == days("2022-04-14")


def test_bounds_are_open_below_and_closed_above():
    assert ex_dates("SPY", date(2026, 9, 17), date(2026, 9, 18)) == days("2026-09-18")
    assert ex_dates("SPY", date(2026, 9, 18), date(2026, 12, 17)) == []
    assert ex_dates("SPY", date(2026, 9, 18), date(2026, 3, 1)) == []


def test_symbols_without_a_rule_have_no_dates():
    for symbol in ("GOOG", "IWM", "SPX", ""):
        assert ex_dates(symbol, date(2020, 1, 1), date(2030, 1, 1)) == []


@pytest.mark.parametrize(("day", "instant"), [
    ("2026-09-18", datetime(2026, 9, 17, 20, 0, 1, tzinfo=UTC)),
    ("2026-12-21", datetime(2026, 12, 18, 21, 0, 1, tzinfo=UTC)),  # a Monday
    ("2025-11-28", datetime(2025, 11, 26, 21, 0, 1, tzinfo=UTC)),  # after Thanksgiving
    ("2025-12-26", datetime(2025, 12, 24, 18, 0, 1, tzinfo=UTC)),  # after a half day
    ("2026-09-19", datetime(2026, 9, 18, 20, 0, 1, tzinfo=UTC)),  # a Saturday stands for Monday
    ("2050-03-18", datetime(2050, 3, 17, 20, 0, 1, tzinfo=UTC)),  # beyond the calendar
])
def test_the_dividend_is_lost_after_the_close_of_the_session_before(day, instant):
    assert ex_instant(date.fromisoformat(day)) == instant


def test_years_to_an_ex_date_are_act_365():
    years = years_to_ex(AT, days("2026-09-18", "2026-08-14"))
    assert years[0] == pytest.approx((34 + 5 / 24) / 365, abs=1e-6)
    assert years[1] < 0


def test_the_schedule_takes_known_dividends_first_and_the_rule_after_them():
    known = (Dividend(date(2026, 9, 21), 1.5), Dividend(date(2026, 12, 18), 2.0))
    times, amounts = schedule(RULES["SPY"], known, AT, 0.7)
    assert amounts.tolist()[:2] == [1.5, 2.0]
    assert np.isnan(amounts[2:]).all()
    assert times == pytest.approx(years_to_ex(AT, days("2026-09-21", "2026-12-18", "2027-03-19")))


def test_past_dividends_and_those_beyond_the_last_expiry_are_left_out():
    known = (Dividend(date(2026, 12, 18), 2.0), Dividend(date(2026, 8, 14), 9.0))
    assert [values.tolist() for values in schedule(None, known, AT, 0.3)] == [[], []]
    times, amounts = schedule(None, known, AT, 0.4)
    assert amounts.tolist() == [2.0]
    assert 0 < times[0] <= 0.4


@given(st.sampled_from(sorted(RULES)), st.floats(-1.0, 1e6), st.floats(-1e4, 2.8e6))
def test_any_horizon_gives_ascending_dates_ahead(symbol, years, days_on):
    at = AT + timedelta(days=days_on)
    times, amounts = schedule(RULES[symbol], (), at, years)
    assert len(times) == len(amounts) <= MOST_AHEAD
    assert all(one < other for one, other in pairwise(times))
    assert ((times > 0) & (times <= max(years, 0))).all()


@given(st.sampled_from(sorted(RULES)), st.integers(2006, 2034))
def test_every_ex_date_is_a_session(symbol, year):
    dates = ex_dates(symbol, date(year - 1, 12, 31), date(year, 12, 31))
    assert len(dates) == len(RULES[symbol].months)
    assert all(session_bounds(day) for day in dates)
