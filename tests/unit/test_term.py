from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.pricing.carry import Carry
from ml.pricing.conventions import conventions
from ml.pricing.dividends import Dividend, ex_dates, years_to_ex
from ml.pricing.term import MAX_SPOT_GAP, discounts_of, fit_rate, fit_term, rate_belief

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
NAN = float("nan")
SPOT = 776.0
TAUS = np.array([0.01, 0.03, 0.06, 0.12, 0.2, 0.3, 0.45, 0.6, 0.9, 1.4, 2.1])
SPY, GOOG, SPX = conventions("SPY"), conventions("GOOG"), conventions("SPX")
ANY_FLOAT = st.one_of(st.floats(), st.floats(0.01, 1e4), st.sampled_from([0.0, -1.0, 1e300]))


def forwards_of(carry, taus=TAUS, spot=SPOT):
    return np.array([carry.forward(spot, tau) for tau in taus])


def quarterly(amount=1.9, rate=0.04):
    dates = ex_dates("SPY", AT.date(), date(2029, 1, 1))
    return Carry(rate, 0.0, np.array(years_to_ex(AT, dates)), np.full(len(dates), amount))


def fit(forwards, style, error=0.02, spot=SPOT, **more):
    return fit_term(AT, TAUS, forwards, np.full(len(TAUS), error), spot, style, **more)


def test_the_growth_between_expiries_and_the_spot_are_recovered():
    term = fit(forwards_of(Carry(0.04)), GOOG)
    assert term.spot == pytest.approx(SPOT, abs=0.1)
    for tau in (0.05, 0.5, 2.0):
        assert term.rate_at(tau) - term.borrow_at(tau) == pytest.approx(0.04, abs=3e-4)
        forward, error = term.forward_at(tau)
        assert forward == pytest.approx(Carry(0.04).forward(SPOT, tau), abs=3 * error)
        assert error < 3e-4 * SPOT


def test_dividends_at_the_rules_dates_are_recovered_from_steps():
    carry = quarterly()
    term = fit(forwards_of(carry), SPY)
    ahead = carry.dividend_times <= TAUS[-1]
    assert term.dividend_times == pytest.approx(carry.dividend_times[ahead])
    assert term.dividends[:4] == pytest.approx(1.9, rel=0.1)
    assert (term.dividend_errors > 0).all()
    assert term.forward_at(0.45)[0] == pytest.approx(carry.forward(SPOT, 0.45), rel=1e-4)


def test_known_dividends_count_as_they_are_and_the_rule_goes_on_after_them():
    style = replace(SPY, dividends=(Dividend(date(2026, 9, 18), 1.9),))
    term = fit(forwards_of(quarterly()), style)
    assert term.dividends[0] == pytest.approx(1.9)
    assert term.dividend_errors[0] == 0
    assert term.dividends[1] == pytest.approx(1.9, rel=0.1)


def test_the_carry_of_an_expiry_gives_back_its_forward():
    term = fit(forwards_of(quarterly()), SPY)
    for tau in (0.02, 0.2, 1.1):
        carry = term.carry_at(tau)
        assert carry.forward(term.spot, tau) == pytest.approx(term.forward_at(tau)[0], rel=3e-6)
        assert carry.discount(tau) == pytest.approx(term.discount_at(tau))
        assert (carry.dividend_times <= tau).all()


def test_an_american_rate_is_the_growth_with_little_borrow():
    term = fit(forwards_of(Carry(0.045)), GOOG)
    assert term.rate_at(1.0) == pytest.approx(0.045, abs=2e-3)
    assert abs(term.borrow_at(1.0)) < 2e-3
    assert 0.004 < term.rate_error < 0.006


def test_a_growth_that_is_no_rate_is_borrow():
    term = fit(forwards_of(Carry(0.03, 0.3)), GOOG)
    assert term.rate_at(1.0) == pytest.approx(0.03, abs=0.01)
    assert term.borrow_at(1.0) == pytest.approx(0.3, abs=0.02)


def test_slopes_tell_the_rate_and_the_borrow_is_what_growth_leaves():
    discounts = np.exp(-0.05 * TAUS)
    slopes = (discounts, 1e-3 * np.sqrt(TAUS))
    term = fit(forwards_of(Carry(0.05, 0.015)), SPX, slopes=slopes)
    assert term.rate_at(1.0) == pytest.approx(0.05, abs=1e-3)
    assert term.borrow_at(1.0) == pytest.approx(0.015, abs=1e-3)


def test_wrong_slopes_are_outvoted_and_without_any_the_belief_stands():
    discounts = np.exp(-0.05 * TAUS)
    errors = 1e-3 * np.sqrt(TAUS)
    discounts[7] += 0.05
    (short, tilt), _ = fit_rate(TAUS, (discounts, errors), rate_belief(SPX))
    assert short + tilt * 0.37 == pytest.approx(0.05, abs=2e-3)
    nothing = fit_rate(TAUS, (np.full(len(TAUS), NAN), np.full(len(TAUS), np.inf)),
                       rate_belief(SPX))
    assert nothing[0] == pytest.approx((0.03, 0.0))
    level, error = discounts_of(nothing, TAUS)
    assert level == pytest.approx(np.exp(-0.03 * TAUS))
    assert error[-1] == pytest.approx(0.02 * TAUS[-1], rel=0.1)


@pytest.mark.parametrize("wrong", [[0], [5], [10], [2, 7]])
def test_outlying_expiries_are_predicted_from_the_others(wrong):
    forwards = forwards_of(Carry(0.04))
    clean = forwards.copy()
    forwards[wrong] *= 1.05
    term = fit(forwards, GOOG)
    for row in wrong:
        predicted, error = term.left_out[row]
        assert abs(predicted - clean[row]) < 4 * error
        assert error < 0.02 * SPOT
    assert term.spot == pytest.approx(SPOT, rel=1e-3)


def test_the_spot_counts_where_forwards_are_few_and_not_where_they_contradict_it():
    lone = fit_term(AT, TAUS[5:6], np.array([NAN]), np.array([NAN]), SPOT, GOOG)
    assert lone.forward_at(TAUS[5])[0] == pytest.approx(SPOT * np.exp(0.03 * TAUS[5]))
    assert lone.forward_at(TAUS[5])[1] > 1e-3 * SPOT
    term = fit(forwards_of(Carry(0.04)), GOOG, spot=SPOT * 1.03)
    assert term.spot == pytest.approx(SPOT, rel=1e-4)
    assert term.spot_gap == pytest.approx(np.log(1.03), abs=1e-3)
    assert term.spot_off


@pytest.mark.parametrize(("by", "off"), [(0.0, False), (0.5 * MAX_SPOT_GAP, False), (0.02, True)])
def test_a_spot_is_called_off_beyond_what_quotes_lag(by, off):
    term = fit(forwards_of(Carry(0.04)), GOOG, spot=SPOT * np.exp(by))
    assert term.spot_gap == pytest.approx(by, abs=2e-4)
    assert term.spot_off is off


def test_without_a_spot_the_gap_is_unknown():
    term = fit(forwards_of(Carry(0.04)), GOOG, spot=NAN)
    assert np.isnan(term.spot_gap)
    assert not term.spot_off
    assert term.spot == pytest.approx(SPOT, abs=0.1)


def test_without_anything_there_is_no_term_structure():
    none = np.full(len(TAUS), NAN)
    assert fit_term(AT, TAUS, none, none, NAN, GOOG) is None
    assert fit_term(AT, none, forwards_of(Carry(0.04)), none, 0.0, GOOG) is None


def test_errors_of_predictions_are_of_the_size_of_what_they_are_off():
    random = np.random.default_rng(4)
    clean, off = forwards_of(quarterly()), []
    for _ in range(100):
        noise = random.normal(0, 0.1, len(TAUS))
        term = fit(clean + noise, SPY, error=0.1)
        off.append((term.left_out[:, 0] - clean) / term.left_out[:, 1])
    assert 0.6 < np.std(off) < 1.4


@settings(deadline=None)
@given(st.data())
def test_no_input_raises_or_warns_and_what_is_found_is_finite(data):
    count = data.draw(st.integers(1, 5))
    draw = [data.draw(arrays(np.float64, count, elements=ANY_FLOAT)) for _ in range(5)]
    style = data.draw(st.sampled_from([SPY, GOOG, SPX, conventions("VIX"), replace(
        SPY, dividends=(Dividend(date(2026, 8, 20), 1e9),))]))
    slopes = data.draw(st.sampled_from([None, (draw[3], draw[4])]))
    term = fit_term(AT, *draw[:3], data.draw(ANY_FLOAT), style, slopes)
    if term is None:
        return
    assert np.isfinite([term.spot, term.spot_error, *term.growth, *term.rate]).all()
    for tau in (1e-6, 0.1, 3.0):
        carry = term.carry_at(tau)
        assert np.isfinite([carry.rate, carry.borrow, term.discount_at(tau)]).all()
        assert term.forward_at(tau)[0] > 0
