import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pricing import black
from ml.pricing.forward import make_pairs, parity_discounts, parity_forwards

NAN = float("nan")


def made(strike, call, put, error=0.01):
    """The usable pairs of one expiry; `error` is the deviation of call minus put, in currency."""
    strike, call, put = (np.atleast_1d(each).astype(float) for each in (strike, call, put))
    expiry = np.zeros(len(strike), dtype=np.int64)
    return make_pairs(expiry, 1, strike, call, put, np.full(len(strike), error))


def forward_of(found, discount, relative_error=0.0):
    """Forward, standard error, number of pairs and straddle."""
    fits, _ = parity_forwards(found, np.array([discount]), np.array([relative_error]))
    return fits[0]


def pairs(forward, tau, rate=0.03, vol=0.2, count=11, step=0.01):
    """Strikes around the forward and the mids of both sides."""
    strike = forward * (1 + step * (np.arange(count) - count // 2 + 0.3))
    discount = np.exp(-rate * tau)
    return (strike, *(black.price(forward, strike, tau, vol, call, discount)
                      for call in (True, False)))


@settings(deadline=None)
@given(st.floats(5.0, 5_000.0), st.floats(1e-3, 2.0), st.floats(0.0, 0.06), st.floats(0.1, 0.8))
def test_the_forward_of_clean_prices_is_recovered(forward, tau, rate, vol):
    found = made(*pairs(forward, tau, rate, vol))
    assert forward_of(found, np.exp(-rate * tau))[0] == pytest.approx(forward, rel=1e-9)


def test_tight_quotes_over_a_long_expiry_tell_the_discount():
    found = made(*pairs(600.0, 1.0, rate=0.05))
    discount, error, used = parity_discounts(found, np.array([0.97]))
    assert -np.log(discount[0]) == pytest.approx(0.05, abs=5e-4)
    assert error[0] < 1e-3
    assert used.all()


def test_a_short_expiry_says_little_of_the_discount():
    random = np.random.default_rng(3)
    strike, call, put = pairs(600.0, 1 / 365)
    noisy = call + random.normal(0, 0.02, len(call))
    _, error, _ = parity_discounts(made(strike, noisy, put, 0.02), np.ones(1))
    assert error[0] * 365 > 0.02


def test_two_pairs_say_nothing_of_the_discount():
    strike, call, put = pairs(600.0, 1.0)
    _, error, _ = parity_discounts(made(strike[5:7], call[5:7], put[5:7]), np.ones(1))
    assert np.isinf(error[0])


def test_an_error_of_the_discount_is_one_of_the_forward():
    found = made(*pairs(600.0, 0.5))
    sure, vague = (forward_of(found, np.exp(-0.015), error)[1] for error in (0.0, 0.5))
    assert vague > 2 * sure


def test_one_absurd_pair_hardly_moves_the_forward():
    strike, call, put = pairs(600.0, 0.1)
    call[4] += 25.0
    assert forward_of(made(strike, call, put), np.exp(-0.003))[0] == pytest.approx(600.0, abs=0.05)


def test_two_pairs_give_their_median_and_a_larger_error():
    strike, call, put = pairs(600.0, 0.1)
    many = forward_of(made(strike, call, put), np.exp(-0.003))
    two = forward_of(made(strike[5:7], call[5:7], put[5:7]), np.exp(-0.003))
    assert two[0] == pytest.approx(600.0, rel=1e-4)
    assert two[2] == 2
    assert two[1] > many[1]


def test_the_standard_error_is_of_the_size_of_the_errors():
    random = np.random.default_rng(7)
    strike, call, put = pairs(600.0, 0.1)
    deviations = []
    for _ in range(200):
        noisy = call + random.normal(0, 0.1, len(call))
        forward, error, *_ = forward_of(made(strike, noisy, put, 0.1), np.exp(-0.003))
        deviations.append((forward - 600.0) / error)
    assert 0.7 < np.std(deviations) < 1.4


@pytest.mark.parametrize(("call", "error"), [(NAN, 1.0), (5.0, np.inf), (5.0, NAN)])
def test_without_a_usable_pair_there_is_no_forward(call, error):
    forward, _, count, _ = forward_of(made(600.0, call, 4.0, error), 0.99)
    assert np.isnan(forward)
    assert count == 0
