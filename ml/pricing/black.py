"""Black's model (1976) on a forward: price and vega, vectorised.

All arguments broadcast; outputs are NaN where forward or strike is not positive, or tau or vol
is negative.
"""

import numpy as np
from scipy.special import ndtr

from ml.types import Bools, Floats


def price(
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    vol: Floats | float,
    is_call: Bools | bool,
    discount: Floats | float = 1.0,
) -> Floats:
    """European option price in currency, `discount` · E[payoff]; tau in years.

    The discounted intrinsic value where vol · √tau is 0.

    >>> round(float(price(100.0, 110.0, 0.25, 0.2, True)), 6)
    0.953947
    """
    with np.errstate(all="ignore"):
        forward, strike, total = _checked(forward, strike, tau, vol)
        side = np.where(is_call, 1.0, -1.0)
        upper = _d1(forward, strike, total)
        value = side * (forward * ndtr(side * upper) - strike * ndtr(side * (upper - total)))
        value = np.where(total > 0, value, np.maximum(side * (forward - strike), 0.0))
        return np.asarray(discount * value * np.where(np.isnan(total), np.nan, 1.0))


def vega(
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    vol: Floats | float,
    discount: Floats | float = 1.0,
) -> Floats:
    """Change of price per 1.00 of volatility: D · F · φ(d₁) · √tau; 0 where vol · √tau is 0.

    >>> round(float(vega(100.0, 100.0, 0.25, 0.2)), 6)
    19.922196
    """
    with np.errstate(all="ignore"):
        forward, strike, total = _checked(forward, strike, tau, vol)
        upper = _d1(forward, strike, total)
        density = np.exp(-0.5 * upper**2) / np.sqrt(2 * np.pi)
        value = discount * forward * np.sqrt(tau) * density
        return np.asarray(np.where(total > 0, value, 0.0 * total))


def _d1(forward: Floats, strike: Floats, total: Floats) -> Floats:
    return np.asarray(np.log(forward / strike) / total + 0.5 * total)


def _checked(
    forward: Floats | float, strike: Floats | float, tau: Floats | float, vol: Floats | float
) -> tuple[Floats, Floats, Floats]:
    """Forward, strike and vol · √tau, the last NaN outside the model's domain."""
    forward, strike, tau, vol = (
        np.asarray(value, dtype=np.float64) for value in (forward, strike, tau, vol)
    )
    inside = (forward > 0) & (strike > 0) & (tau >= 0) & (vol >= 0)
    return forward, strike, np.where(inside, vol * np.sqrt(tau), np.nan)
