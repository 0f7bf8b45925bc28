import warnings

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfcx

from ml.pricing import black

# The first call compiles, which takes longer than an example may.
untimed = settings(deadline=None)

forwards = st.floats(1.0, 5_000.0)
ratios = st.floats(0.3, 3.0)
taus = st.floats(1e-5, 3.0)
vols = st.floats(0.01, 3.0)


@untimed
@given(forwards, ratios, taus, vols, st.booleans(), st.floats(0.5, 1.05))
def test_price_is_quantlibs(forward, ratio, tau, vol, is_call, discount):
    strike = forward * ratio
    kind = ql.Option.Call if is_call else ql.Option.Put
    expected = ql.blackFormula(kind, strike, forward, vol * np.sqrt(tau), discount)
    found = black.price(forward, strike, tau, vol, is_call, discount)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-13 * (forward + strike))


@untimed
@given(forwards, st.floats(1.0, 10.0), st.floats(1e-3, 1.0), st.booleans())
def test_far_wings_keep_their_digits(forward, z, total, is_call):
    strike = forward * np.exp(z * total if is_call else -z * total)
    h, t = -abs(np.log(forward / strike)) / total, 0.5 * total
    tails = erfcx(-(h + t) / np.sqrt(2)) - erfcx((t - h) / np.sqrt(2))
    expected = 0.5 * np.sqrt(forward * strike) * np.exp(-0.5 * (h**2 + t**2)) * tails
    found = black.price(forward, strike, 1.0, total, is_call)
    assert found == pytest.approx(expected, rel=1e-14 * (10 + z) / total)


@untimed
@given(forwards, ratios, taus, vols)
def test_vega_is_the_slope_of_the_price(forward, ratio, tau, vol):
    strike, step = forward * ratio, 1e-5
    higher = black.price(forward, strike, tau, vol + step, True)
    lower = black.price(forward, strike, tau, vol - step, True)
    slope = (higher - lower) / (2 * step)
    found = black.vega(forward, strike, tau, vol)
    assert found == pytest.approx(slope, rel=1e-3, abs=1e-6 * forward)


@untimed
@given(forwards, ratios, taus, vols)
def test_price_grows_with_volatility_and_keeps_put_call_parity(forward, ratio, tau, vol):
    strike = forward * ratio
    call, dearer = black.price(forward, strike, tau, np.array([vol, 1.1 * vol]), True)
    put = black.price(forward, strike, tau, vol, False)
    assert dearer >= call
    assert call - put == pytest.approx(forward - strike, abs=1e-12 * (forward + strike))


def test_price_without_time_or_volatility_is_intrinsic():
    strike = np.array([90.0, 110.0])
    assert black.price(100.0, strike, 0.0, 0.2, True).tolist() == [10.0, 0.0]
    assert black.price(100.0, strike, 0.5, 0.0, False, 0.5).tolist() == [0.0, 5.0]
    assert black.vega(100.0, strike, 0.5, 0.0).tolist() == [0.0, 0.0]


def test_arguments_broadcast():
    found = black.price(100.0, np.array([[90.0], [110.0]]), 0.25, 0.2, np.array([True, False]))
    assert found.shape == (2, 2)


@pytest.mark.parametrize("wrong", [
    {"forward": -1.0}, {"forward": 0.0}, {"strike": 0.0}, {"tau": -0.1}, {"vol": -0.1},
    {"vol": np.nan}, {"tau": np.nan}, {"strike": np.inf}, {"vol": np.inf}, {"discount": np.inf},
])
def test_out_of_domain_is_nan(wrong):
    inputs = {"forward": 100.0, "strike": 100.0, "tau": 0.25, "vol": 0.2, **wrong}
    assert np.isnan(black.price(**inputs, is_call=True))
    assert np.isnan(black.vega(**inputs))


@untimed
@given(*[st.floats()] * 4, st.booleans(), st.floats())
def test_no_input_warns(forward, strike, tau, vol, is_call, discount):
    with warnings.catch_warnings(action="error"):
        black.price(forward, strike, tau, vol, is_call, discount)
        black.vega(forward, strike, tau, vol, discount)
