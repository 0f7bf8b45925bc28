"""The search behind `svi.fit`, which says what is solved, compiled.

All in scaled units: x = k / s and v = w / s² with s² the at-the-money variance, `share` the
weights that sum to 1, and the wings right = √(y² + 1) + y and left = √(y² + 1) − y = 1 / right.
"""

import math

import numpy as np

from ml.compiled import compiled
from ml.types import Floats

Triple = tuple[float, float, float]

VARIANCE_FLOOR = 1e-4
"""Least total variance of the curve, as a share of the at-the-money one."""
MIN_FREE_QUOTES = 8
"""With fewer quotes than this, m and σ are held and only a, b and ρ are fitted."""
MIN_QUOTES = 3
_HELD_SIGMA = 1.0  # width of a held curve in standard deviations: close to a parabola in z
_SHARP = 0.3
_LEAST_SIGMA, _MAX_SIGMA = 1e-3, 12.0
_MARGIN = 0.25  # the vertex may lie outside the quoted strikes by this share of their range
_FARTHEST = 1e3  # standard deviations beyond which a strike is no quote but a mistake
_WARM_ENOUGH = 0.25  # mean squared residual, in the weights' errors, that keeps a warm start
_GRID_M, _GRID_SIGMA = 31, 12
_STARTS, _ROUNDS = 8, 60
_ENOUGH = 1e-6  # relative gain below which the descent ends
_EXACT = 1e-16  # mean squared error below which nothing is left to gain
_RIDGE, _TINY, _SINGULAR = 1e-14, 1e-30, 1e-12  # keep the equations solvable
_STILL = 1e-7  # steps below which the descent ends
_WIDE = 6.0  # widest start
_FIRST_TURN, _TURNS = 1e-4, 60  # of the search along the cone of curves that touch the floor
_INSIDE = 1 - 1e-12  # of Lee's bound, so that rounding doesn't break it
_STEEPEST = 6.0  # of a wing, in v per x; real ones reach 3. A few dear far quotes ask for more
_NOTHING = (0.0, 1.0, math.nan, 0.0, 0.0, math.inf)  # m, σ, a, p, q and cost before any is found


@compiled
def box_minimum(
    h11: float, h12: float, h22: float, b1: float, b2: float, upper: float
) -> tuple[float, float]:
    """Where h11 p² + 2 h12 p q + h22 q² − 2 b1 p − 2 b2 q is least on 0 ≤ p, q ≤ `upper`.

    A convex quadratic is least on a box either at its own minimum or on one of the four sides,
    where it is a clipped parabola.
    """
    determinant = h11 * h22 - h12 * h12
    p, q = (b1 * h22 - b2 * h12) / determinant, (b2 * h11 - b1 * h12) / determinant
    if 0.0 <= p <= upper and 0.0 <= q <= upper:
        return p, q
    best, p, q = math.inf, 0.0, 0.0
    for side in range(4):
        one = other = upper if side % 2 else 0.0
        if side < 2:
            other = min(max((b2 - h12 * one) / h22, 0.0), upper)
        else:
            one = min(max((b1 - h12 * other) / h11, 0.0), upper)
        value = one * (h11 * one - 2 * b1) + other * (h22 * other - 2 * b2) + 2 * h12 * one * other
        if value < best:
            best, p, q = value, one, other
    return p, q


@compiled
def _ray(
    angle: float, mixed: float, r: float, f: float, dr: float, df: float, d: float
) -> tuple[float, float, float]:
    """What the best curve of a ray takes off the cost, its length, and which way is more."""
    c, s = math.cos(angle), math.sin(angle)
    cc, ss, cs = c * c, s * s, c * s
    along = cc * dr + ss * df - 2 * cs * d
    turned = 2 * cs * (df - dr) - 2 * (cc - ss) * d
    wings = cc * r + ss * f
    square = cc * cc + ss * ss + cs * (6 * cs * mixed - 4 * wings)
    bent = (cc - ss) * (4 * cs * (3 * mixed - 1) - 4 * wings) - 8 * cs * cs * (f - r)
    if not (along > 0.0 and square > 0.0):
        return 0.0, 0.0, turned
    return along * along / square, along / square, 2 * turned * square - along * bent


@compiled
def cone_minimum(
    p: float, q: float, rr: float, ff: float, r: float, f: float, dr: float, df: float, d: float
) -> tuple[float, float, float]:
    """The best p and q of the curves that touch the floor, and what they take off the cost.

    There a = floor − 2 √(p q), so that v − floor = (√(p right) − √(q left))²: the boundary of a
    convex cone, whose rays have a best length in closed form. Uphill along the rays from the one
    of p and q, the best without a floor, is the best of all. The sums are those of right², left²,
    right, left, and of d = v − floor with right, left and 1.
    """
    one, other, cross = math.sqrt(rr), math.sqrt(ff), (rr * ff) ** 0.25
    sums = (1 / cross**2, r / (one * cross), f / (other * cross), dr / one, df / other, d / cross)
    here, reach = math.atan2(math.sqrt(q * other), math.sqrt(p * one)), _FIRST_TURN
    gain, _, uphill = _ray(here, *sums)
    way = math.copysign(1.0, uphill)
    for _ in range(_TURNS):
        there = min(max(here + way * reach, 0.0), math.pi / 2)
        found, _, uphill = _ray(there, *sums)
        if found >= gain and uphill * way > 0.0:
            here, gain, reach = there, found, reach * 2
        else:
            reach /= 4
    gain, length, _ = _ray(here, *sums)
    return length * math.cos(here) ** 2 / one, length * math.sin(here) ** 2 / other, gain


@compiled
def solve(
    x: Floats, v: Floats, share: Floats, m: float, sigma: float, bound: float, wings: Floats
) -> tuple[float, float, float, float, bool]:
    """The best a, p, q for (m, σ), mean squared error, whether at the floor; fills `wings`."""
    r = f = mean = 0.0
    for i in range(len(x)):
        y = (x[i] - m) / sigma
        steep = math.sqrt(y * y + 1.0) + abs(y)
        flat = 1.0 / steep
        wings[0, i], wings[1, i] = (steep, flat) if y > 0 else (flat, steep)
    for i in range(len(x)):
        r += share[i] * wings[0, i]
        f += share[i] * wings[1, i]
        mean += share[i] * v[i]
    rr = ff = rf = rv = fv = vv = 0.0
    for i in range(len(x)):
        dr, df, dv = wings[0, i] - r, wings[1, i] - f, v[i] - mean
        wr, wf = share[i] * dr, share[i] * df
        rr += wr * dr
        ff += wf * df
        rf += wr * df
        rv += wr * dv
        fv += wf * dv
        vv += share[i] * dv * dv
    upper = sigma * bound
    p, q = box_minimum(rr + _RIDGE, rf, ff + _RIDGE, rv, fv, upper)
    a = mean - p * r - q * f
    cost = vv + p * (rr * p - 2 * rv) + q * (ff * q - 2 * fv) + 2 * rf * p * q
    if not a + 2 * math.sqrt(p * q) < VARIANCE_FLOOR:
        return a, p, q, max(cost, 0.0), False
    # The curve would reach below the floor, so that the best one touches it.
    d = mean - VARIANCE_FLOOR
    rr, ff, rv, fv, vv = rr + r * r, ff + f * f, rv + r * d, fv + f * d, vv + d * d
    p, q, gain = cone_minimum(p, q, rr, ff, r, f, rv, fv, d)
    shorter = upper / max(p, q, upper)
    p, q, gain = p * shorter, q * shorter, gain * shorter * (2 - shorter)
    return VARIANCE_FLOOR - 2 * math.sqrt(p * q), p, q, max(vv - gain, 0.0), True


@compiled
def _normal(
    v: Floats, share: Floats, wings: Floats, sigma: float, bound: float,
    a: float, p: float, q: float, at_floor: bool, system: Floats,
) -> None:
    """Normal equations of (a, p, q, m, log σ) and their right side into `system`, (5, 6).

    On the cone p and q are moved by their roots; a parameter at its bound has no column.
    """
    system[:] = 0.0
    row = np.zeros(6)
    at_p, at_q = p >= sigma * bound, q >= sigma * bound
    root_p, root_q = math.sqrt(p), math.sqrt(q)
    free_p, free_q = p > 0.0 and not at_p, q > 0.0 and not at_q
    for i in range(len(v)):
        right, left = wings[0, i], wings[1, i]
        slope = 2 * (p * right - q * left) / (right + left)
        if at_floor:
            row[1], row[2] = root_p * right - root_q, root_q * left - root_p
        else:
            row[0], row[1], row[2] = 1.0, right if free_p else 0.0, left if free_q else 0.0
        row[3], row[4] = -slope / sigma, -slope * (right - left) / 2
        if not at_floor:
            row[4] += (p * right if at_p else 0.0) + (q * left if at_q else 0.0)
        row[5] = v[i] - a - p * right - q * left
        for j in range(5):
            weighted = share[i] * row[j]
            for h in range(j, 6):
                system[j, h] += weighted * row[h]


@compiled
def _eliminate(system: Floats) -> None:
    """Take the three linear parameters out of the upper triangle: what is left is rows 3 and 4."""
    size = system[0, 0], system[1, 1], system[2, 2]
    for j in range(3):
        pivot = system[j, j]
        if not pivot > _SINGULAR * size[j]:
            continue
        for i in range(j + 1, 5):
            factor = system[j, i] / pivot
            for h in range(i, 6):
                system[i, h] -= factor * system[j, h]


@compiled
def _step(
    system: Floats, damping: float, m: float, sigma: float, low_m: float, high_m: float, low: float
) -> tuple[float, float]:
    """Damped step in (m, log σ); where one of the two meets its bound, the other's best one."""
    mm, ss = system[3, 3] * (1 + damping) + _TINY, system[4, 4] * (1 + damping) + _TINY
    mixed, gm, gs = system[3, 4], system[3, 5], system[4, 5]
    determinant = mm * ss - mixed * mixed
    dm, ds = (gm * ss - gs * mixed) / determinant, (gs * mm - gm * mixed) / determinant
    least, most = math.log(low / sigma), math.log(_MAX_SIGMA / sigma)
    if not low_m - m <= dm <= high_m - m:
        dm = min(max(dm, low_m - m), high_m - m)
        ds = (gs - mixed * dm) / ss
    if not least <= ds <= most:
        ds = min(max(ds, least), most)
        dm = min(max((gm - mixed * ds) / mm, low_m - m), high_m - m)
    return dm, min(max(ds, -2.0), 2.0)


@compiled
def descend(
    x: Floats, v: Floats, share: Floats, bound: float, box: Triple,
    m: float, sigma: float, wings: Floats,
) -> tuple[float, float, float, float, float, float]:
    """Levenberg–Marquardt in (m, log σ) within `box` (low m, high m, low σ); a, p, q solved anew.

    Gives m, σ, a, p, q and the mean squared error.
    """
    low_m, high_m, low = box
    trial = min(max(m, low_m), high_m), min(max(sigma, low), _MAX_SIGMA)
    system, damping, dm, ds = np.empty((5, 6)), 1e-2, 0.0, 0.0
    a, p, q, cost = math.nan, 0.0, 0.0, math.inf
    for _ in range(_ROUNDS):
        found = solve(x, v, share, trial[0], trial[1], bound, wings)
        gain = cost - found[3]
        if gain > 0.0:
            m, sigma = trial
            a, p, q, cost, at_floor = found
            if cost < _EXACT or gain < _ENOUGH * cost:
                break
            damping = max(damping / 10, 1e-9)
            _normal(v, share, wings, sigma, bound, a, p, q, at_floor, system)
            _eliminate(system)
        elif abs(dm) <= _STILL * sigma and abs(ds) <= _STILL:
            break
        else:
            damping *= 8
        dm, ds = _step(system, damping, m, sigma, low_m, high_m, low)
        trial = m + dm, sigma * math.exp(ds)
    return m, sigma, a, p, q, cost


@compiled
def _local_minima(cost: Floats) -> Floats:
    """A (rows, columns) grid with infinity wherever a neighbour is lower."""
    rows, columns = cost.shape
    kept = np.empty_like(cost)
    for i in range(rows):
        for j in range(columns):
            kept[i, j] = cost[i, j]
            for row in range(max(i - 1, 0), min(i + 2, rows)):
                for column in range(max(j - 1, 0), min(j + 2, columns)):
                    if cost[row, column] < cost[i, j]:
                        kept[i, j] = math.inf
    return kept


@compiled
def search(
    x: Floats, v: Floats, share: Floats, bound: float, box: Triple, wings: Floats
) -> tuple[float, float, float, float, float, float]:
    """The best descent from the least local minima of a grid of (m, σ)."""
    low_m, high_m, low = box
    step_m = (high_m - low_m) / (_GRID_M - 1)
    ratio = max(_WIDE / low, 1.0) ** (1 / (_GRID_SIGMA - 1))
    cost = np.empty((_GRID_M, _GRID_SIGMA))
    for i in range(_GRID_M):
        for j in range(_GRID_SIGMA):
            cost[i, j] = solve(x, v, share, low_m + i * step_m, low * ratio**j, bound, wings)[3]
    minima = _local_minima(cost)
    best = _NOTHING
    for _ in range(_STARTS):
        i, j = divmod(int(np.argmin(minima)), _GRID_SIGMA)
        if not minima[i, j] < math.inf:
            break
        minima[i, j] = math.inf
        found = descend(x, v, share, bound, box, low_m + i * step_m, low * ratio**j, wings)
        if found[5] < best[5]:
            best = found
    return best


@compiled
def _scaled(quotes: Floats, scaled: Floats) -> tuple[float, float, float, float]:
    """x, v and share of `quotes` into `scaled`; least and greatest x, s and the sum of weights.

    s is NaN where the values are no quotes.
    """
    k, w, weight = quotes
    at_money, total, sound = 0, 0.0, True
    for i in range(len(k)):
        sound = sound and w[i] > 0 and weight[i] > 0
        total += weight[i]
        if abs(k[i]) < abs(k[at_money]):
            at_money = i
    scale = math.sqrt(w[at_money])
    low, high, sums = math.inf, -math.inf, 0.0
    for i in range(len(k)):
        scaled[0, i], scaled[1, i], scaled[2, i] = k[i] / scale, w[i] / scale**2, weight[i] / total
        low, high = min(low, scaled[0, i]), max(high, scaled[0, i])
        sums += scaled[0, i] + scaled[1, i] + scaled[2, i]
    sound = sound and math.isfinite(sums + total) and high - low <= _FARTHEST
    return low, high, scale if sound else math.nan, total


@compiled
def fit(
    quotes: Floats, warm_m: float, warm_sigma: float, min_sigma: float
) -> tuple[float, float, float, float, float]:
    """Raw a, b, ρ, m, σ of `quotes` (3, n): ln(K/F), total variance, weight. NaN where no fit.

    A start that is not finite is no start.
    """
    count, scaled = quotes.shape[1], np.empty_like(quotes)
    low, high, scale, total = _scaled(quotes, scaled)
    x, v, share = scaled
    margin = _MARGIN * (high - low)
    least = min(min_sigma, _MAX_SIGMA) if min_sigma > _LEAST_SIGMA else _LEAST_SIGMA
    box = low - margin, high + margin, least
    bound, wings = min(_INSIDE / scale, _STEEPEST / 2), np.empty((2, count))
    warm = math.isfinite(warm_m) and math.isfinite(warm_sigma)
    m, sigma = warm_m / scale, warm_sigma / scale
    if not scale > 0.0:
        a, p, q = math.nan, math.nan, math.nan
    elif count < MIN_FREE_QUOTES:
        # Not at a start's: the shape held would be whatever it was at some time before.
        m, sigma = min(max(0.0, box[0]), box[1]), max(_HELD_SIGMA, least)
        a, p, q, _, _ = solve(x, v, share, m, sigma, bound, wings)
    else:
        best = _NOTHING
        for _ in range(2 if warm else 0):
            found = descend(x, v, share, bound, box, m, sigma, wings)
            best = found if found[5] < best[5] else best
            if low < best[0] < high and 1.001 * least < best[1] < 0.999 * _MAX_SIGMA:
                break
            # Nothing quoted holds the vertex where it is: see whether the smile's lowest part does.
            m, sigma = x[np.argmin(v)], _SHARP
        if not best[5] * total * scale**4 / count <= _WARM_ENOUGH:
            cold = search(x, v, share, bound, box, wings)
            best = cold if cold[5] < best[5] else best
        m, sigma, a, p, q, _ = best
    b = (p + q) / sigma * scale
    rho = (p - q) / (p + q) if p + q > 0 else 0.0
    a, m, sigma = a * scale**2, m * scale, sigma * scale
    lowest = a + b * sigma * math.sqrt(1 - rho * rho)
    return a - min(lowest, 0.0), b, rho, m, sigma
