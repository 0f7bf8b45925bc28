"""The smile on the fixed grid of standardised moneyness, read as a curve.

z = k / (σ_ATM √τ), k = ln(K / F). A grid smile carries its own σ_ATM: its value at z = 0.
"""

import numpy as np

from ml.types import Floats

GRID_Z: Floats = np.arange(-10.0, 7.0) / 4
"""z from −2.5 to 1.5 in steps of 0.25."""
GRID_Z.setflags(write=False)
GRID_SIZE = len(GRID_Z)
ATM_INDEX = 10
MIN_VOL, MAX_VOL = 0.005, 10.0
"""Bounds of a forecast volatility."""
LEE_SLOPE = 2.0
"""Roger Lee (2004): total variance grows at most twice as fast as |k|."""

_STEP = 0.25
_BISECTIONS = 20


def grid_log_moneyness(smile: Floats, tau: float) -> Floats:
    """ln(K/F) of the grid's points, shape (17,), for a grid smile (17,) and `tau` in years."""
    return np.asarray(GRID_Z * smile[ATM_INDEX] * np.sqrt(tau))


def vol_at(smile: Floats, tau: float, log_moneyness: Floats) -> Floats:
    """Volatility of a grid smile (17,) at any ln(K/F), shape (n,).

    Within the grid a cubic Hermite curve with centred slopes. Beyond it total variance is a
    straight line in k with the slope of the grid's end, held within 0 and Lee's bound of 2, so
    that wings neither fall to zero nor explode. NaN where the smile is NaN.
    """
    with np.errstate(all="ignore"):
        scale = float(smile[ATM_INDEX] * np.sqrt(tau))
        z = np.asarray(log_moneyness, dtype=np.float64) / scale
        inside = np.clip(z, GRID_Z[0], GRID_Z[-1])
        left, right = _end_slope(smile[:3], scale, tau), _end_slope(smile[:-4:-1], scale, tau)
        slope = np.where(z < inside, left, np.where(z > inside, right, 0.0))
        variance = _hermite(smile, inside) ** 2 + slope * np.abs(z - inside) * scale / tau
        return np.asarray(np.sqrt(variance))


def butterfly(smile: Floats, tau: float = 0.0) -> Floats:
    """Durrleman's g at the grid's 15 inner points, by finite differences; negative is arbitrage.

    With v = (σ(z) / σ_ATM)² and s = σ_ATM √τ, Gatheral and Jacquier's (2014) g becomes
    (1 − z v′/2v)² − (v′²/4)(1/v + s²/4) + v″/2. `tau` in years enters by the s² term alone,
    which is left out at 0.
    """
    variance = (smile / smile[ATM_INDEX]) ** 2
    v, z = variance[1:-1], GRID_Z[1:-1]
    slope = (variance[2:] - variance[:-2]) / (2 * _STEP)
    curvature = (variance[2:] - 2 * v + variance[:-2]) / _STEP**2
    damping = 1 / v + smile[ATM_INDEX] ** 2 * tau / 4
    return np.asarray((1 - z * slope / (2 * v)) ** 2 - slope**2 / 4 * damping + curvature / 2)


def repair(smile: Floats, tau: float = 0.0) -> tuple[Floats, bool]:
    """A forecast smile (17,) made positive, bounded and free of butterfly arbitrage on the grid.

    Returns the smile and whether it was moved. A smile that breaks the bound is blended with its
    own least-squares parabola, by the smallest share that cures it; if even the parabola breaks
    it, with the flat smile at σ_ATM, which never does.

    Raises:
        ValueError: if a value is not finite, for there is nothing to repair.
    """
    if not np.isfinite(smile).all():
        raise ValueError("a smile with missing values cannot be repaired")
    bounded = np.clip(smile, MIN_VOL, MAX_VOL)
    if _is_arbitrage_free(bounded, tau):
        return bounded, bool((bounded != smile).any())
    parabola = np.polynomial.Polynomial.fit(GRID_Z, bounded, 2)(GRID_Z)
    target = np.clip(parabola, MIN_VOL, MAX_VOL)
    if not _is_arbitrage_free(target, tau):
        target = np.full(GRID_SIZE, bounded[ATM_INDEX])
    return _blend(bounded, target, tau), True


def _is_arbitrage_free(smile: Floats, tau: float) -> bool:
    return bool((butterfly(smile, tau) >= 0).all())


def _blend(smile: Floats, target: Floats, tau: float) -> Floats:
    """The arbitrage-free mixture nearest to `smile`, by bisection on the share of `target`."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        if _is_arbitrage_free(smile + share * (target - smile), tau):
            high = share
        else:
            low = share
    return np.asarray(smile + high * (target - smile))


def _hermite(smile: Floats, z: Floats) -> Floats:
    """Cubic Hermite interpolation on the grid; z within the grid."""
    slope = np.gradient(smile, _STEP, edge_order=2)
    position = (z - GRID_Z[0]) / _STEP
    known = np.nan_to_num(position)
    left = np.minimum(known.astype(np.intp), GRID_SIZE - 2)
    t = position - left
    rise = smile[left + 1] - smile[left]
    start, end = _STEP * slope[left] - rise, rise - _STEP * slope[left + 1]
    return np.asarray(smile[left] + t * rise + t * (1 - t) * (start * (1 - t) + end * t))


def _end_slope(ends: Floats, scale: float, tau: float) -> float:
    """dw/d|k| outward at an end of the grid, from its three outermost points (outermost first)."""
    variance = ends**2 * tau
    outward = (3 * variance[0] - 4 * variance[1] + variance[2]) / (2 * _STEP * scale)
    return float(np.clip(outward, 0.0, LEE_SLOPE))
