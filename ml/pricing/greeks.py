"""Sensitivities of a European option in Black's model on the forward, in closed form.

The forward is (S − dividends' value) e^((r − q) τ); the value of cash dividends is held still, so
that all but `delta_forward` are derivatives by the spot, by time and by rates of the same asset
that `ml.pricing.carry` and `ml.pricing.american` speak of. Formulas: Hull, "Options, Futures, and
Other Derivatives", ch. 19; vanna and volga: Castagna and Mercurio, "The vanna-volga method for
implied volatilities" (2007).
"""

import math
from dataclasses import dataclass

import numpy as np

from ml.compiled import compiled
from ml.pricing.black import forward_density, mills, stacked, total_vol, undiscounted
from ml.types import Bools, Floats

DAYS = 365.0
"""Calendar days in a year (ACT/365)."""
_COUNT = 8


@dataclass(frozen=True, slots=True)
class Greeks:
    """Derivatives of one option's price in currency; arrays of the arguments' common shape."""

    delta_forward: Floats
    """Per 1.00 of the forward, discounted."""
    delta: Floats
    """Per 1.00 of the spot."""
    gamma: Floats
    """Change of `delta` per 1.00 of the spot."""
    vega: Floats
    """Per 1.00 of volatility."""
    theta: Floats
    """Per year that passes, spot and rates unchanged."""
    rho: Floats
    """Per 1.00 of the rate, spot unchanged."""
    vanna: Floats
    """Change of `delta` per 1.00 of volatility."""
    volga: Floats
    """Change of `vega` per 1.00 of volatility."""

    @property
    def theta_day(self) -> Floats:
        """`theta` per calendar day."""
        return self.theta / DAYS


def greeks(
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    vol: Floats | float,
    is_call: Bools | bool,
    rate: Floats | float = 0.0,
    borrow: Floats | float = 0.0,
) -> Greeks:
    """All of them; arguments broadcast, rates are continuous per year (r, and the yield q).

    Where vol · √tau is 0, delta is that of the intrinsic value (half at the strike), and gamma,
    vega, vanna and volga are 0. NaN where `black.price` is, or a rate is not finite.

    >>> found = greeks(100.0, 110.0, 0.25, 0.2, True, rate=0.04)
    >>> round(float(found.delta), 6), round(float(found.vega), 6), round(float(found.theta_day), 6)
    (0.183236, 13.1351, -0.016279)
    """
    inputs, calls, shape = stacked((forward, strike, tau, vol, rate, borrow), is_call)
    values = np.empty((_COUNT, calls.size))
    _all(inputs, calls, values)
    return Greeks(*(value.reshape(shape) for value in values))


@compiled
def _all(inputs: Floats, calls: Bools, values: Floats) -> None:
    for i in range(len(calls)):
        forward, strike, tau, vol, rate, borrow = inputs[:, i]
        total = total_vol(forward, strike, tau, vol) + 0.0 * (rate + borrow)
        row = _one(forward, strike, tau, vol, total, calls[i], rate, borrow)
        for j in range(_COUNT):
            values[j, i] = row[j]


@compiled
def _one(
    forward: float, strike: float, tau: float, vol: float, total: float, is_call: bool,
    rate: float, borrow: float,
) -> tuple[float, float, float, float, float, float, float, float]:
    discount, growth = math.exp(-rate * tau), math.exp((rate - borrow) * tau)
    side = 1.0 if is_call else -1.0
    root = math.sqrt(tau)
    upper, lower = _arguments(forward, strike, total)
    in_forward = side * discount * _normal(side * upper)
    value = discount * undiscounted(forward, strike, total, is_call)
    density = discount * forward_density(forward, strike, total)
    none = 0.0 * total  # NaN stays NaN
    tilt = -lower / vol if total > 0.0 else none
    swing = -tilt * upper if total > 0.0 else none
    gamma = density / (forward * forward * total) if total > 0.0 else none
    decay = 0.5 * density * vol / root if total > 0.0 else none
    theta = rate * value - (rate - borrow) * forward * in_forward - decay
    rho = tau * (forward * in_forward - value)
    return (
        in_forward, in_forward * growth, gamma * growth * growth, density * root, theta, rho,
        density * tilt / forward * growth, density * root * swing,
    )


@compiled
def _arguments(forward: float, strike: float, total: float) -> tuple[float, float]:
    """d₁ and d₂; infinite, or 0 at the strike, where total volatility is 0."""
    x = math.log(forward / strike)
    if total == 0.0:
        end = 0.0 if x == 0.0 else math.copysign(math.inf, x)
        return end, end
    return x / total + 0.5 * total, x / total - 0.5 * total


@compiled
def _normal(x: float) -> float:
    """Φ(x)."""
    if abs(x) > 38.0:
        return 1.0 if x > 0.0 else 0.0
    tail = mills(abs(x)) * math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return 1.0 - tail if x > 0.0 else tail
