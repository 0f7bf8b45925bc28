"""Raw SVI fitted to one expiry: the quasi-explicit method, evaluated for many shapes at once.

De Marco and Martini (Zeliade, 2009): for a fixed vertex m and width σ the curve is linear in its
other three parameters. Written on its two wings, with y = (k − m) / σ,

    w = a + p (√(y² + 1) + y) + q (√(y² + 1) − y),    p = bσ(1 + ρ)/2,  q = bσ(1 − ρ)/2,

the conditions b ≥ 0, |ρ| ≤ 1 and Lee's b(1 + |ρ|) ≤ 2 are the box 0 ≤ p, q ≤ σ, so that the inner
problem is a quadratic on a box, solved in closed form for all candidates (m, σ) at once. Outside,
a coarse grid of candidates gives the starts of a Levenberg–Marquardt descent in (m, log σ).

Inside this module k is divided by s = σ_ATM √τ and w by s²; the box is then 0 ≤ p, q ≤ σ / s.
"""

from dataclasses import dataclass

import numpy as np

from ml.smile.boxed import minimum_on_box
from ml.types import Floats, RawSvi

MIN_FREE_QUOTES = 8
"""With fewer quotes than this, m and σ are held and only a, b and ρ are fitted."""
MIN_QUOTES = 3
MIN_SIGMA = 0.02
"""Least width σ of the curve's vertex, in standard deviations s."""
VARIANCE_FLOOR = 1e-4
"""Least total variance of the curve, as a share of the at-the-money one."""

_HELD_SIGMA = 1.0  # width of a held curve in standard deviations: close to a parabola in z
_GRID_SIGMA = np.geomspace(0.06, 5.0, 7)
_GRID_M = 11
_MAX_SIGMA = 12.0
_MARGIN = 0.25  # the vertex may lie outside the quoted strikes by this share of their range
_FARTHEST = 1e3  # standard deviations beyond which a strike is no quote but a mistake
_STARTS = 3
_WARM_ENOUGH = 0.25  # mean squared residual, in the weights' errors, that keeps a warm start
_ROUNDS = 12
_RACE = 3  # rounds after which only the best start goes on
_DAMPING = np.array([0.03, 1.0, 30.0])
_RIDGE = 1e-10
_ENOUGH = 3e-3  # relative gain of a round below which the descent ends
_EXACT = 1e-13  # mean squared error below which nothing is left to gain

Curves = Floats
"""Candidate curves in scaled units, shape (6, c): rows m, σ, a, p, q and the cost."""
_M, _SIGMA, _A, _P, _Q, _COST = range(6)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Scaled quotes: x = k / s, v = w / s², weights that sum to 1, and the box's bound / σ."""

    x: Floats
    v: Floats
    weight: Floats
    weighted: Floats
    """Weights and weighted v as columns, shape (n, 2)."""
    unit: float
    """Cost · unit is the mean squared residual in the weights' own errors."""
    scale: float
    low_m: float
    high_m: float
    min_sigma: float


def total_variance(svi: RawSvi, log_moneyness: Floats) -> Floats:
    """w(k) of Gatheral and Jacquier (2014), eq. 3.1.

    >>> float(total_variance(RawSvi(0.01, 0.1, 0.0, 0.0, 0.3), np.array([0.4]))[0])
    0.060000000000000005
    """
    x = np.asarray(log_moneyness) - svi.m
    return np.asarray(svi.a + svi.b * (svi.rho * x + np.sqrt(x**2 + svi.sigma**2)))


def durrleman(svi: RawSvi, log_moneyness: Floats) -> Floats:
    """g(k); where negative, the smile has butterfly arbitrage (Gatheral and Jacquier, eq. 2.1)."""
    k = np.asarray(log_moneyness)
    x = k - svi.m
    root = np.sqrt(x**2 + svi.sigma**2)
    w = total_variance(svi, k)
    slope = svi.b * (svi.rho + x / root)
    curvature = svi.b * svi.sigma**2 / root**3
    with np.errstate(all="ignore"):
        wings = slope**2 / 4 * (1 / w + 0.25)
        return np.asarray((1 - k * slope / (2 * w)) ** 2 - wings + curvature / 2)


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
    With fewer than `MIN_FREE_QUOTES` quotes m and σ are held, at `warm`'s or at m = 0 and σ = s.
    `min_sigma` is the least width in standard deviations: a larger one rounds the curve off.
    Within Lee's bounds and positive; butterfly arbitrage is to be checked by `durrleman`.
    None where there are fewer than 3 quotes, values that are not finite, or no finite curve.
    """
    with np.errstate(all="ignore"):
        problem = _scaled(log_moneyness, variance, weight, min_sigma)
        if problem is None:
            return None
        start = None if warm is None else _warm_start(problem, warm)
        held = len(variance) < MIN_FREE_QUOTES
        curves = _held(problem, start) if held else _search(problem, start)
        return _unscaled(curves[:, np.argmin(curves[_COST])], problem.scale)


def _scaled(k: Floats, w: Floats, weight: Floats, min_sigma: float) -> _Problem | None:
    if len(w) < MIN_QUOTES or not (w > 0).all() or not (weight > 0).all():
        return None
    scale = float(np.sqrt(w[np.argmin(np.abs(k))]))
    x, v, total = k / scale, w / scale**2, float(weight.sum())
    share = weight / total
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high, v.sum(), share.sum()]).all() or high - low > _FARTHEST:
        return None
    margin = _MARGIN * (high - low)
    unit = total * scale**4 / len(w)
    columns = np.stack([share, share * v], axis=1)
    return _Problem(x, v, share, columns, unit, scale, low - margin, high + margin, min_sigma)


def _unscaled(curve: Floats, scale: float) -> RawSvi | None:
    m, sigma, a, p, q, _ = (float(value) for value in curve)
    wings = p + q
    rho = (p - q) / wings if wings > 0 else 0.0
    values = (a * scale**2, wings / sigma * scale, rho, m * scale, sigma * scale)
    return RawSvi(*values) if np.isfinite(values).all() else None


def _warm_start(problem: _Problem, warm: RawSvi) -> Curves:
    m, sigma = np.array([warm.m]) / problem.scale, np.array([warm.sigma]) / problem.scale
    return _solve(problem, *_bounded(problem, m, sigma))


def _held(problem: _Problem, start: Curves | None) -> Curves:
    return _solve(problem, np.zeros(1), np.full(1, _HELD_SIGMA)) if start is None else start


def _search(problem: _Problem, start: Curves | None) -> Curves:
    if start is not None:
        start = _descend(problem, start)
        if start[_COST, 0] * problem.unit <= _WARM_ENOUGH:
            return start
    m, sigma = np.meshgrid(np.linspace(problem.low_m, problem.high_m, _GRID_M), _GRID_SIGMA)
    coarse = _solve(problem, *_bounded(problem, m.ravel(), sigma.ravel()))
    found = _descend(problem, coarse[:, np.argsort(coarse[_COST])[:_STARTS]])
    return found if start is None else np.concatenate([found, start], axis=1)


def _bounded(problem: _Problem, m: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    m = np.minimum(np.maximum(m, problem.low_m), problem.high_m)
    return m, np.minimum(np.maximum(sigma, problem.min_sigma), _MAX_SIGMA)


def _solve(problem: _Problem, m: Floats, sigma: Floats) -> Curves:
    """The best a, p, q for each candidate (m, σ) of shape (c,)."""
    right, left = _wings(problem.x, m, sigma)
    (r, rv), (f, fv) = (right @ problem.weighted).T, (left @ problem.weighted).T
    rr, ff = (right * right) @ problem.weight, (left * left) @ problem.weight
    mean = float(problem.weighted[:, 1].sum())
    square = float(problem.weighted[:, 1] @ problem.v)
    upper = sigma / problem.scale
    # right · left = 1 everywhere, so that their mixed sum is 1.
    hessian = (rr - r * r + _RIDGE, 1.0 - r * f, ff - f * f + _RIDGE)
    p, q, gain = minimum_on_box(*hessian, rv - r * mean, fv - f * mean, upper)
    a, cost = mean - p * r - q * f, square - mean**2 + gain
    low = a + 2 * np.sqrt(p * q) < VARIANCE_FLOOR
    if low.any():
        # The curve would reach below zero: hold a at the floor instead, which is sufficient.
        held, ones = VARIANCE_FLOOR, np.ones_like(rr)
        p_held, q_held, gain = minimum_on_box(rr, ones, ff, rv - held * r, fv - held * f, upper)
        p, q, a = np.where(low, p_held, p), np.where(low, q_held, q), np.where(low, held, a)
        cost = np.where(low, square - 2 * held * mean + held**2 + gain, cost)
    cost = np.where(np.isfinite(cost), np.maximum(cost, 0.0), np.inf)
    return np.array([m, sigma, a, p, q, cost])


def _wings(x: Floats, m: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """√(y² + 1) + y and √(y² + 1) − y = 1 / (√(y² + 1) + y), each of shape (c, n)."""
    y = (x - m[:, None]) / sigma[:, None]
    steep = np.sqrt(y * y + 1) + np.abs(y)
    flat = 1 / steep
    rising = y > 0
    return np.where(rising, steep, flat), np.where(rising, flat, steep)


def _descend(problem: _Problem, curves: Curves) -> Curves:
    """Levenberg–Marquardt from each curve; a, p and q are solved anew at each trial."""
    damping = np.full(curves.shape[1], 0.1)
    for done in range(_ROUNDS):
        if done == _RACE:
            best = np.argmin(curves[_COST], keepdims=True)
            curves, damping = curves[:, best], damping[best]
        before = curves[_COST]
        curves, damping = _round(problem, curves, damping)
        gain = before - curves[_COST]
        if curves[_COST].min() < _EXACT or (gain <= _ENOUGH * before).all():
            break
    return curves


def _round(problem: _Problem, curves: Curves, damping: Floats) -> tuple[Curves, Floats]:
    starts, trials = len(damping), len(_DAMPING)
    tried = damping[:, None] * _DAMPING
    step = _steps(problem, curves, tried)
    stretch = np.exp(np.minimum(np.maximum(step[..., 1], -2.0), 2.0))
    m, sigma = curves[_M, :, None] + step[..., 0], curves[_SIGMA, :, None] * stretch
    trial = _solve(problem, *_bounded(problem, m.ravel(), sigma.ravel()))
    choice = np.argmin(trial[_COST].reshape(starts, trials), axis=1)
    found = trial[:, np.arange(starts) * trials + choice]
    better = found[_COST] < curves[_COST]
    chosen = np.where(better, damping * _DAMPING[choice], damping * _DAMPING[-1])
    return np.where(better, found, curves), np.minimum(np.maximum(chosen, 1e-9), 1e9)


def _steps(problem: _Problem, curves: Curves, damping: Floats) -> Floats:
    """Steps in (m, log σ) of shape (starts, trials, 2), the linear parameters projected out."""
    _, sigma, a, p, q, _ = curves[:, :, None]
    right, left = _wings(problem.x, curves[_M], curves[_SIGMA])
    rising, falling = p * right, q * left
    slope = 2 * (rising - falling) / (right + left)  # dv/dy
    y = (right - left) / 2
    jacobian = np.empty((len(damping), 5, len(problem.x)))
    jacobian[:, 0], jacobian[:, 1], jacobian[:, 2] = 1.0, right, left
    jacobian[:, 3], jacobian[:, 4] = -slope / sigma, -slope * y
    weighted = jacobian * problem.weight
    normal = weighted @ jacobian.transpose(0, 2, 1)
    gradient = weighted @ (problem.v - a - rising - falling)[:, :, None]
    wings = curves[_P : _Q + 1]
    at_bound = (wings <= 0) | (wings >= curves[_SIGMA] / problem.scale)
    system = np.repeat(normal[:, None], damping.shape[1], axis=1)
    diagonal = np.einsum("stii->sti", system)
    diagonal[..., 1:3] += np.where(at_bound, 1e12, 1e-12).T[:, None]
    diagonal[..., 3:] *= 1 + damping[..., None]
    diagonal += 1e-12
    target = np.repeat(gradient[:, None], damping.shape[1], axis=1)
    return np.linalg.solve(system, target)[..., 3:, 0]
