import warnings
from dataclasses import fields

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pricing import black
from ml.pricing.greeks import Greeks, greeks

# The first call compiles, which takes longer than an example may.
untimed = settings(deadline=None)

forwards = st.floats(10.0, 2_000.0)
zs = st.floats(-3.0, 3.0)
taus = st.floats(0.01, 3.0)
vols = st.floats(0.05, 1.5)
rates = st.floats(-0.02, 0.1)
anything = st.floats(allow_nan=True, allow_infinity=True)


def strike_of(forward, z, tau, vol):
    return forward * np.exp(z * vol * np.sqrt(tau))


def spot_price(spot, strike, tau, vol, is_call, rate, borrow):
    forward = spot * np.exp((rate - borrow) * tau)
    return float(black.price(forward, strike, tau, vol, is_call, np.exp(-rate * tau)))


@untimed
@given(forwards, zs, taus, vols, st.booleans(), rates, rates)
def test_greeks_are_quantlibs(forward, z, tau, vol, is_call, rate, borrow):
    strike = strike_of(forward, z, tau, vol)
    spot = forward * np.exp((borrow - rate) * tau)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike)
    reference = ql.BlackCalculator(payoff, forward, vol * np.sqrt(tau), np.exp(-rate * tau))
    found = greeks(forward, strike, tau, vol, is_call, rate, borrow)
    assert found.delta_forward == pytest.approx(reference.deltaForward(), abs=1e-10)
    assert found.delta == pytest.approx(reference.delta(spot), abs=1e-10)
    assert found.gamma == pytest.approx(reference.gamma(spot), rel=1e-7, abs=1e-12)
    assert found.vega == pytest.approx(reference.vega(tau), rel=1e-9)
    assert found.theta == pytest.approx(reference.theta(spot, tau), rel=1e-6, abs=1e-7 * forward)
    assert found.theta_day == pytest.approx(reference.thetaPerDay(spot, tau), rel=1e-6, abs=1e-7)
    assert found.rho == pytest.approx(reference.rho(tau), abs=1e-9 * forward)


@untimed
@given(forwards, st.floats(-2.0, 2.0), st.floats(0.05, 3.0), st.floats(0.1, 1.0), st.booleans(),
       rates, rates)
def test_greeks_are_differences_of_the_price(forward, z, tau, vol, is_call, rate, borrow):
    strike = strike_of(forward, z, tau, vol)
    at = np.array([forward * np.exp((borrow - rate) * tau), tau, vol, rate])
    found = greeks(forward, strike, tau, vol, is_call, rate, borrow)

    def value(spot, time, sigma, r):
        return spot_price(spot, strike, time, sigma, is_call, r, borrow)

    def slope(row, step):
        shift = step * np.eye(4)[row]
        return (value(*(at + shift)) - value(*(at - shift))) / (2 * step)

    close = {"rel": 1e-4, "abs": 1e-6 * forward}
    assert found.delta == pytest.approx(slope(0, 1e-4 * forward), rel=1e-4, abs=1e-6)
    assert found.theta == pytest.approx(-slope(1, 1e-5), **close)
    assert found.vega == pytest.approx(slope(2, 1e-5), **close)
    assert found.rho == pytest.approx(slope(3, 1e-5), **close)


@untimed
@given(forwards, st.floats(-2.0, 2.0), st.floats(0.05, 3.0), st.floats(0.1, 1.0), st.booleans(),
       rates, rates)
def test_second_greeks_are_differences_of_the_first(
    forward, z, tau, vol, is_call, rate, borrow
):
    strike, step = strike_of(forward, z, tau, vol), 1e-4

    def at(spot_factor=1.0, vol_step=0.0):
        return greeks(forward * spot_factor, strike, tau, vol + vol_step, is_call, rate, borrow)

    found, spot = at(), forward * np.exp((borrow - rate) * tau)
    by_spot = (at(1 + step).delta - at(1 - step).delta) / (2 * step * spot)
    assert found.gamma == pytest.approx(by_spot, rel=1e-3, abs=1e-6 / forward)
    higher, lower = at(vol_step=step), at(vol_step=-step)
    close = {"rel": 1e-3, "abs": 1e-4}
    assert found.vanna == pytest.approx((higher.delta - lower.delta) / (2 * step), **close)
    assert found.volga == pytest.approx(
        (higher.vega - lower.vega) / (2 * step), rel=1e-3, abs=1e-4 * forward
    )


def test_without_time_delta_is_that_of_the_payoff():
    strike = np.array([90.0, 100.0, 110.0])
    call, put = (greeks(100.0, strike, 0.0, 0.2, side) for side in (True, False))
    assert call.delta == pytest.approx([1.0, 0.5, 0.0])
    assert put.delta == pytest.approx([0.0, -0.5, -1.0])
    for name in ("gamma", "vega", "vanna", "volga"):
        assert getattr(call, name).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("wrong", [
    {"forward": 0.0}, {"strike": -1.0}, {"tau": -0.1}, {"vol": np.nan}, {"rate": np.inf},
])
def test_out_of_domain_is_nan(wrong):
    inputs = {"forward": 100.0, "strike": 100.0, "tau": 0.25, "vol": 0.2, **wrong}
    found = greeks(**inputs, is_call=True)
    assert all(np.isnan(getattr(found, field.name)) for field in fields(Greeks))


def test_arguments_broadcast():
    found = greeks(100.0, np.array([[90.0], [110.0]]), 0.25, 0.2, np.array([True, False, True]))
    assert found.theta_day.shape == found.volga.shape == (2, 3)


@untimed
@given(anything, anything, anything, anything, st.booleans(), anything, anything)
def test_no_input_warns(forward, strike, tau, vol, is_call, rate, borrow):
    with warnings.catch_warnings(action="error"):
        greeks(forward, strike, tau, vol, is_call, rate, borrow)
