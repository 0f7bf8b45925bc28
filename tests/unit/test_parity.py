import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pricing import black
from ml.pricing.american import american_price
from ml.pricing.carry import Carry
from ml.pricing.parity import american_bounds, european_pairs

CARRY = Carry(0.04, 0.0, np.array([0.1, 0.35]), np.array([1.8, 1.9]))
FORWARD, TAU = 500.0, 0.4
STRIKE = np.linspace(450.0, 550.0, 11)


@settings(deadline=None, max_examples=60)
@given(st.floats(-0.01, 0.08), st.floats(-0.02, 0.06), st.floats(0.0, 5.0), st.floats(0.05, 0.8),
       st.floats(0.02, 1.5))
def test_american_prices_keep_the_bounds(rate, borrow, dividend, vol, tau):
    carry = Carry(rate, borrow, np.array([0.6 * tau]), np.array([dividend]))
    spot = carry.spot(FORWARD, tau)
    low, high = american_bounds(spot, carry.dividends_value(tau), STRIKE, carry.discount(tau),
                                np.exp(-borrow * tau))
    call, put = (american_price(FORWARD, STRIKE, tau, vol, side, carry) for side in (True, False))
    assert (call - put >= low - 1e-3).all()
    assert (call - put <= high + 1e-3).all()


def test_without_dividends_rate_and_borrow_the_bounds_meet_at_parity():
    low, high = american_bounds(100.0, 0.0, STRIKE, 1.0)
    assert low == pytest.approx(100.0 - STRIKE)
    assert high == pytest.approx(100.0 - STRIKE)


def test_american_mids_less_the_premium_keep_european_parity():
    vol = 0.2 - 0.2 * np.log(STRIKE / FORWARD)
    mids = [american_price(FORWARD, STRIKE, TAU, vol, side, CARRY) for side in (True, False)]
    call, put = european_pairs(STRIKE, *mids, vol, TAU, FORWARD, CARRY)
    discount = CARRY.discount(TAU)
    assert call - put == pytest.approx(discount * (FORWARD - STRIKE), abs=1e-9)
    assert call == pytest.approx(black.price(FORWARD, STRIKE, TAU, vol, True, discount))
    assert (mids[1] - put > 0.1).any()


def test_where_no_premium_can_be_told_mids_stay_as_they_are():
    mids = np.full(11, 5.0), np.full(11, 6.0)
    call, put = european_pairs(STRIKE, *mids, np.full(11, np.nan), TAU, FORWARD, CARRY)
    assert call.tolist() == mids[0].tolist()
    assert put.tolist() == mids[1].tolist()
