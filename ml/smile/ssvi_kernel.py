"""The search behind `ssvi.fit`, which says what is solved, compiled.

The parameters are `level`, the log θ of each block of expiries, and `shape`, which holds atanh ρ,
log η and γ. Each quote knows one θ only, so that the normal equations are an arrow: a diagonal for
θ, three columns, and a 3 × 3 block left after θ is eliminated.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.types import Floats

Integers = NDArray[np.int64]

_ROUNDS = 100
_ENOUGH, _SLOW = 1e-9, 3  # relative gain below which so many rounds in turn end a descent
_LONGEST = 1.5  # step in any parameter
_STILL = 1e-9  # step below which a descent ends
_MOST_RHO = 6.0  # of atanh ρ either way
_INSIDE = 1e-10  # distance in log η kept to the bounds
_RIDGE = 1e-13  # keeps the equations solvable where a parameter does nothing
_HOLD = 1e12  # factor on a diagonal that keeps its parameter where it is
_DESCENTS = 3
_RHO, _ETA = (-0.8, -0.5, -0.2, 0.2, 0.5), (0.2, 0.6, 1.2, 2.0)  # of the starts, with γ = 1/2


@compiled
def _log_phi(level: float, shape: Floats) -> tuple[float, float, float]:
    """log φ, and its derivatives by log θ and by γ."""
    theta, gamma = math.exp(level), shape[2]
    above = math.log1p(theta)
    value = shape[1] - gamma * level - (1 - gamma) * above
    return value, -gamma - (1 - gamma) * theta / (1 + theta), above - level


@compiled
def _slice_sums(
    k: Floats, v: Floats, share: Floats, theta: float, phi: float, rho: float, sums: Floats
) -> float:
    """Weighted sums into the upper triangle of `sums`, (3, 4), of one expiry's quotes; its cost.

    Rows are w, ∂w/∂log φ and ∂w/∂ρ, with themselves and with what the quotes are above w.
    """
    half, depth = theta / 2, (1 - rho) * (1 + rho)
    ww = wp = wr = we = pp = pr = pe = rr = re = cost = 0.0
    for j in range(len(k)):
        x = phi * k[j]
        root = math.sqrt((x + rho) * (x + rho) + depth)
        w, skewed = half * (1 + rho * x + root), half * x / root
        by_phi, by_rho, error = skewed * (rho * root + x + rho), skewed * (root + 1), v[j] - w
        weighted = share[j] * w
        ww, wp, wr = ww + weighted * w, wp + weighted * by_phi, wr + weighted * by_rho
        we, weighted = we + weighted * error, share[j] * by_phi
        pp, pr, pe = pp + weighted * by_phi, pr + weighted * by_rho, pe + weighted * error
        weighted = share[j] * by_rho
        rr, re, cost = rr + weighted * by_rho, re + weighted * error, cost + share[j] * error**2
    sums[0, 0], sums[0, 1], sums[0, 2], sums[0, 3] = ww, wp, wr, we
    sums[1, 1], sums[1, 2], sums[1, 3], sums[2, 2], sums[2, 3] = pp, pr, pe, rr, re
    return cost


@compiled
def _normal(
    k: Floats, v: Floats, share: Floats, first: Integers, block: Integers,
    level: Floats, shape: Floats, arrow: Floats, core: Floats,
) -> float:
    """Half of the cost's derivatives; the cost. `arrow` has a row for each block, `core` is (3, 5).

    A row holds the diagonal, the three columns and the right side, as `core` does for `shape`;
    the last column of both is `_step`'s.
    """
    arrow[:], core[:], cost = 0.0, 0.0, 0.0
    rho, sums = math.tanh(shape[0]), np.empty((3, 4))
    turn = (1 - rho) * (1 + rho)  # ∂ρ / ∂atanh ρ
    for i in range(len(block)):
        log_phi, by_level, by_gamma = _log_phi(level[block[i]], shape)
        start, end, theta = first[i], first[i + 1], math.exp(level[block[i]])
        own = k[start:end], v[start:end], share[start:end]
        cost += _slice_sums(*own, theta, math.exp(log_phi), rho, sums)
        row, mixed = arrow[block[i]], sums[0, 1] + by_level * sums[1, 1]
        row[0] += sums[0, 0] + by_level * (sums[0, 1] + mixed)
        row[1] += turn * (sums[0, 2] + by_level * sums[1, 2])
        row[2] += mixed
        row[3] += mixed * by_gamma
        row[4] += sums[0, 3] + by_level * sums[1, 3]
        core[0, 0] += turn * turn * sums[2, 2]
        core[0, 3] += turn * sums[2, 3]
        core[2, 2] += sums[1, 1] * by_gamma * by_gamma
        for column, mixed in ((0, turn * sums[1, 2]), (1, sums[1, 1]), (3, sums[1, 3])):
            core[min(column, 1), max(column, 1)] += mixed
            core[min(column, 2), max(column, 2)] += mixed * by_gamma
    return cost


@compiled
def _bound(level: Floats, shape: Floats) -> tuple[float, int, float, float, float, float]:
    """The nearer of the two bounds: how far beyond it in log η, and its derivatives.

    Derivatives by the θ of the block given, if not below 0, and by the three of `shape`.
    """
    low, high = int(np.argmin(level)), int(np.argmax(level))
    rho, gamma = math.tanh(shape[0]), shape[2]
    skew, by_rho = math.log1p(abs(rho)), math.copysign(1 - abs(rho), rho)
    # θφ (1 + |ρ|) < 4 is nearest at the largest θ,
    value, by_level, by_gamma = _log_phi(level[high], shape)
    steep = value + level[high] + skew - math.log(4.0)
    # and θφ² (1 + |ρ|) ≤ 4 at θ = 1 − 2γ, or where the range comes closest to that.
    peak = math.log(1 - 2 * gamma) if gamma < 0.5 else -math.inf
    at = low if peak <= level[low] else high if peak >= level[high] else -1
    curved, slope, twist = _log_phi(peak if at < 0 else level[at], shape)
    curved = curved + ((peak if at < 0 else level[at]) + skew - math.log(4.0)) / 2
    if steep > curved:
        return steep + _INSIDE, high, by_level + 1, by_rho, 1.0, by_gamma
    return curved + _INSIDE, at, slope + 0.5, by_rho / 2, 1.0, twist


@compiled
def _solve(
    arrow: Floats, core: Floats, damping: float, held: Floats, column: int, step: Floats
) -> None:
    """`step` = (H + damping diag H)⁻¹ right, with the right side of `arrow` in `column`.

    `step` has the blocks' first and those of `shape` last; the latter's diagonal is
    multiplied by `held`.
    """
    blocks, left = len(arrow), np.empty((3, 4))
    for g in range(3):
        for h in range(g, 3):
            left[g, h] = core[g, h]
        left[g, g] += damping * core[g, g] + _RIDGE * (core[0, 0] + core[1, 1] + 1e-300)
        left[g, g] *= held[g]
        left[g, 3] = core[g, column - 1]
    for i in range(blocks):
        diagonal = arrow[i, 0] * (1 + damping)
        for g in range(3):
            factor = arrow[i, g + 1] / diagonal
            for h in range(g, 3):
                left[g, h] -= factor * arrow[i, h + 1]
            left[g, 3] -= factor * arrow[i, column]
    for g in range(3):
        for h in range(g + 1, 3):
            factor = left[g, h] / left[g, g]
            for j in range(h, 4):
                left[h, j] -= factor * left[g, j]
    for g in range(2, -1, -1):
        for h in range(g + 1, 3):
            left[g, 3] -= left[g, h] * step[blocks + h]
        step[blocks + g] = left[g, 3] / left[g, g]
    for i in range(blocks):
        rest = arrow[i, column]
        for g in range(3):
            rest -= arrow[i, g + 1] * step[blocks + g]
        step[i] = rest / (arrow[i, 0] * (1 + damping))


@compiled
def _retract(level: Floats, shape: Floats) -> None:
    """Back within all bounds, by η alone."""
    shape[0] = min(max(shape[0], -_MOST_RHO), _MOST_RHO)
    shape[2] = min(max(shape[2], 0.0), 1.0)
    for _ in range(2):
        shape[1] -= max(_bound(level, shape)[0], 0.0)


@compiled
def _bounded_step(
    arrow: Floats, core: Floats, damping: float, held: Floats, value: float, step: Floats
) -> bool:
    """A damped step, along the bound `value` away where it would cross it, and whether it would."""
    blocks, along = len(arrow), np.empty_like(step)
    for column in range(4, 6):
        _solve(arrow, core, damping, held, column, step if column == 4 else along)
    beyond, slope = value, 0.0
    for i in range(blocks + 3):
        part = arrow[i, 5] if i < blocks else core[i - blocks, 4]
        beyond += part * step[i]
        slope += part * along[i]
    crossed = beyond > 0.0 and slope > 0.0
    for i in range(blocks + 3):
        step[i] -= along[i] * beyond / slope if crossed else 0.0
    return crossed


@compiled
def _step(
    level: Floats, shape: Floats, arrow: Floats, core: Floats, damping: float, step: Floats
) -> float:
    """A damped step within the bounds, of which |ρ| makes a ridge at ρ = 0; its longest part."""
    blocks, rho, gamma, held = len(level), shape[0], shape[2], np.ones(3)
    value, at, by_level, by_rho, core[1, 4], core[2, 4] = _bound(level, shape)
    for i in range(blocks):
        arrow[i, 5] = by_level if i == at else 0.0
    for side in (1.0, -1.0, 0.0):
        if side * rho < -_STILL:
            continue
        core[0, 4], held[0], held[2] = abs(by_rho) * side, 1.0 if side else _HOLD, 1.0
        for _ in range(2):
            crossed = _bounded_step(arrow, core, damping, held, value, step)
            if 0.0 < gamma < 1.0 or 0.0 <= gamma + step[blocks + 2] <= 1.0:
                break
            held[2] = _HOLD
        if not crossed or side * (rho + step[blocks]) > 0.0:
            break
        if side == 0.0:
            # The bound forbids to leave the ridge on either side: go along it.
            step[blocks] = -rho
    longest = 0.0
    for i in range(blocks + 3):
        longest = max(longest, abs(step[i]))
    for i in range(blocks + 3):
        step[i] *= min(_LONGEST / longest, 1.0)
    return longest


@compiled
def _descend(
    k: Floats, v: Floats, share: Floats, first: Integers, block: Integers,
    level: Floats, shape: Floats, exact: float,
) -> tuple[Floats, Floats, float]:
    """Levenberg–Marquardt from `level` and `shape`, within the bounds; where it ends, the cost."""
    blocks, cost, damping, slow, longest = len(level), math.inf, 1e-2, 0, math.inf
    arrow, core, step = np.empty((blocks, 6)), np.empty((3, 5)), np.empty(blocks + 3)
    new_arrow, new_core = np.empty_like(arrow), np.empty_like(core)
    new_level, new_shape = level.copy(), shape.copy()
    for _ in range(_ROUNDS):
        _retract(new_level, new_shape)
        found = _normal(k, v, share, first, block, new_level, new_shape, new_arrow, new_core)
        if found < cost:
            slow = slow + 1 if cost - found < _ENOUGH * found else 0
            cost, damping = found, max(damping / 10, 1e-12)
            level, new_level, shape, new_shape = new_level, level, new_shape, shape
            arrow, new_arrow, core, new_core = new_arrow, arrow, new_core, core
            if not cost > exact or slow == _SLOW:
                break
        elif not (cost < math.inf and longest > _STILL):
            break
        else:
            damping *= 6
        longest = _step(level, shape, arrow, core, damping, step)
        for i in range(blocks):
            new_level[i] = level[i] + step[i]
        for g in range(3):
            new_shape[g] = shape[g] + step[blocks + g]
    return level, shape, cost


@compiled
def pooled(level: Floats, block: Integers) -> Floats:
    """The levels with each that falls below its forerunner pooled with it; changes `block`."""
    mean, count = np.empty_like(level), np.zeros(len(level))
    target, last = np.empty(len(level), np.int64), -1
    for i in range(len(level)):
        last += 1
        mean[last], count[last] = level[i], 1.0
        target[i] = last
        while last > 0 and mean[last] < mean[last - 1]:
            total, last = mean[last] * count[last], last - 1
            count[last] += count[last + 1]
            mean[last] += (total - mean[last] * count[last + 1]) / count[last]
            for j in range(i + 1):
                target[j] = min(target[j], last)
    for i in range(len(block)):
        block[i] = target[block[i]]
    return mean[: last + 1].copy()


@compiled
def _rising(
    k: Floats, v: Floats, share: Floats, first: Integers, level: Floats, shape: Floats, exact: float
) -> tuple[Floats, Floats, float]:
    """A descent whose levels do not fall from one expiry to the next."""
    block, blocks, cost, before = np.arange(len(level)), level.copy(), math.inf, 0
    while len(blocks) != before:
        before = len(blocks)
        blocks, shape, cost = _descend(k, v, share, first, block, blocks, shape, exact)
        blocks = pooled(blocks, block)
    return blocks[block], shape, cost


@compiled
def _grid(
    k: Floats, v: Floats, share: Floats, first: Integers, level: Floats,
    costs: Floats, shapes: Floats,
) -> None:
    """Costs of the shapes of a coarse grid, and the shapes, with the levels held."""
    block = np.arange(len(level))
    arrow, core = np.empty((len(level), 6)), np.empty((3, 5))
    for i in range(len(costs)):
        eta, rho = divmod(i, len(_RHO))
        shape = shapes[i]
        shape[0], shape[1], shape[2] = math.atanh(_RHO[rho]), math.log(_ETA[eta]), 0.5
        _retract(level, shape)
        costs[i] = _normal(k, v, share, first, block, level, shape, arrow, core)


@compiled
def fit(
    k: Floats, v: Floats, share: Floats, first: Integers, level: Floats,
    warm_level: Floats, warm_shape: Floats, exact: float,
) -> tuple[Floats, Floats]:
    """The best level of each expiry, and the best shape.

    The quotes are ln(K/F), total variance and weight, the weights' sum 1; expiry i has those from
    `first[i]` to `first[i + 1]`, and starts at `level[i]`. A warm start that is NaN is none. At a
    cost of `exact` nothing is left to gain.
    """
    count = len(_RHO) * len(_ETA)
    costs, shapes = np.empty(count + 1), np.empty((count + 1, 3))
    _grid(k, v, share, first, level, costs[1:], shapes[1:])
    costs[0], shape, best = math.inf if math.isnan(warm_shape[0]) else -1.0, warm_shape, math.inf
    start_level, best_level, best_shape = warm_level, level, warm_shape
    for _ in range(_DESCENTS):
        start = np.argmin(costs)
        if not costs[start] < best:
            break
        if start > 0:
            start_level, shape = level, shapes[start]
        costs[start] = math.inf
        new_level, new_shape, cost = _rising(k, v, share, first, start_level, shape, exact)
        if cost < best:
            best, best_level, best_shape = cost, new_level, new_shape
    return best_level, best_shape
