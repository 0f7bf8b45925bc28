"""American put-call parity: the inequality it is, and the equality left without the premiums."""

import numpy as np

from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.types import Floats


def american_bounds(
    spot: Floats | float,
    dividends_value: Floats | float,
    strike: Floats,
    discount: Floats | float,
    borrow_discount: Floats | float = 1.0,
) -> tuple[Floats, Floats]:
    """Lowest and highest call minus put of American exercise, in currency, shape (n,).

    S − PV(dividends) − K ≤ C − P ≤ S − K D (Merton, 1973; Hull, "Options, Futures, and Other
    Derivatives", ch. 11), with S e^(−q τ), that is S times `borrow_discount`, where the borrow q
    makes the bound wider, and K for K D where the rate is negative.

    >>> low, high = american_bounds(100.0, 1.0, np.array([100.0]), 0.99)
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([-1.0], [1.0])
    """
    held = spot * borrow_discount
    low = np.minimum(spot, held) - dividends_value - strike * np.maximum(discount, 1.0)
    high = np.maximum(spot, held) - strike * np.minimum(discount, 1.0)
    return np.asarray(low), np.asarray(high)


def european_pairs(
    strike: Floats,
    call_mid: Floats,
    put_mid: Floats,
    vol: Floats,
    tau: float,
    forward: float,
    carry: Carry,
) -> tuple[Floats, Floats]:
    """Call and put mids of one expiry less the premium of early exercise; arrays of shape (n,).

    `vol` is the volatility of each strike, at which the premium of both sides is taken. Where that
    can't be told, mids are left as they are.

    >>> call, put = european_pairs(np.array([480.0]), np.array([29.0]), np.array([9.0]),
    ...                            np.array([0.2]), 0.25, 500.0, Carry(0.04))
    >>> call.tolist(), put.round(2).tolist()
    ([29.0], [8.78])
    """
    is_call = np.arange(2 * len(strike)) < len(strike)
    early = early_exercise_premium(
        forward, np.tile(strike, 2), tau, np.tile(vol, 2), is_call, carry)
    call, put = np.split(np.where(np.isfinite(early), early, 0.0), 2)
    return call_mid - call, put_mid - put
