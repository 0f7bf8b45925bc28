import os
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.pricing import black, implied
from ml.pricing.american import (
    american_implied_vol,
    american_price,
    american_reasons,
    early_exercise_premium,
)
from ml.pricing.carry import Carry
from tests.unit.quantlib_american import (
    price_with_dividends,
    price_without_dividends,
    random_case,
)

CASES = int(os.environ.get("SMILE_AMERICAN_CASES", "16"))
"""Random options with dividends against QuantLib's finite differences, 0.3 s each; six times as
many without."""
PRICE_ERROR = 5e-5  # of the spot
LEAST_TIME_VALUE = 1e-4  # of the spot
LEAST_VEGA = 0.02  # of the European one at the money

# The first call compiles, which takes longer than an example may.
untimed = settings(deadline=None, max_examples=60)

zs = st.floats(-2.5, 1.5)
taus = st.floats(0.003, 2.0)
vols = st.floats(0.05, 1.5)
sides = st.booleans()
anything = st.floats()


@st.composite
def carries(draw):
    """Up to 8 dividends that leave most of a spot of 100."""
    count = draw(st.integers(0, 8))
    times = sorted(draw(st.lists(st.floats(0.0, 2.0), min_size=count, max_size=count)))
    amounts = draw(st.lists(st.floats(0.0, 2.0), min_size=count, max_size=count))
    rate, borrow = draw(st.floats(-0.01, 0.08)), draw(st.floats(-0.02, 0.05))
    return Carry(rate, borrow, np.array(times), np.array(amounts))


def strikes_of(forward, z, tau, vol, is_call):
    """Negative z is out of the money."""
    return np.atleast_1d(forward * np.exp(z * vol * np.sqrt(tau) * (-1 if is_call else 1)))


def exercise_of(carry, forward, strike, tau, is_call):
    return (carry.spot(forward, tau) - strike) * (1 if is_call else -1)


def limit_bp(case):
    """What `ml.pricing.american` promises of implied volatility."""
    if case.z < 0 and case.exercise < 0:
        return max(1.0, 2.0 * case.vol)
    return max(5.0, 10.0 * case.vol)


def errors(case, reference):
    """Errors of price (share of spot) and volatility (bp); None where price tells no volatility."""
    strike = np.array([case.strike])
    market = case.tau, case.is_call, case.carry
    vol = case.vol * np.array([0.99, 1.0, 1.01])
    low, found, high = american_price(case.forward, strike, market[0], vol, *market[1:])
    if reference <= case.exercise + LEAST_TIME_VALUE * case.spot:
        return abs(found - reference) / case.spot, None
    if (high - low) / (0.02 * case.vol) < LEAST_VEGA * 0.4 * case.spot * np.sqrt(case.tau):
        return abs(found - reference) / case.spot, None
    vol = american_implied_vol(np.array([reference]), case.forward, strike, *market)[0]
    return abs(found - reference) / case.spot, 1e4 * abs(vol - case.vol)


@pytest.mark.parametrize("with_dividends", [False, True])
def test_prices_and_volatilities_are_quantlibs(with_dividends):
    generator = np.random.default_rng(20250602)
    price = price_with_dividends if with_dividends else price_without_dividends
    cases = [random_case(generator, with_dividends)
             for _ in range(CASES if with_dividends else 6 * CASES)]
    found = [(case, *errors(case, price(case))) for case in cases]
    told = [(case, vol) for case, _, vol in found if vol is not None]
    print(f"\n{len(found)} options, dividends: {with_dividends}; largest error of price"
          f" {max(error for _, error, _ in found):.1e} of the spot, of {len(told)} volatilities"
          f" {max(vol for _, vol in told):.2f} bp,"
          f" {max(vol / limit_bp(case) for case, vol in told):.0%} of its bound")
    assert len(told) > len(found) / 2
    for case, error, _ in found:
        assert error < PRICE_ERROR, case
    for case, vol in told:
        assert vol < limit_bp(case), case


def test_the_escrowed_model_of_quantlib_has_the_same_european_price():
    generator = np.random.default_rng(7)
    for case in [random_case(generator, True) for _ in range(4)]:
        expected = black.price(case.forward, case.strike, case.tau, case.vol, case.is_call,
                               case.carry.discount(case.tau))
        assert price_with_dividends(case, "european") == pytest.approx(
            expected, abs=1e-5 * case.spot)


@untimed
@given(zs, taus, vols, sides, carries())
def test_an_american_option_is_worth_a_european_one_and_exercise(z, tau, vol, is_call, carry):
    forward = carry.forward(100.0, tau)
    strike = strikes_of(forward, z, tau, vol, is_call)
    premium = early_exercise_premium(forward, strike, tau, vol, is_call, carry)
    assert premium >= 0
    price = american_price(forward, strike, tau, vol, is_call, carry)
    assert price >= black.price(forward, strike, tau, vol, is_call, carry.discount(tau))
    assert price >= exercise_of(carry, forward, strike, tau, is_call) - 1e-9


@untimed
@given(zs, taus, vols, st.floats(1.02, 1.5), sides, carries())
def test_price_grows_with_volatility(z, tau, vol, factor, is_call, carry):
    forward = carry.forward(100.0, tau)
    strike = strikes_of(forward, z, tau, vol, is_call)
    low, high = american_price(
        forward, strike, tau, np.array([vol, factor * vol]), is_call, carry)
    assert high > low - 5e-3


@untimed
@given(zs, taus, vols, st.floats(0.1, 20.0), sides, carries())
def test_price_moves_with_the_strike_by_less_than_the_strike(
    z, tau, vol, step, is_call, carry
):
    forward = carry.forward(100.0, tau)
    strike = strikes_of(forward, z, tau, vol, is_call) + np.array([0.0, step])
    low, high = american_price(forward, strike, tau, vol, is_call, carry)
    change = low - high if is_call else high - low
    assert -5e-3 < change < step + 5e-3


@untimed
@given(zs, taus, vols, sides, carries())
def test_implied_volatility_is_the_inverse_of_price(z, tau, vol, is_call, carry):
    forward = carry.forward(100.0, tau)
    strike = strikes_of(forward, z, tau, vol, is_call)
    price = american_price(forward, strike, tau, vol, is_call, carry)
    assume(price > exercise_of(carry, forward, strike, tau, is_call) + 1e-2)
    step = american_price(forward, strike, tau, 1.01 * vol, is_call, carry) - price
    assume(step > 0.01 * vol * 0.05 * 40.0 * np.sqrt(tau))
    found = american_implied_vol(price, forward, strike, tau, is_call, carry)
    assert found == pytest.approx(vol, abs=5e-4 + 1e-3 * vol)


@untimed
@given(st.floats(-1.0, 1.0), taus, vols, st.floats(0.0, 0.08), carries())
def test_call_less_put_keeps_the_bounds_of_parity(z, tau, vol, rate, carry):
    carry = Carry(rate, 0.0, carry.dividend_times, carry.dividend_amounts)
    forward = carry.forward(100.0, tau)
    strike = strikes_of(forward, z, tau, vol, True)
    call, put = (american_price(forward, strike, tau, vol, side, carry) for side in (True, False))
    escrowed = 100.0 - carry.dividends_value(tau)
    assert call - put > escrowed - strike - 1e-2
    assert call - put < 100.0 - strike * carry.discount(tau) + 1e-2


@untimed
@given(zs, taus, vols, st.floats(0.0, 0.08), st.floats(0.0, 0.05))
def test_no_premium_where_waiting_always_pays(z, tau, vol, high, low):
    for is_call, carry in ((True, Carry(high, -low)), (False, Carry(-high, low))):
        forward = carry.forward(100.0, tau)
        strike = strikes_of(forward, z, tau, vol, is_call)
        assert early_exercise_premium(forward, strike, tau, vol, is_call, carry) == 0.0


def test_a_dividend_smaller_than_the_interest_it_costs_leaves_a_call_no_premium():
    strike = np.array([90.0, 100.0, 110.0])
    for amount, some in ((0.8, False), (2.0, True)):
        carry = Carry(0.04, 0.0, np.array([0.25]), np.array([amount]))
        premium = early_exercise_premium(100.0, strike, 0.5, 0.2, True, carry)
        assert (premium > 0).tolist() == [some] * 3


def test_an_ex_date_hours_before_expiry_is_exercised_the_evening_before():
    hours, tau = 6.5 / (24 * 365), 0.25
    carry = Carry(0.04, 0.0, np.array([tau - hours]), np.array([1.8]))
    forward = carry.forward(500.0, tau)
    strike = np.array([450.0, 500.0, 550.0])
    found = american_price(forward, strike, tau, 0.2, True, carry)
    eve = tau - hours
    undropped = black.price(
        forward * np.exp(-0.04 * hours), strike - 1.8, eve, 0.2, True, carry.discount(eve))
    assert found == pytest.approx(undropped, rel=1e-3)
    assert (found > undropped - 1e-3).all()


def test_without_volatility_the_best_instant_decides():
    carry = Carry(0.05)
    put = american_price(carry.forward(100.0, 1.0), np.array([90.0, 110.0]), 1.0, 0.0, False, carry)
    assert put == pytest.approx([0.0, 10.0])


def test_a_price_that_exercise_gives_has_no_volatility_and_says_so():
    carry = Carry(0.05, 0.0, np.array([0.2]), np.array([1.0]))
    price = np.array([[10.0, 9.0, np.nan, 0.0, 110.0]])
    strike = np.array([110.0, 110.0, 90.0, 90.0, 110.0])
    market = carry.forward(100.0, 0.5), strike, 0.5, False, carry
    assert np.isnan(american_implied_vol(price, *market)).all()
    assert american_reasons(price, *market).tolist() == [[
        implied.AT_OR_BELOW_INTRINSIC, implied.AT_OR_BELOW_INTRINSIC, implied.NOT_FINITE,
        implied.AT_OR_BELOW_INTRINSIC, implied.AT_OR_ABOVE_BOUND]]


def test_bid_mid_and_ask_have_the_volatilities_they_have_alone():
    carry = Carry(0.05, 0.01, np.array([0.1, 0.35]), np.array([1.0, 1.0]))
    tau, strike = 0.5, np.linspace(80.0, 125.0, 19)
    forward, is_call = carry.forward(100.0, tau), strike > 100.0
    prices = np.stack([american_price(forward, strike, tau, vol, is_call, carry)
                       for vol in (0.19, 0.2, 0.215)])
    prices[0, :3] = np.nan
    together = american_implied_vol(prices, forward, strike, tau, is_call, carry)
    alone = [american_implied_vol(row, forward, strike, tau, is_call, carry) for row in prices]
    assert together == pytest.approx(np.stack(alone), abs=1e-4, nan_ok=True)
    assert np.isnan(together).sum() == 3


def test_volatility_without_premium_is_the_european_one():
    strike = np.array([90.0, 110.0])
    price = black.price(100.0, strike, 0.5, 0.3, True, np.exp(-0.02))
    found = american_implied_vol(price, 100.0, strike, 0.5, True, Carry(0.04))
    assert found == pytest.approx([0.3, 0.3], rel=1e-12)


@pytest.mark.parametrize("wrong", [
    {"forward": 0.0}, {"forward": np.nan}, {"tau": 0.0}, {"tau": np.nan}, {"tau": 1e6},
    {"strike": np.array([-1.0])}, {"strike": np.array([np.inf])},
])
def test_out_of_domain_is_nan(wrong):
    market = {"forward": 100.0, "strike": np.array([100.0]), "tau": 0.25, "is_call": False,
              "carry": Carry(0.04), **wrong}
    assert np.isnan(early_exercise_premium(vol=0.2, **market)).all()
    assert np.isnan(american_implied_vol(np.array([5.0]), **market)).all()
    assert (american_reasons(np.array([5.0]), **market) != implied.SOLVED).all()


@untimed
@given(anything, anything, anything, anything, anything, sides, carries())
def test_no_input_warns(price, forward, strike, tau, vol, is_call, carry):
    with warnings.catch_warnings(action="error"):
        premium = early_exercise_premium(forward, np.array([strike]), tau, vol, is_call, carry)
        found = american_implied_vol(
            np.array([price]), forward, np.array([strike]), tau, is_call, carry)
    assert np.isnan(premium) or premium >= 0
    assert np.isnan(found) or found > 0
