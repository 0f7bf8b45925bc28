import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pricing import black
from ml.pricing.forward import implied_forward

NAN = float("nan")


def pairs(forward, tau, rate=0.03, vol=0.2, count=11, step=0.01):
    """Strikes around the forward and the mids of both sides."""
    strike = forward * (1 + step * (np.arange(count) - count // 2 + 0.3))
    discount = np.exp(-rate * tau)
    return (strike, *(black.price(forward, strike, tau, vol, call, discount)
                      for call in (True, False)))


@settings(deadline=None)
@given(st.floats(5.0, 5_000.0), st.floats(1e-3, 2.0), st.floats(0.0, 0.06), st.floats(0.1, 0.8))
def test_the_forward_of_clean_prices_is_recovered(forward, tau, rate, vol):
    strike, call, put = pairs(forward, tau, rate, vol)
    fit = implied_forward(strike, call, put, np.full(11, 1e4), forward, tau)
    assert fit.forward == pytest.approx(forward, rel=3e-4)
    assert np.exp(-0.12 * tau) <= fit.discount <= np.exp(0.02 * tau)


def test_tight_quotes_over_a_long_expiry_tell_the_discount():
    strike, call, put = pairs(600.0, 1.0, rate=0.05)
    fit = implied_forward(strike, call, put, np.full(11, 1e4), 590.0, 1.0)
    assert -np.log(fit.discount) == pytest.approx(0.05, abs=5e-4)


def test_a_short_expiry_keeps_the_flat_rate_whatever_its_noise():
    random = np.random.default_rng(3)
    strike, call, put = pairs(600.0, 1 / 365)
    call = call + random.normal(0, 0.02, len(call))
    fit = implied_forward(strike, call, put, np.full(11, 2500.0), 600.0, 1 / 365)
    assert -np.log(fit.discount) * 365 == pytest.approx(0.03, abs=0.01)


def test_one_absurd_pair_hardly_moves_the_forward():
    strike, call, put = pairs(600.0, 0.1)
    call[4] += 25.0
    fit = implied_forward(strike, call, put, np.full(11, 1e4), 600.0, 0.1)
    assert fit.forward == pytest.approx(600.0, abs=0.05)


def test_the_forward_may_be_far_from_spot_and_spot_may_be_unknown():
    strike, call, put = pairs(600.0, 0.5)
    weight = np.full(11, 1e4)
    with_spot = implied_forward(strike, call, put, weight, 640.0, 0.5)
    without = implied_forward(strike, call, put, weight, NAN, 0.5)
    assert with_spot.forward == without.forward == pytest.approx(600.0, rel=1e-4)


def test_two_pairs_give_their_median_and_a_larger_error():
    strike, call, put = pairs(600.0, 0.1)
    many = implied_forward(strike, call, put, np.full(11, 1e4), 600.0, 0.1)
    two = implied_forward(strike[5:7], call[5:7], put[5:7], np.full(2, 1e4), 600.0, 0.1)
    assert two.forward == pytest.approx(600.0, rel=1e-4)
    assert two.pairs == 2
    assert two.error > many.error


def test_the_standard_error_is_of_the_size_of_the_errors():
    random = np.random.default_rng(7)
    strike, call, put = pairs(600.0, 0.1)
    deviations = []
    for _ in range(200):
        noisy = call + random.normal(0, 0.1, len(call))
        fit = implied_forward(strike, noisy, put, np.full(11, 100.0), 600.0, 0.1)
        deviations.append((fit.forward - 600.0) / fit.error)
    assert 0.7 < np.std(deviations) < 1.4


@pytest.mark.parametrize(("call", "weight"), [(NAN, 1.0), (5.0, 0.0), (5.0, NAN), (1e6, 1.0)])
def test_without_a_usable_pair_there_is_no_forward(call, weight):
    one = np.array([600.0])
    found = implied_forward(one, np.array([call]), np.array([4.0]), np.array([weight]), 600.0, 0.1)
    assert found is None
