"""The nearest curves that have no arbitrage: bumps moved by sequential least distances.

w is linear in the bumps, so calendar conditions are; Durrleman's g is not and is linearised anew in
every round. The distance is the mean square change of volatility on the grid, priced by slice.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ml.smile import arbitrage
from ml.smile import curve as curves
from ml.smile.curve import BUMPS
from ml.smile.grid import GRID_SIZE, GRID_Z
from ml.smile.projection import least_distance
from ml.types import Floats, SmileCurve

BUTTERFLY_MARGIN, CALENDAR_MARGIN = 2e-3, 3e-4
"""What a repair aims at: g, and w_far / w_near − 1, at the checked nodes, so that they hold between
the nodes too."""

_PATIENCE = 2  # rounds without
_PROGRESS = 0.7  # the shortfall falling to this share of the least so far
_NEAR = 0.3
_LEAST_BUMP = -0.9
_SMOOTH = 1e-3  # price of a wiggle of the correction, beside its size on the grid

Demand = tuple[Floats, float, dict[int, Floats]]
"""Values (n,), their least, and their derivatives (n, BUMPS) by the bumps of curves by place."""


def project(
    start: list[SmileCurve],
    price: list[float],
    before: list[SmileCurve],
    after: list[SmileCurve],
    shortfall: Callable[[list[SmileCurve]], float],
) -> list[SmileCurve] | None:
    """`start`, neighbours by expiry, moved at the least cost until there is no `shortfall`; None if
    that fails.

    `before` and `after` hold the fixed neighbour on each side, or nothing. A squared change of
    √w in a slice costs its `price`.
    """
    current, missing, stuck = start, shortfall(start), 0
    if not missing:
        return start
    steps = [_unit_steps(one, cost) for one, cost in zip(start, price, strict=True)]
    while stuck < _PATIENCE:
        rows, bounds = _conditions(start, current, before, after)
        for place, own in enumerate(steps):  # slice by slice, for these are small
            rows[:, _part(place)] = rows[:, _part(place)] @ own
        if not (np.isfinite(rows).all() and np.isfinite(bounds).all()):
            return None
        step = least_distance(rows, bounds)
        if step.status != "solved":
            return None
        current = [
            replace(one, bumps=one.bumps + own @ step.point[_part(place)])
            for place, (one, own) in enumerate(zip(start, steps, strict=True))]
        left = shortfall(current)
        if not left:
            return current
        missing, stuck = (left, 0) if left < _PROGRESS * missing else (missing, stuck + 1)
    return None


def _part(place: int) -> slice:
    return slice(place * BUMPS, (place + 1) * BUMPS)


def _unit_steps(one: SmileCurve, price: float) -> Floats:
    """Changes of the bumps, as columns, that are orthogonal and each cost 1; NaN if numbers end."""
    k = GRID_Z * np.sqrt(curves.total_variance(one, np.zeros(1)))
    base = curves.total_variance(curves.plain(one.svi), k)
    change = curves.design(k / one.scale)[0]
    change *= (base / np.sqrt(4 * curves.total_variance(one, k)))[:, None]  # d√w = dw / 2√w
    cost = change.T @ change / GRID_SIZE
    cost += _SMOOTH * np.trace(cost) / BUMPS * curves.ROUGHNESS
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(price * cost)).T)
    except np.linalg.LinAlgError:
        return np.full((BUMPS, BUMPS), np.nan)


def _conditions(
    start: list[SmileCurve],
    current: list[SmileCurve],
    before: list[SmileCurve],
    after: list[SmileCurve],
) -> tuple[Floats, Floats]:
    """Rows and bounds on the change of all bumps since `start`, linear about `current`."""
    gone = np.concatenate([
        now.bumps - then.bumps for now, then in zip(current, start, strict=True)])
    parts = []
    for value, least, slopes in _demands(current, before, after):
        near = ~(value > least + _NEAR)
        rows = np.zeros((int(near.sum()), len(gone)))
        for place, slope in slopes.items():
            rows[:, _part(place)] = slope[near]
        parts.append((rows, least - value[near] + rows @ gone))
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([one for _, one in parts])


def _demands(
    current: list[SmileCurve], before: list[SmileCurve], after: list[SmileCurve]
) -> Iterator[Demand]:
    for place, one in enumerate(current):
        yield _butterfly(one, place)
        yield one.bumps, _LEAST_BUMP, {place: np.eye(BUMPS)}
    everyone = [*before, *current, *after]
    for place, (near, far) in enumerate(pairwise(everyone), start=-len(before)):
        value, least, slopes = _calendar(near, far, place)
        yield value, least, {
            one: slope for one, slope in slopes.items() if 0 <= one < len(current)}


def _butterfly(one: SmileCurve, place: int) -> Demand:
    """g at the checked nodes."""
    row = curves.pack(one)
    k = arbitrage.nodes(row, row)[:, None]
    w, slope, curvature = curves.derivatives(one, k)
    base, base1, base2 = curves.derivatives(curves.plain(one.svi), k)
    basis, basis1, basis2 = curves.design(k[:, 0] / one.scale)
    basis1, basis2 = basis1 / one.scale, basis2 / one.scale**2
    centre = 1 - k * slope / (2 * w)
    by_w = centre * k * slope / w**2 + (slope / (2 * w)) ** 2
    by_slope = -centre * k / w - slope / 2 * (1 / w + 0.25)
    change = (by_w * base * basis + by_slope * (base1 * basis + base * basis1)
              + (base2 * basis + 2 * base1 * basis1 + base * basis2) / 2)
    g = centre**2 - slope**2 / 4 * (1 / w + 0.25) + curvature / 2
    return g[:, 0], BUTTERFLY_MARGIN, {place: change}


def _calendar(near: SmileCurve, far: SmileCurve, place: int) -> Demand:
    """(w_far − w_near) / w_near at the near curve's nodes; the divisor is held."""
    k = arbitrage.nodes(curves.pack(near), curves.pack(far))
    w = curves.total_variance(near, k)
    slopes = [
        curves.design(k / one.scale)[0]
        * (curves.total_variance(curves.plain(one.svi), k) / w)[:, None]
        for one in (near, far)]
    gap = arbitrage.calendar_gap(near, far, k) / w
    return gap, CALENDAR_MARGIN, {place: -slopes[0], place + 1: slopes[1]}
