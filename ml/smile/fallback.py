"""What a surface falls back on where its curves cannot be mended: curves that surely are curves,
and a surface that surely has no arbitrage."""

import math
from collections.abc import Sequence

import numpy as np

from ml.smile import arbitrage
from ml.smile import curve as curves
from ml.smile.arbitrage import LEE_SLOPE, check
from ml.types import Floats, RawSvi, SmileCurve

_X = np.linspace(-4.5, 3.0, 61)  # where a curve is copied on another SVI
_COPY_ERROR = 1e-3
_LEAST_VARIANCE, _MOST_VARIANCE = 1e-12, 1e4
_ETA = 1.2
_MOST_RHO = 0.65  # η (1 + |ρ|) ≤ 2
_RISE = 1e-6  # from one expiry to the next at least


def copied(curve: SmileCurve, target: SmileCurve) -> SmileCurve:
    """The curve near the money as bumps of another's SVI, as far as smooth bumps follow it."""
    k = _X * target.scale
    w = curves.total_variance(curve, k)
    return curves.fit_bumps(target.svi, k, w, 1 / (_COPY_ERROR * w) ** 2)


def tamed(surface: Sequence[SmileCurve], least: Floats) -> list[SmileCurve | None]:
    """Each curve itself if it is positive where checked, its wings are within Lee's bounds, and it
    is not beyond all measure; else one near it that is so; None if there is none. `least` is the
    least g of each, shape (s,)."""
    return [one if _is_tame(one, value) else _tamed(one)
            for one, value in zip(surface, least.tolist(), strict=True)]


def _is_tame(curve: SmileCurve, least: float) -> bool:
    if not (least > -math.inf and curve.scale > 0 and arbitrage.lee_ok(curve.svi)):
        return False
    at_money = float(curves.total_variance(curve, np.zeros(1))[0])
    return _LEAST_VARIANCE <= at_money <= _MOST_VARIANCE


def _tamed(curve: SmileCurve) -> SmileCurve | None:
    svi = curve.svi if arbitrage.lee_ok(curve.svi) else within_lee(curve.svi)
    if svi is None:
        return None
    found = copied(curve, curves.plain(svi))
    least, _ = arbitrage.worst(arbitrage.pack([found]))
    return found if _is_tame(found, float(least[0])) else None


def within_lee(svi: RawSvi) -> RawSvi | None:
    """The SVI with its wings' slopes clipped to 0 … 2, the same w(0), and lifted where negative.

    >>> within_lee(RawSvi(0.04, 4.0, -0.5, 0.0, 0.25))
    RawSvi(a=0.54, b=2.0, rho=0.0, m=0.0, sigma=0.25)
    """
    left, right = (min(max(slope, 0.0), LEE_SLOPE) for slope in arbitrage.lee_slopes(svi))
    b = (left + right) / 2
    rho = (right - left) / (left + right) if b > 0 else 0.0
    sigma, m = abs(float(svi.sigma)), float(svi.m)
    at_money = float(svi.a) + float(svi.b) * (math.hypot(m, sigma) - float(svi.rho) * m)
    a = max(at_money - b * (math.hypot(m, sigma) - rho * m),
            _LEAST_VARIANCE - b * sigma * math.sqrt(1 - rho * rho))
    return RawSvi(a, b, rho, m, sigma) if math.isfinite(a + b + rho + m + sigma) else None


def targets(
    tame: Sequence[SmileCurve | None], weight: Floats, fallback: Sequence[RawSvi] | None
) -> list[SmileCurve]:
    """A surface without arbitrage: the fallback, or an SSVI through the at-the-money variances.

    SSVI with φ(θ) = η / √(θ (1 + θ)) and η (1 + |ρ|) ≤ 2 has none if θ does not fall: Gatheral and
    Jacquier (2014), theorems 4.1 and 4.2 and equation 4.5. `weight` (s,) is the slices' trust.
    """
    if fallback is not None:
        found = [curves.plain(svi) for svi in fallback]
        if len(found) == len(tame) and not any(one.violations for one in check(found)):
            return found
    theta, skew = np.full(len(tame), np.nan), np.full(len(tame), np.nan)
    for place, one in enumerate(tame):
        if one is not None:
            w, slope, _ = curves.derivatives(one, np.zeros(1))
            theta[place], skew[place] = w[0], slope[0] / np.sqrt(w[0])
    known = np.isfinite(skew)
    middle = float(np.median(skew[known])) if known.any() else 0.0
    rho = min(max(middle / _ETA, -_MOST_RHO), _MOST_RHO)
    theta = np.clip(_rising(theta, weight), _LEAST_VARIANCE, _MOST_VARIANCE)
    theta *= 1 + _RISE * np.arange(len(theta))
    return [curves.plain(_ssvi(value, rho)) for value in theta.tolist()]


def _ssvi(theta: float, rho: float) -> RawSvi:
    """w = θ/2 (1 + ρφk + √((φk + ρ)² + 1 − ρ²)) as raw SVI: Gatheral and Jacquier, eq. 4.1."""
    phi = _ETA / math.sqrt(theta * (1 + theta))
    rest = 1 - rho * rho
    return RawSvi(theta / 2 * rest, theta * phi / 2, rho, -rho / phi, math.sqrt(rest) / phi)


def _rising(values: Floats, weight: Floats) -> Floats:
    """The weighted least-squares fit that does not fall, by pooling adjacent violators; NaN takes
    the value before it."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, length
    last = next((value for value in values.tolist() if math.isfinite(value)), _LEAST_VARIANCE)
    for value, share in zip(values.tolist(), weight.tolist(), strict=True):
        last = value if math.isfinite(value) else last
        pool = (last, share, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, other, length = pools.pop()
            total = other + pool[1]
            pool = ((mean * other + pool[0] * pool[1]) / total, total, length + pool[2])
        pools.append(pool)
    return np.repeat([mean for mean, _, _ in pools], [length for *_, length in pools])
