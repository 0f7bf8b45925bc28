"""Raw SVI fitted to one expiry: the quasi-explicit method.

De Marco and Martini (Zeliade, 2009): for a fixed vertex m and width σ the curve is linear in its
other three parameters. Written on its two wings, with y = (k − m) / σ,

    w = a + p (√(y² + 1) + y) + q (√(y² + 1) − y),    p = bσ(1 + ρ)/2,  q = bσ(1 − ρ)/2,

the conditions b ≥ 0, |ρ| ≤ 1 and Lee's b(1 + |ρ|) ≤ 2 are the box 0 ≤ p, q ≤ σ, so that the inner
problem is a quadratic on a box, solved in closed form. That the curve is nowhere below a floor,
a + 2 √(p q) ≥ floor, is a cone: curves that touch it are found by its angle. Outside, the local
minima of a coarse grid are the starts of Levenberg–Marquardt descents in (m, log σ).

The search itself is compiled, in `svi_search`. There k is divided by s = σ_ATM √τ and w by s²; the
box is then 0 ≤ p, q ≤ σ / s.
"""

import math

import numpy as np

from ml.smile import svi_kernel, svi_search
from ml.smile.svi_search import MIN_FREE_QUOTES, VARIANCE_FLOOR
from ml.types import Floats, RawSvi

__all__ = ["MIN_FREE_QUOTES", "MIN_SIGMA", "VARIANCE_FLOOR", "derivatives", "durrleman", "fit",
           "total_variance"]

MIN_SIGMA = 0.02
"""Least width σ of the curve's vertex, in standard deviations s."""

_NO_START = (math.nan, math.nan)


def total_variance(svi: RawSvi, log_moneyness: Floats) -> Floats:
    """w(k) of Gatheral and Jacquier (2014), eq. 3.1, in the shape of k.

    >>> float(total_variance(RawSvi(0.01, 0.1, 0.0, 0.0, 0.3), np.array([0.4]))[0])
    0.060000000000000005
    """
    return derivatives(svi, log_moneyness)[0]


def derivatives(svi: RawSvi, log_moneyness: Floats) -> tuple[Floats, Floats, Floats]:
    """w, dw/dk and d²w/dk², each in the shape of k.

    >>> w, slope, curvature = derivatives(RawSvi(0.01, 0.1, 0.0, 0.0, 0.3), np.array([0.4]))
    >>> round(float(slope[0]), 12), round(float(curvature[0]), 12)
    (0.08, 0.072)
    """
    k = np.array(log_moneyness, dtype=np.float64)
    found = svi_kernel.evaluate(svi.a, svi.b, svi.rho, svi.m, svi.sigma, k.ravel())
    if k.ndim == 1:
        return found
    w, slope, curvature = found
    return w.reshape(k.shape), slope.reshape(k.shape), curvature.reshape(k.shape)


def durrleman(svi: RawSvi, log_moneyness: Floats) -> Floats:
    """g(k); where negative, the smile has butterfly arbitrage (Gatheral and Jacquier, eq. 2.1).

    NaN where w(k) = 0, for nothing has such a density.

    >>> durrleman(RawSvi(0.04, 0.0, 0.0, 0.0, 0.1), np.array([-0.2, 0.2])).tolist()
    [1.0, 1.0]
    """
    k = np.array(log_moneyness, dtype=np.float64)
    values = svi_kernel.durrleman(svi.a, svi.b, svi.rho, svi.m, svi.sigma, k.ravel())
    return values.reshape(k.shape)


def fit(
    log_moneyness: Floats,
    variance: Floats,
    weight: Floats,
    warm: RawSvi | None = None,
    min_sigma: float = MIN_SIGMA,
) -> RawSvi | None:
    """The weighted least-squares raw SVI of total variances at ln(K/F); arrays of shape (n,).

    `weight` is the inverse squared error of `variance`. `warm`, the fit of an instant before,
    replaces the search from several starts while it still leads to a fit within those errors.
    With fewer than `MIN_FREE_QUOTES` quotes m = 0 and σ = s are held, whatever `warm` is.
    `min_sigma` is the least width in standard deviations: a larger one rounds the curve off.
    Within Lee's bounds, no wing steeper than six w(0) per √w(0), and positive; butterfly arbitrage
    is to be checked by `durrleman`.
    None where there are fewer than 3 quotes, values that are not finite, or no finite curve.

    >>> k = np.linspace(-0.2, 0.15, 30)
    >>> true = RawSvi(0.0008, 0.012, -0.5, 0.005, 0.08)
    >>> found = fit(k, total_variance(true, k), np.full(30, 1e10))
    >>> [round(value, 6) for value in (found.a, found.b, found.rho, found.m, found.sigma)]
    [0.0008, 0.012, -0.5, 0.005, 0.08]
    """
    if len(variance) < svi_search.MIN_QUOTES:
        return None
    quotes = np.empty((3, len(variance)))
    quotes[0], quotes[1], quotes[2] = log_moneyness, variance, weight
    start = _NO_START if warm is None else (float(warm.m), float(warm.sigma))
    found = svi_search.fit(quotes, *start, float(min_sigma))
    return RawSvi(*found) if math.isfinite(sum(found)) else None
