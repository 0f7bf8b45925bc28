"""The forward of one expiry from put-call parity, C − P = D (F − K), near the money.

American exercise makes parity an inequality. Near the money and for short expiries the premium
of early exercise is small, and both sides carry it, so that parity is used as it stands.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.types import Floats

FLAT_RATE = 0.03
RATE_DEVIATION = 0.02
"""Prior of the discount rate per year: mean and standard deviation. The slope of C − P over a
few strikes says little about the discount of a short expiry, so the prior decides there, and the
quotes take over as expiry and range of strikes grow."""
MIN_RATE, MAX_RATE = -0.02, 0.12

MAX_PAIRS = 16
_HALF_WIDTH_STRADDLES = 1.0  # about 0.8 standard deviations of the underlying at expiry
_ITERATIONS = 3
_HUBER = 2.0  # residuals beyond this many deviations count linearly
_LEAST_SCALE = 0.05  # of a mid's own deviation: agreement beyond that is chance
_PRIOR_PAIRS = 2.0  # pairs' worth of belief that mids err as the given weights say


@dataclass(frozen=True, slots=True)
class ForwardFit:
    """A forward and its standard error in currency, the discount, and how many pairs gave them."""

    forward: float
    error: float
    discount: float
    pairs: int


def implied_forward(
    strike: Floats,
    call_mid: Floats,
    put_mid: Floats,
    weight: Floats,
    underlying: float,
    tau: float,
    rate: float = FLAT_RATE,
) -> ForwardFit | None:
    """Forward of one expiry from strikes quoted on both sides; arrays have shape (n,).

    `weight` is the inverse variance of C − P in 1/currency². `underlying` (NaN if
    unknown) only bounds the answer: a pair whose forward is not within a factor of 2 of it is
    left out. Robust (Huber)
    weighted regression on the pairs near the money, its slope D drawn towards exp(−`rate` τ);
    with fewer than 3 pairs near the money the weighted median at D = exp(−`rate` τ).
    None without a usable pair.
    """
    flat = float(np.exp(-rate * tau))
    with np.errstate(all="ignore"):
        single = strike + (call_mid - put_mid) / flat
        usable = (weight > 0) & np.isfinite(weight) & (single > 0) & np.isfinite(single)
        usable &= ~(np.abs(np.log(single / underlying)) > np.log(2.0))
    if not usable.any():
        return None
    rows = np.flatnonzero(usable)
    start = _weighted_median(single[rows], weight[rows])
    near = rows[_near_the_money(strike[rows], (call_mid + put_mid)[rows], start)]
    if len(near) < 3:
        return _median_fit(single[near], weight[near], flat)
    return _regress(strike[near], (call_mid - put_mid)[near], weight[near], start, rate, tau)


def _near_the_money(strike: Floats, straddle: Floats, centre: float) -> NDArray[np.intp]:
    """Indices of the nearest strikes, within a straddle of the centre but at least three."""
    distance = np.abs(strike - centre)
    nearest = np.argsort(distance, kind="stable")[:MAX_PAIRS]
    within = distance[nearest] <= _HALF_WIDTH_STRADDLES * straddle[nearest[0]]
    within[:3] = True
    return np.asarray(nearest[within])


def _regress(
    strike: Floats, spread: Floats, weight: Floats, centre: float, rate: float, tau: float
) -> ForwardFit:
    """Regression of C − P on `centre` − K, whose intercept is D (F − centre)."""
    flat = float(np.exp(-rate * tau))
    slope_precision = 1.0 / max(RATE_DEVIATION * tau, 1e-9) ** 2
    x, intercept, slope = centre - strike, 0.0, flat
    for _ in range(_ITERATIONS):
        total = weight * _huber(spread - intercept - slope * x, weight)
        intercept, slope, variance = _ridge_line(x, spread, total, flat, slope_precision)
        slope = float(np.clip(slope, np.exp(-MAX_RATE * tau), np.exp(-MIN_RATE * tau)))
        intercept = float(((spread - slope * x) * total).sum() / total.sum())
    squares = float((total * (spread - intercept - slope * x) ** 2).sum())
    inflation = (_PRIOR_PAIRS + squares) / (_PRIOR_PAIRS + len(strike))
    error = float(np.sqrt(variance * inflation)) / slope
    return ForwardFit(centre + intercept / slope, error, slope, len(strike))


def _huber(residual: Floats, weight: Floats) -> Floats:
    """Factors that let residuals far beyond the median one count linearly, not squared."""
    deviations = np.abs(residual) * np.sqrt(weight)
    scale = max(1.4826 * float(np.sort(deviations)[len(deviations) // 2]), _LEAST_SCALE)
    return np.asarray(np.minimum(1.0, _HUBER * scale / np.maximum(deviations, _LEAST_SCALE)))


def _ridge_line(
    x: Floats, y: Floats, weight: Floats, flat: float, slope_precision: float
) -> tuple[float, float, float]:
    """Intercept, slope (drawn towards `flat`) and the intercept's variance for these weights."""
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - mean_x) ** 2).sum() + slope_precision
    slope = flat + (weight * (x - mean_x) * (y - mean_y - flat * (x - mean_x))).sum() / spread
    return mean_y - slope * mean_x, slope, 1.0 / total + mean_x**2 / spread


def _median_fit(single: Floats, weight: Floats, flat: float) -> ForwardFit:
    forward = _weighted_median(single, weight)
    noise = 1.0 / weight.sum() / flat**2
    scatter = float((weight * (single - forward) ** 2).sum() / weight.sum())
    return ForwardFit(forward, float(np.sqrt(noise + scatter)), flat, len(single))


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])
