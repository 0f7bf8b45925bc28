import warnings

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.pricing import black, implied
from ml.pricing.implied import implied_vol, reasons

# The first call compiles, which takes longer than an example may.
untimed = settings(deadline=None)


def wide_grid(count=50_000):
    """Out-of-the-money options: total volatility 0.1 % to 600 %, to 7 standard deviations out."""
    generator = np.random.default_rng(4)
    total = np.exp(generator.uniform(np.log(1e-3), np.log(6.0), count))
    forward = generator.uniform(1.0, 5_000.0, count)
    strike = forward * np.exp(generator.uniform(-7.0, 7.0, count) * np.minimum(total, 1.5))
    is_call = strike >= forward
    price = black.price(forward, strike, 1.0, total, is_call)
    information = price > 1e-13 * np.maximum(forward, strike)
    information &= price < (1 - 1e-6) * np.minimum(forward, strike)
    return tuple(each[information] for each in (price, forward, strike, is_call, total))


def test_volatility_is_right_to_the_last_digits_on_a_wide_grid():
    price, forward, strike, is_call, total = wide_grid()
    error = np.abs(implied_vol(price, forward, strike, 1.0, is_call) / total - 1)
    print(f"\n{len(total)} options: largest error {error.max():.1e}, median {np.median(error):.1e}")
    assert len(total) > 30_000
    assert (error < 1e-11).all()
    assert (error[total > 0.05] < 2e-13).all()


def test_volatility_is_that_of_lets_be_rational():
    peer = pytest.importorskip("iv_engine", reason="the peer is not installed")
    price, forward, strike, is_call, _ = wide_grid()
    x = np.where(is_call, 1, -1) * np.log(forward / strike)
    normalised = price / np.sqrt(forward * strike)
    expected = np.asarray(peer.normalised_implied_volatilities(normalised, x, True, False))
    assert implied_vol(price, forward, strike, 1.0, is_call) == pytest.approx(expected, rel=1e-11)


@untimed
@given(st.floats(1.0, 5_000.0), st.floats(0.0, 4.0), st.floats(1e-3, 3.0), st.floats(0.05, 2.0),
       st.booleans(), st.floats(0.5, 1.05))
def test_volatility_is_quantlibs(forward, z, tau, vol, is_call, discount):
    strike = forward * np.exp(z * vol * np.sqrt(tau) * (1 if is_call else -1))
    price = float(black.price(forward, strike, tau, vol, is_call, discount))
    assume(price > 1e-10 * forward)
    kind = ql.Option.Call if is_call else ql.Option.Put
    expected = ql.blackFormulaImpliedStdDev(kind, strike, forward, price, discount, 0.0,
                                            vol * np.sqrt(tau), 1e-12, 1_000) / np.sqrt(tau)
    found = implied_vol(price, forward, strike, tau, is_call, discount)[0]
    assert found == pytest.approx(expected, rel=1e-6)


@untimed
@given(st.floats(1.0, 5_000.0), st.floats(-4.0, 4.0), st.floats(1e-4, 3.0), st.floats(0.02, 3.0),
       st.floats(0.5, 1.05))
def test_price_and_implied_volatility_are_each_others_inverse(forward, z, tau, vol, discount):
    strike = forward * np.exp(z * vol * np.sqrt(tau))
    is_call = strike >= forward
    price = black.price(forward, strike, tau, vol, is_call, discount)
    assume(price > 1e-12 * max(forward, strike))
    found = implied_vol(price, forward, strike, tau, is_call, discount)
    assert found[0] == pytest.approx(vol, rel=1e-9)


@untimed
@given(st.floats(0.01, 20.0), st.floats(1.001, 2.0))
def test_a_dearer_option_has_a_higher_volatility(price, factor):
    low, high = implied_vol(np.array([price, price * factor]), 100.0, 110.0, 0.25, True)
    assert high > low


def test_call_and_put_of_parity_have_one_volatility():
    strike = np.array([80.0, 100.0, 125.0])
    call = black.price(100.0, strike, 0.5, 0.3, True, 0.98)
    put = call - 0.98 * (100.0 - strike)
    of_call = implied_vol(call, 100.0, strike, 0.5, True, 0.98)
    assert implied_vol(put, 100.0, strike, 0.5, False, 0.98) == pytest.approx(of_call, rel=1e-10)


def test_calls_and_puts_mix_and_shapes_broadcast():
    strike, is_call = np.array([90.0, 110.0]), np.array([False, True])
    price = black.price(100.0, strike, 0.25, 0.3, is_call)
    found = implied_vol(np.stack([price, price]), 100.0, strike, 0.25, is_call)
    assert found == pytest.approx(np.full((2, 2), 0.3))
    assert reasons(np.stack([price, price]), 100.0, strike, 0.25, is_call).tolist() == [[0, 0]] * 2


@pytest.mark.parametrize(("price", "reason"), [
    (0.0, implied.AT_OR_BELOW_INTRINSIC), (-1.0, implied.AT_OR_BELOW_INTRINSIC),
    (100.0, implied.AT_OR_ABOVE_BOUND), (250.0, implied.AT_OR_ABOVE_BOUND),
    (1e-14, implied.NO_INFORMATION), (100.0 - 5e-14, implied.NO_INFORMATION),
    (np.nan, implied.NOT_FINITE), (np.inf, implied.NOT_FINITE),
])
def test_a_price_that_tells_no_volatility_is_nan_with_its_reason(price, reason):
    assert np.isnan(implied_vol(price, 100.0, 110.0, 0.25, True)[0])
    assert reasons(price, 100.0, 110.0, 0.25, True).tolist() == [reason]


@pytest.mark.parametrize(("strike", "is_call"), [(90.0, True), (110.0, False)])
def test_a_price_at_or_below_intrinsic_has_no_volatility(strike, is_call):
    for price in (9.8, 9.9):
        assert np.isnan(implied_vol(price, 100.0, strike, 0.25, is_call, 0.99)[0])
        assert reasons(price, 100.0, strike, 0.25, is_call, 0.99) in (
            implied.AT_OR_BELOW_INTRINSIC, implied.NO_INFORMATION)


def test_a_wing_below_the_rounding_of_its_terms_has_no_volatility():
    price = black.price(100.0, 160.0, 0.01, 0.2, True)
    assert 0 < price < 1e-20
    assert reasons(price, 100.0, 160.0, 0.01, True).tolist() == [implied.NO_INFORMATION]


@pytest.mark.parametrize(("inputs", "reason"), [
    ((0.0, 110.0, 0.25, 1.0), implied.OUT_OF_DOMAIN),
    ((100.0, 0.0, 0.25, 1.0), implied.OUT_OF_DOMAIN),
    ((100.0, 110.0, 0.25, 0.0), implied.OUT_OF_DOMAIN),
    ((100.0, 110.0, 0.0, 1.0), implied.NO_TIME),
    ((100.0, 110.0, -0.1, 1.0), implied.NO_TIME),
    ((100.0, 110.0, np.nan, 1.0), implied.NOT_FINITE),
    ((np.nan, 110.0, 0.25, 1.0), implied.NOT_FINITE),
    ((100.0, np.inf, 0.25, 1.0), implied.NOT_FINITE),
])
def test_an_input_out_of_domain_is_nan_with_its_reason(inputs, reason):
    forward, strike, tau, discount = inputs
    assert np.isnan(implied_vol(1.0, forward, strike, tau, True, discount)[0])
    assert reasons(1.0, forward, strike, tau, True, discount).tolist() == [reason]


def test_every_reason_has_words():
    assert len(implied.REASONS) == implied.NO_INFORMATION + 1


@untimed
@given(*[st.floats()] * 4, st.booleans(), st.floats())
def test_no_input_warns_and_what_is_not_nan_is_positive(
    price, forward, strike, tau, is_call, discount
):
    with warnings.catch_warnings(action="error"):
        vol = implied_vol(price, forward, strike, tau, is_call, discount)[0]
        reason = reasons(price, forward, strike, tau, is_call, discount)[0]
    assert (reason == implied.SOLVED) == bool(vol > 0)
    assert np.isnan(vol) or np.isfinite(vol)
