import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.pricing.carry import Carry

rates, borrows = st.floats(-0.05, 0.15), st.floats(-0.1, 1.0)
dividends = st.lists(st.tuples(st.floats(-0.5, 3.0), st.floats(0.0, 5.0)), max_size=8)


def carry_of(rate, borrow, paid):
    times, amounts = np.array(sorted(paid)).reshape(-1, 2).T
    return Carry(rate, borrow, times, amounts)


@given(rates, borrows, dividends, st.floats(10.0, 1_000.0), st.floats(0.0, 3.0))
def test_forward_is_what_holding_the_underlying_by_credit_ends_with(
    rate, borrow, paid, spot, tau
):
    expected, at = spot, 0.0
    for time, amount in [(time, amount) for time, amount in sorted(paid) if 0 < time <= tau]:
        expected = expected * np.exp((rate - borrow) * (time - at)) - amount
        at = time
    expected *= np.exp((rate - borrow) * (tau - at))
    assert carry_of(rate, borrow, paid).forward(spot, tau) == pytest.approx(expected, abs=1e-9)


@given(rates, borrows, dividends, st.floats(10.0, 1_000.0), st.floats(0.0, 3.0))
def test_spot_and_forward_are_each_others_inverse(rate, borrow, paid, spot, tau):
    carry = carry_of(rate, borrow, paid)
    assert carry.spot(carry.forward(spot, tau), tau) == pytest.approx(spot)


def test_only_dividends_from_now_to_the_expiry_count():
    times, amounts = [-0.1, 0.0, 0.2, 0.5, 0.6], [16.0, 8.0, 4.0, 2.0, 1.0]
    carry = Carry(0.0, 0.0, np.array(times), np.array(amounts))
    assert carry.dividends_value(0.1) == 0.0
    assert carry.dividends_value(0.2) == 4.0
    assert carry.dividends_value(0.5) == 6.0


def test_discount_is_exponential_in_the_rate():
    assert Carry(0.05).discount(2.0) == pytest.approx(np.exp(-0.1))


@given(st.floats(-10.0, 10.0), st.floats(-10.0, 10.0),
       st.floats(allow_nan=False, allow_infinity=False))
def test_no_finite_input_warns(rate, borrow, tau):
    carry = Carry(rate, borrow, np.array([1.0]), np.array([1.0]))
    with warnings.catch_warnings(action="error"):
        assert carry.discount(tau) >= 0.0
        carry.forward(100.0, tau)
        carry.spot(100.0, tau)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"rate": np.nan}, "Rate and borrow"),
    ({"rate": 4.0e2}, "Rate and borrow"),
    ({"borrow": np.inf}, "Rate and borrow"),
    ({"dividend_times": np.array([0.1])}, "one length"),
    ({"dividend_times": np.zeros((1, 1)), "dividend_amounts": np.zeros((1, 1))}, "one length"),
    ({"dividend_times": np.array([np.nan]), "dividend_amounts": np.ones(1)}, "finite"),
    ({"dividend_times": np.ones(1), "dividend_amounts": np.array([np.inf])}, "finite"),
    ({"dividend_times": np.array([0.2, 0.1]), "dividend_amounts": np.ones(2)}, "ascend"),
    ({"dividend_times": np.ones(1), "dividend_amounts": np.array([-1.0])}, "negative"),
])
def test_a_wrong_carry_is_refused_in_a_sentence(wrong, message):
    with pytest.raises(ValueError, match=message):
        Carry(**{"rate": 0.04, **wrong})
