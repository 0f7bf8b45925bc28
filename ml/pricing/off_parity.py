"""Quotes that contradict put-call parity: which pairs are off, and which of their sides."""

from typing import Final

import numpy as np

from ml.pricing import black
from ml.pricing.implied import implied_vol
from ml.pricing.parity import american_bounds
from ml.types import Bools, Floats

MAX_EXCESS: Final = 0.05
"""Of the straddle at the money: by so much a pair may be beyond parity and both its spreads."""
MIN_EXCESS: Final = 2e-4
"""Of the forward, where the straddle is less than that."""
MAX_VOL_RATIO: Final = 1.25
"""By which an out-of-the-money volatility may differ from that of its neighbours."""


def beyond_parity(
    strike: Floats, difference: Floats, half: Floats, straddle: Floats, known: Floats,
    is_american: bool,
) -> Bools:
    """Whether call minus put is far beyond what parity allows, shape (n,).

    `half` is half the spread of both together, `straddle` that at the money, and `known` (5, n)
    holds forward, discount, spot, value of the dividends and borrow discount. NaN is not beyond.
    """
    forward, discount, spot, dividends, borrow = known
    if is_american:
        low, high = american_bounds(spot, dividends, strike, discount, borrow)
    else:
        low = high = discount * (forward - strike)
    excess = np.maximum(low - difference, difference - high) - half
    return np.asarray(excess > np.fmax(MAX_EXCESS * straddle, MIN_EXCESS * forward))


def off_sides(
    off: Bools, strike: Floats, call_mid: Floats, put_mid: Floats, call_half: Floats,
    put_half: Floats, tau: float, forward: float, discount: float,
) -> tuple[Bools, Bools]:
    """Which calls and which puts of the pairs `off` parity are wrong, for one expiry; shape (n,).

    The side in the money is, for it is the one that trades seldom and grows stale. The side out of
    the money is too where its volatility contradicts that of the neighbours that keep parity, by
    more than its spread: then both are of an adjusted contract, or nobody knows.
    """
    is_call = strike >= forward
    mid, half = np.where(is_call, call_mid, put_mid), np.where(is_call, call_half, put_half)
    vol = implied_vol(mid, forward, strike, tau, is_call, discount)
    clean = np.flatnonzero(~off & np.isfinite(vol))
    clean = clean[np.argsort(strike[clean], kind="stable")]
    if len(clean):
        usual = np.interp(strike, strike[clean], vol[clean])
        price = black.price(forward, strike, tau, usual, is_call, discount)
        ratio = np.maximum(vol / usual, usual / vol)
        alike = (ratio <= MAX_VOL_RATIO) | (np.abs(mid - price) <= half)
    else:
        alike = np.zeros(len(strike), dtype=bool)
    wrong = off & ~alike
    return np.where(is_call, wrong, off), np.where(is_call, off, wrong)
