"""Black implied volatility, by the rational solver of Jäckel ("Let's Be Rational", 2015)."""

import iv_engine
import numpy as np

from ml.types import Bools, Floats


def implied_vol(
    price: Floats | float,
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    is_call: Bools | bool,
    discount: Floats | float = 1.0,
) -> Floats:
    """The volatility at which Black's price equals `price`; arguments broadcast to shape (n,).

    NaN where there is none: a price at or below discounted intrinsic value, or at or above its
    upper bound (forward for a call, strike for a put, discounted), or an input out of domain.
    Precise out of the money; in the money the price itself carries few digits of volatility.

    >>> round(float(implied_vol(0.953947, 100.0, 110.0, 0.25, True)[0]), 6)
    0.2
    """
    with np.errstate(all="ignore"):
        value, forward, strike, tau, call = np.broadcast_arrays(
            np.asarray(price, dtype=np.float64) / discount, forward, strike, tau, is_call
        )
        shape = np.atleast_1d(value).shape
        # A put of log-moneyness x has the normalised price of a call of −x, so one call does all.
        side = np.where(call, 1.0, -1.0)
        log_moneyness = (side * np.log(forward / strike)).ravel()
        normalised = (value / np.sqrt(forward * strike)).ravel()
        total = iv_engine.normalised_implied_volatilities(
            np.ascontiguousarray(normalised), np.ascontiguousarray(log_moneyness), True, False
        )
        vol = np.asarray(total).reshape(shape) / np.sqrt(tau)
        below_bound = np.atleast_1d(value < np.where(call, forward, strike))
    return np.where(below_bound & (vol > 0) & np.isfinite(vol), vol, np.nan)
