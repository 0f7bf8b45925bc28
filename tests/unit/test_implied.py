import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml.pricing import black
from ml.pricing.implied import implied_vol


@given(st.floats(1.0, 5_000.0), st.floats(-4.0, 4.0), st.floats(1e-4, 3.0), st.floats(0.02, 3.0),
       st.floats(0.5, 1.05))
def test_price_and_implied_volatility_are_each_others_inverse(forward, z, tau, vol, discount):
    strike = forward * np.exp(z * vol * np.sqrt(tau))
    is_call = strike >= forward
    price = black.price(forward, strike, tau, vol, is_call, discount)
    assume(price > 1e-12 * forward)
    found = implied_vol(price, forward, strike, tau, is_call, discount)
    assert found[0] == pytest.approx(vol, rel=1e-6)


@given(st.floats(0.01, 20.0), st.floats(1.001, 2.0))
def test_a_dearer_option_has_a_higher_volatility(price, factor):
    low, high = implied_vol(np.array([price, price * factor]), 100.0, 110.0, 0.25, True)
    assert high > low


def test_calls_and_puts_mix_and_shapes_broadcast():
    strike, is_call = np.array([90.0, 110.0]), np.array([False, True])
    price = black.price(100.0, strike, 0.25, 0.3, is_call)
    found = implied_vol(np.stack([price, price]), 100.0, strike, 0.25, is_call)
    assert found == pytest.approx(np.full((2, 2), 0.3))


@pytest.mark.parametrize("price", [0.0, -1.0, 100.0, 250.0, np.nan, np.inf])
def test_a_price_outside_the_bounds_has_no_volatility(price):
    assert np.isnan(implied_vol(price, 100.0, 110.0, 0.25, True)[0])


def test_a_price_below_intrinsic_has_no_volatility():
    assert np.isnan(implied_vol(9.9, 100.0, 90.0, 0.25, True)[0])


@pytest.mark.parametrize("inputs", [(0.0, 110.0, 0.25), (100.0, 0.0, 0.25), (100.0, 110.0, 0.0),
                                    (100.0, 110.0, np.nan), (np.nan, 110.0, 0.25)])
def test_an_input_out_of_domain_has_no_volatility(inputs):
    assert np.isnan(implied_vol(1.0, *inputs, True)[0])
