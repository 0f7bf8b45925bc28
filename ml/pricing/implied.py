"""Black implied volatility by one or two fourth-order steps from a start good to 1e-4.

The price is normalised as in Jäckel, "Let's Be Rational" (2015): b = undiscounted price out of
the money / √(F·K). With x = −|ln(F/K)|, s = σ √τ, h = x / s, t = s / 2 and the Mills ratio
M(a) = Φ(−a) / φ(a),

    b = b′(s) · (M(−h − t) − M(t − h)),    √(F/K) − or √(K/F) − b = b′(s) · (M(h + t) + M(t − h)),

so that the logarithm of either, with all its derivatives, costs one logarithm and two rational
functions; the first serves the lower half of prices, the second the upper. The start inverts
Bachelier's model by a rational function of one variable, fitted for this file, and goes over to
Black's by the expansion in s² of the price at the money.

The volatility's relative error stays below 2e-15 + 1e-15 / s besides what the rounding of the
price itself costs.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.pricing.black import mills, stacked
from ml.types import Bools, Floats

SOLVED: Final = 0
NOT_FINITE: Final = 1
"""An input is NaN or infinite."""
OUT_OF_DOMAIN: Final = 2
"""Forward, strike or discount is not positive."""
NO_TIME: Final = 3
"""tau is zero, negative or below a billionth of a year."""
AT_OR_BELOW_INTRINSIC: Final = 4
AT_OR_ABOVE_BOUND: Final = 5
"""A call at or above the discounted forward, a put at or above the discounted strike."""
NO_INFORMATION: Final = 6
"""The price differs from one of its bounds by no more than rounding."""
REASONS: Final = (
    "solved", "input not finite", "forward, strike or discount not positive", "no time left",
    "at or below intrinsic value", "at or above upper bound", "within rounding of a bound",
)

_RESOLUTION = 2.0**-49
"""Eight units in the last place of the larger of forward and strike: a time value is a
difference of terms of that size, and below this it is rounding."""
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_LEAST_TAU = 1e-9
"""Years, about 30 milliseconds."""
_MAX_STEPS = 12
_LAST_STEP = 1e-4  # a step of relative size δ leaves an error of order δ⁴


def implied_vol(
    price: Floats | float,
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    is_call: Bools | bool,
    discount: Floats | float = 1.0,
) -> Floats:
    """The volatility at which Black's price equals `price`; arguments broadcast to shape (n,).

    NaN where there is none; `reasons` says why. Precise out of the money; in the money the price
    itself carries few digits of volatility.

    >>> round(float(implied_vol(0.953947, 100.0, 110.0, 0.25, True)[0]), 6)
    0.2
    """
    return solve(price, forward, strike, tau, is_call, discount)[0]


def reasons(
    price: Floats | float,
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    is_call: Bools | bool,
    discount: Floats | float = 1.0,
) -> NDArray[np.int8]:
    """Why `implied_vol` of the same arguments is NaN, a code of this module; SOLVED where not.

    >>> REASONS[reasons(9.9, 100.0, 90.0, 0.25, True)[0]]
    'at or below intrinsic value'
    """
    return solve(price, forward, strike, tau, is_call, discount)[1].astype(np.int8)


def solve(
    price: Floats | float,
    forward: Floats | float,
    strike: Floats | float,
    tau: Floats | float,
    is_call: Bools | bool,
    discount: Floats | float = 1.0,
) -> tuple[Floats, NDArray[np.int64]]:
    """`implied_vol` and `reasons` in one go."""
    inputs, calls, shape = stacked((price, forward, strike, tau, discount), is_call)
    vol, reason = np.empty(calls.size), np.empty(calls.size, dtype=np.int64)
    _solve_all(inputs, calls, vol, reason)
    return vol.reshape(shape or 1), reason.reshape(shape or 1)


@compiled
def _solve_all(inputs: Floats, calls: Bools, vol: Floats, reason: NDArray[np.int64]) -> None:
    price, forward, strike, tau, discount = inputs
    for i in range(len(vol)):
        vol[i], reason[i] = solve_one(
            price[i], forward[i], strike[i], tau[i], discount[i], calls[i]
        )


@compiled
def solve_one(
    price: float, forward: float, strike: float, tau: float, discount: float, is_call: bool
) -> tuple[float, int]:
    """Kernel: volatility and reason of one option."""
    if not math.isfinite(price + forward + strike + tau + discount):
        return math.nan, NOT_FINITE
    if not (forward > 0.0 and strike > 0.0 and discount > 0.0):
        return math.nan, OUT_OF_DOMAIN
    if tau < _LEAST_TAU:
        return math.nan, NO_TIME
    larger = max(forward, strike)
    ratio = min(forward, strike) / larger
    value = price / discount / larger
    if (forward > strike) == is_call:
        value -= 1.0 - ratio
    if value <= 0.0:
        return math.nan, AT_OR_BELOW_INTRINSIC
    if value >= ratio:
        return math.nan, AT_OR_ABOVE_BOUND
    if value <= _RESOLUTION or ratio - value <= _RESOLUTION:
        return math.nan, NO_INFORMATION
    root = math.sqrt(ratio)
    total = _total_vol(value / root, math.log(ratio), (1.0 - ratio) / root, root)
    return total / math.sqrt(tau), SOLVED


@compiled
def _total_vol(value: float, x: float, distance: float, bound: float) -> float:
    """σ √τ from the normalised price, x = −|ln(F/K)|, |F − K| / √(F·K) and the price's bound."""
    s = _start(value, x, distance)
    upper = value > 0.5 * bound
    target = (bound - value if upper else value) * _ROOT_TWO_PI
    for _ in range(_MAX_STEPS):
        h = x / s
        t = 0.5 * s
        far = mills(t - h)
        ratio = -mills(h + t) - far if upper else mills(-h - t) - far
        newton = ratio * (0.5 * (h * h + t * t) - math.log(abs(ratio) / target))
        # Second and third derivative of the logarithm over its first (Householder's method).
        bend = h * h / s - 0.25 * s
        inverse = 1.0 / ratio
        second = bend - inverse
        third = bend * bend - 3.0 * h * h / (s * s) - 0.25 - (3.0 * bend - 2.0 * inverse) * inverse
        step = newton * (1.0 + 0.5 * newton * second)
        step /= 1.0 + newton * (second + newton * third / 6.0)
        s += step
        if abs(step) < _LAST_STEP * s:
            break
    return s


@compiled
def _start(value: float, x: float, distance: float) -> float:
    """σ √τ to 4e-5 where it is below 0.4, to 1e-3 up to 1."""
    y = max(distance / value, 1e-8)
    v = math.log(1.0 + y)
    h = v * (0.39892624167119217 + v * (
        0.03876061017326288 + v * (0.005713856426485892 + v * 2.9673661894151493e-05)))
    h /= 1.0 + v * (0.09700730956713836 + v * (0.018126156402210634 + v * 0.00047361169281751395))
    s = value * y / h
    if distance > 1e-8:
        s *= -x / distance
    square = s * s
    return s * (1.0 + square * (1.0 / 24.0 + square * (7.0 / 1920.0)))
