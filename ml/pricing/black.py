"""Black's model (1976) on a forward: price and vega, vectorised.

All arguments broadcast; outputs are NaN where forward or strike is not positive, tau or vol is
negative, or an input is not finite.

The price out of the money is F φ(d₁) (M(−d) − M(d′)) with the Mills ratio M(a) = Φ(−a) / φ(a),
−d′ < d the two normal arguments of that side: a product of positive terms, so that far wings keep
their digits where the textbook difference of two normal distributions loses them.
"""

import math

import numpy as np

from ml.compiled import compiled
from ml.types import Bools, Floats

_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_VANISHING = 1400.0  # exp(−x / 2) is below every double beyond


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
    inputs, calls, shape = stacked((forward, strike, tau, vol, discount), is_call)
    value = np.empty(calls.size)
    _price_all(inputs, calls, value)
    return value.reshape(shape)


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
    inputs, _, shape = stacked((forward, strike, tau, vol, discount), True)
    value = np.empty(inputs.shape[1])
    _vega_all(inputs, value)
    return value.reshape(shape)


def stacked(
    numbers: tuple[Floats | float, ...], is_call: Bools | bool
) -> tuple[Floats, Bools, tuple[int, ...]]:
    """The arguments broadcast: numbers as rows (m, n), flags (n,), and their common shape.

    Copies are cheap, and one memory layout keeps a kernel to one compilation.
    """
    arrays = np.broadcast_arrays(*numbers, is_call)
    rows = np.array(arrays[:-1], dtype=np.float64).reshape(len(numbers), -1)
    return rows, np.array(arrays[-1], dtype=np.bool_).ravel(), arrays[0].shape


@compiled
def _price_all(inputs: Floats, calls: Bools, value: Floats) -> None:
    forward, strike, tau, vol, discount = inputs
    for i in range(len(value)):
        total = total_vol(forward[i], strike[i], tau[i], vol[i])
        total += 0.0 * discount[i]  # NaN where that isn't finite
        value[i] = discount[i] * undiscounted(forward[i], strike[i], total, calls[i])


@compiled
def _vega_all(inputs: Floats, value: Floats) -> None:
    forward, strike, tau, vol, discount = inputs
    for i in range(len(value)):
        total = total_vol(forward[i], strike[i], tau[i], vol[i])
        density = forward_density(forward[i], strike[i], total + 0.0 * discount[i])
        value[i] = discount[i] * math.sqrt(tau[i]) * density


@compiled
def total_vol(forward: float, strike: float, tau: float, vol: float) -> float:
    """Kernel: σ √τ, NaN out of the model's domain."""
    finite = math.isfinite(forward + strike + tau + vol)
    if finite and forward > 0.0 and strike > 0.0 and tau >= 0.0 and vol >= 0.0:
        return vol * math.sqrt(tau)
    return math.nan


@compiled
def forward_density(forward: float, strike: float, total: float) -> float:
    """Kernel: F φ(d₁) of total volatility σ √τ; 0 where that is 0."""
    if total == 0.0:
        return 0.0
    h = math.log(forward / strike) / total
    scale = math.sqrt(forward) * math.sqrt(strike) / _ROOT_TWO_PI
    return scale * math.exp(-0.5 * (h * h + 0.25 * total * total))


@compiled
def undiscounted(forward: float, strike: float, total: float, is_call: bool) -> float:
    """Kernel: E[payoff] for total volatility σ √τ, NaN if that is NaN."""
    if math.isnan(total):
        return math.nan
    intrinsic = max(forward - strike if is_call else strike - forward, 0.0)
    if total == 0.0:
        return intrinsic
    h = -abs(math.log(forward / strike)) / total
    t = 0.5 * total
    bound = min(forward, strike)
    if h * h + t * t > _VANISHING:
        return intrinsic + (bound if h + t > 0.0 else 0.0)
    scale = math.sqrt(forward) * math.sqrt(strike) / _ROOT_TWO_PI
    scale *= math.exp(-0.5 * (h * h + t * t))
    if h + t > 1.0:
        return intrinsic + bound - scale * (mills(h + t) + mills(t - h))
    return intrinsic + scale * (mills(-h - t) - mills(t - h))


@compiled
def mills(a: float) -> float:
    """Kernel: Φ(−a) / φ(a) to 3e-16 for a in [−1.2, 12] before rounding, to 1e-9 up to 50.

    A rational function fitted for this file, of degrees 9 and 10.
    """
    top = 1.253314137315500379 + a * (1.708441639663390059 + a * (
        1.169306425040555958 + a * (0.5080263358176015668 + a * (
            0.1521417040614704396 + a * (0.03230964027025088992 + a * (
                0.004846705582731821915 + a * (0.0004945595655447611651 + a * (
                    0.00003116932704561810681 + a * 9.26622536198364968e-7))))))))
    bottom = 1.0 + a * (2.161023768123018124 + a * (
        2.157219043500845755 + a * (1.312007775115460001 + a * (
            0.5393619090968339172 + a * (0.1569256049304889937 + a * (
                0.03280237641814638756 + a * (0.004877873454911210074 + a * (
                    0.0004954862386830581845 + a * (
                        0.00003116932593292333249 + a * 9.266225477688435766e-7)))))))))
    return top / bottom
