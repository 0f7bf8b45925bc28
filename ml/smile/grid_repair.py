"""A forecast smile on the grid moved to the nearest one without butterfly arbitrage.

What is checked is the curve that the grid stands for, `vol_at`'s spline between its points, from
z = −2.5 to 1.5.
"""

import numpy as np

from ml.smile.grid import ATM_INDEX, GRID_SIZE, GRID_Z, MAX_VOL, MIN_VOL, spline
from ml.smile.projection import least_distance
from ml.types import Bools, Floats

CHECKED_Z: Floats = np.arange(-80.0, 49.0) / 32
"""Where g is checked: at the grid's points, at which it has its kinks, and between."""

_MAPS = spline(CHECKED_Z)
_MARGIN = 3e-3  # of g, aimed at by a repair, so that it holds between the checked points too
_PATIENCE = 2  # rounds without
_PROGRESS = 0.7  # the worst g rising to this share of the best so far
_NEAR = 0.3  # conditions met by more than this are left out of a round
_LEAST_VALUE = 0.5 * MIN_VOL  # of the spline between the grid's points
_BISECTIONS = 10
_APPROACHES = 4
_SHARES = (1.0, 0.5, 0.25, 0.1)


def butterfly(smile: Floats, tau: float) -> Floats:
    """Durrleman's g of the smile's spline at `CHECKED_Z`, shape (129,); negative is arbitrage.

    In terms of σ(z) and σ_ATM Gatheral and Jacquier's (2014) equation 2.1 is

        g = (1 − z σ′/σ)² + σ σ″/σ_ATM² − (σ σ′/σ_ATM)² τ/4.

    >>> round(float(butterfly(np.full(17, 0.2), 0.1).min()), 12)
    1.0
    """
    with np.errstate(all="ignore"):
        return _durrleman(_MAPS @ smile, float(smile[ATM_INDEX]), tau)


def repair(smile: Floats, tau: float) -> tuple[Floats, float]:
    """A forecast smile (17,) made positive, bounded and free of butterfly arbitrage.

    Returns the nearest such smile by least squares, and the root mean square by which it was moved
    in volatility, exactly 0 for a smile that was free of it. Where the linearised conditions do
    not lead there, the search starts again from the blend with its own parabola or, if even that
    has arbitrage, with the flat smile at σ_ATM, which never has; it then ends near the nearest.

    Raises:
        ValueError: if a value is not finite, for there is nothing to repair.

    >>> kinked = 0.2 - 0.02 * GRID_Z + 0.03 * np.exp(-((4 * GRID_Z) ** 2))
    >>> found, moved = repair(kinked, 0.1)
    >>> bool(butterfly(kinked, 0.1).min() < 0 <= butterfly(found, 0.1).min()), round(moved * 1e4)
    (True, 25)
    """
    if not np.isfinite(smile).all():
        raise ValueError("a smile with missing values cannot be repaired")
    bounded = np.clip(smile, MIN_VOL, MAX_VOL)
    with np.errstate(all="ignore"):
        found = bounded
        if _worst(bounded, tau) < 0:
            nearest = _nearest(bounded, tau)
            found = _nearer(bounded, _blended(bounded, tau), tau) if nearest is None else nearest
        return found, float(np.sqrt(np.mean((found - smile) ** 2)))


def has_butterfly(smiles: Floats, tau: Floats) -> Bools:
    """Which of N smiles (N, 17) `repair` would move, by their `tau` (N,), in one go; (N,).

    >>> kinked = 0.2 - 0.02 * GRID_Z + 0.03 * np.exp(-((4 * GRID_Z) ** 2))
    >>> has_butterfly(np.stack([kinked, np.full(17, 0.2)]), np.array([0.1, 0.1])).tolist()
    [True, False]
    """
    with np.errstate(all="ignore"):
        value, slope, curvature = smiles @ _MAPS.transpose(0, 2, 1)  # (N, 129) each
        atm = smiles[:, ATM_INDEX, None]
        centre = 1 - CHECKED_Z * slope / value
        g = centre**2 + value * curvature / atm**2 - (value * slope / atm) ** 2 * (tau[:, None] / 4)
        return np.asarray(~((g >= 0).all(axis=1) & (value > 0).all(axis=1)))


def _durrleman(curve: Floats, atm: float, tau: float) -> Floats:
    value, slope, curvature = curve
    centre = 1 - CHECKED_Z * slope / value
    return np.asarray(
        centre**2 + value * curvature / atm**2 - (value * slope / atm) ** 2 * (tau / 4))


def _worst(smile: Floats, tau: float) -> float:
    """The least g; −inf where the spline is not positive."""
    curve = _MAPS @ smile
    least = float(_durrleman(curve, float(smile[ATM_INDEX]), tau).min())
    return least if curve[0].min() > 0 and least > -np.inf else -np.inf


def _nearest(start: Floats, tau: float) -> Floats | None:
    """Least distances with g linearised about the last one; None if they do not get there."""
    current, best, stuck = start, _worst(start, tau), 0
    while stuck < _PATIENCE:
        found = _step(start, current, tau)
        if found is None:
            return None
        current, worst = found, _worst(found, tau)
        if worst >= 0:
            return current
        best, stuck = (worst, 0) if worst > _PROGRESS * best else (best, stuck + 1)
    return None


def _nearer(start: Floats, clean: Floats, tau: float) -> Floats:
    """From a clean smile towards `start`, staying clean: slower, but it always gets somewhere."""
    for _ in range(_APPROACHES):
        target = _step(start, clean, tau)
        if target is None:
            return clean
        trials = (_mixed(clean, target, share) for share in _SHARES)
        nearer = next((trial for trial in trials if _worst(trial, tau) >= 0), None)
        if nearer is None or not np.sum((nearer - start) ** 2) < np.sum((clean - start) ** 2):
            return clean
        clean = nearer
    return clean


def _step(start: Floats, current: Floats, tau: float) -> Floats | None:
    """The smile nearest to `start` by the conditions linearised about `current`."""
    rows, bounds = _conditions(start, current, tau)
    if not (np.isfinite(rows).all() and np.isfinite(bounds).all()):
        return None
    step = least_distance(rows, bounds)
    if step.status != "solved":
        return None
    return np.asarray(np.clip(start + step.point, MIN_VOL, MAX_VOL))


def _conditions(start: Floats, current: Floats, tau: float) -> tuple[Floats, Floats]:
    """Rows and bounds on the change since `start`, linear about `current`."""
    atm = float(current[ATM_INDEX])
    curve = _MAPS @ current
    value, slope, curvature = curve[:, :, None]
    z = CHECKED_Z[:, None]
    g = _durrleman(curve, atm, tau)
    centre = 1 - z * slope / value
    by_value = 2 * centre * z * slope / value**2 + curvature / atm**2
    by_value -= value * slope**2 * tau / (2 * atm**2)
    by_slope = -2 * centre * z / value - value**2 * slope * tau / (2 * atm**2)
    rows = by_value * _MAPS[0] + by_slope * _MAPS[1] + value / atm**2 * _MAPS[2]
    by_atm = -2 * value * curvature / atm**3 + (value * slope) ** 2 * tau / (2 * atm**3)
    rows[:, ATM_INDEX] += by_atm[:, 0]
    near, thin = g < _MARGIN + _NEAR, curve[0] < 2 * MIN_VOL
    unit = np.eye(GRID_SIZE)
    return (np.concatenate([rows[near], _MAPS[0][thin], unit, -unit]),
            np.concatenate([_MARGIN - g[near] + rows[near] @ (current - start),
                            _LEAST_VALUE - (_MAPS[0] @ start)[thin],
                            MIN_VOL - start, start - MAX_VOL]))


def _blended(smile: Floats, tau: float) -> Floats:
    """The smile with the least share of a smoother one that frees it of arbitrage, by bisection."""
    parabola = np.polynomial.Polynomial.fit(GRID_Z, smile, 2)(GRID_Z)
    target = np.clip(parabola, MIN_VOL, MAX_VOL)
    if _worst(target, tau) < 0:
        target = np.full(GRID_SIZE, smile[ATM_INDEX])
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        if _worst(_mixed(smile, target, share), tau) < 0:
            low = share
        else:
            high = share
    return _mixed(smile, target, high)


def _mixed(one: Floats, other: Floats, share: float) -> Floats:
    return np.asarray(np.clip((1 - share) * one + share * other, MIN_VOL, MAX_VOL))
