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
VARIANCE_FLOOR = 1e-4
"""Least total variance of the curve, as a share of the at-the-money one."""

_HELD_SIGMA = 1.0  # width of a held curve in standard deviations: close to a parabola in z
_GRID_SIGMA = np.geomspace(0.05, 6.0, 9)
_SIGMA_BOUNDS = (0.02, 12.0)
_GRID_M = 13
_MARGIN = 0.25  # the vertex may lie outside the quoted strikes by this share of their range
_STARTS = 3
_WARM_SLACK = 1.5  # a warm start this much dearer than the grid's best is dropped
_ROUNDS = 12
_DAMPING = np.array([0.03, 1.0, 30.0])
_RIDGE = 1e-10
_ENOUGH = 1e-3  # relative gain of a round below which the descent ends
_EXACT = 1e-15  # mean squared error below which nothing is left to gain


@dataclass(frozen=True, slots=True)
class _Problem:
    """Scaled quotes: x = k / s, v = w / s², weights that sum to 1, and the box's bound / σ."""

    x: Floats
    v: Floats
    weight: Floats
    cap: float
    bounds_m: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Curves:
    """Candidate curves in scaled units, each array of shape (c,)."""

    m: Floats
    sigma: Floats
    a: Floats
    p: Floats
    q: Floats
    cost: Floats

    def take(self, rows: Floats) -> "_Curves":
        return _Curves(*(getattr(self, name)[rows] for name in _Curves.__slots__))


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
) -> RawSvi | None:
    """The weighted least-squares raw SVI of total variances at ln(K/F); arrays of shape (n,).

    `weight` is the inverse squared error of `variance`, in any unit. `warm`, the fit of an
    instant before, replaces the search from several starts while it is still close. With fewer
    than `MIN_FREE_QUOTES` quotes m and σ are held, at `warm`'s or at m = 0 and σ = s.
    Within Lee's bounds and positive; butterfly arbitrage is to be checked by `durrleman`.
    None where there are fewer than 3 quotes or no finite curve.
    """
    if len(variance) < MIN_QUOTES:
        return None
    scale = float(np.sqrt(variance[np.argmin(np.abs(log_moneyness))]))
    with np.errstate(all="ignore"):
        problem = _scaled(log_moneyness, variance, weight, scale)
        held = len(variance) < MIN_FREE_QUOTES
        curves = _held(problem, warm, scale) if held else _search(problem, warm, scale)
        best = curves.take(np.array([np.argmin(curves.cost)]))
    return _unscaled(best, scale)


def _scaled(k: Floats, w: Floats, weight: Floats, scale: float) -> _Problem:
    x = k / scale
    margin = _MARGIN * (x.max() - x.min())
    bounds = (float(x.min() - margin), float(x.max() + margin))
    return _Problem(x, w / scale**2, weight / weight.sum(), 1.0 / scale, bounds)


def _unscaled(curve: _Curves, scale: float) -> RawSvi | None:
    m, sigma, a, p, q = (
        float(getattr(curve, name)[0]) for name in ("m", "sigma", "a", "p", "q")
    )
    wings = p + q
    rho = (p - q) / wings if wings > 0 else 0.0
    values = (a * scale**2, wings / sigma * scale, rho, m * scale, sigma * scale)
    return RawSvi(*values) if np.isfinite(values).all() else None


def _held(problem: _Problem, warm: RawSvi | None, scale: float) -> _Curves:
    if warm is None:
        return _solve(problem, np.array([0.0]), np.array([_HELD_SIGMA]))
    return _solve(problem, *_warm_start(problem, warm, scale))


def _warm_start(problem: _Problem, warm: RawSvi, scale: float) -> tuple[Floats, Floats]:
    m = np.clip(np.array([warm.m / scale]), *problem.bounds_m)
    return m, np.clip(np.array([warm.sigma / scale]), *_SIGMA_BOUNDS)


def _search(problem: _Problem, warm: RawSvi | None, scale: float) -> _Curves:
    m, sigma = np.meshgrid(np.linspace(*problem.bounds_m, _GRID_M), _GRID_SIGMA)
    coarse = _solve(problem, m.ravel(), sigma.ravel())
    if warm is not None:
        start = _solve(problem, *_warm_start(problem, warm, scale))
        if start.cost[0] <= _WARM_SLACK * coarse.cost.min():
            return _descend(problem, start)
    return _descend(problem, coarse.take(np.argsort(coarse.cost)[:_STARTS]))


def _solve(problem: _Problem, m: Floats, sigma: Floats) -> _Curves:
    """The best a, p, q for each candidate (m, σ) of shape (c,)."""
    weight, v = problem.weight, problem.v
    right, left = _wings(problem.x, m, sigma)
    sums = np.stack([weight, weight * v], axis=1)
    (r, rv), (f, fv) = (right @ sums).T, (left @ sums).T
    rr, ff = right**2 @ weight, left**2 @ weight
    mean, square = float(weight @ v), float(weight @ v**2)
    upper = problem.cap * sigma
    # right · left = 1 everywhere, so that their mixed sum is 1.
    hessian = (rr - r * r + _RIDGE, 1.0 - r * f, ff - f * f + _RIDGE)
    p, q, gain = minimum_on_box(*hessian, rv - r * mean, fv - f * mean, upper)
    a, cost = mean - p * r - q * f, square - mean**2 + gain
    low = a + 2 * np.sqrt(p * q) < VARIANCE_FLOOR
    if low.any():
        # The curve would reach below zero: hold a at the floor instead, which is sufficient.
        floor = VARIANCE_FLOOR
        inner = minimum_on_box(rr, np.ones_like(rr), ff, rv - floor * r, fv - floor * f, upper)
        p, q = np.where(low, inner[0], p), np.where(low, inner[1], q)
        a = np.where(low, floor, a)
        cost = np.where(low, square - 2 * floor * mean + floor**2 + inner[2], cost)
    return _Curves(m, sigma, a, p, q, np.where(np.isfinite(cost), np.maximum(cost, 0.0), np.inf))


def _wings(x: Floats, m: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """√(y² + 1) ± y, each of shape (c, n), without cancellation."""
    y = (x - m[:, None]) / sigma[:, None]
    steep = np.sqrt(y * y + 1) + np.abs(y)
    flat = 1 / steep
    return np.where(y > 0, steep, flat), np.where(y > 0, flat, steep)


def _descend(problem: _Problem, curves: _Curves) -> _Curves:
    """Levenberg–Marquardt from each curve; a, p and q are solved anew at each trial."""
    damping = np.full(len(curves.cost), 0.1)
    for _ in range(_ROUNDS):
        before = curves.cost
        curves, damping = _round(problem, curves, damping)
        gain = before - curves.cost
        best = np.argmin(curves.cost)
        if curves.cost[best] < _EXACT or (gain <= _ENOUGH * before).all():
            break
    return curves


def _round(problem: _Problem, curves: _Curves, damping: Floats) -> tuple[_Curves, Floats]:
    starts, trials = len(curves.cost), len(_DAMPING)
    tried = damping[:, None] * _DAMPING
    step = _steps(problem, curves, tried)
    m = np.clip(curves.m[:, None] + step[..., 0], *problem.bounds_m)
    stretch = np.exp(np.clip(step[..., 1], -2.0, 2.0))
    sigma = np.clip(curves.sigma[:, None] * stretch, *_SIGMA_BOUNDS)
    trial = _solve(problem, m.ravel(), sigma.ravel())
    choice = np.argmin(trial.cost.reshape(starts, trials), axis=1)
    found = trial.take(np.arange(starts) * trials + choice)
    better = found.cost < curves.cost
    kept = _Curves(*(
        np.where(better, getattr(found, name), getattr(curves, name))
        for name in _Curves.__slots__
    ))
    damping = np.where(better, tried[np.arange(starts), choice], damping * _DAMPING[-1])
    return kept, np.clip(damping, 1e-9, 1e9)


def _steps(problem: _Problem, curves: _Curves, damping: Floats) -> Floats:
    """Steps in (m, log σ) of shape (starts, trials, 2), the linear parameters projected out."""
    right, left = _wings(problem.x, curves.m, curves.sigma)
    p, q, sigma = curves.p[:, None], curves.q[:, None], curves.sigma[:, None]
    root, y = (right + left) / 2, (right - left) / 2
    residual = problem.v - curves.a[:, None] - p * right - q * left
    slope = (p * right - q * left) / root  # dv/dy
    jacobian = np.stack([np.ones_like(y), right, left, -slope / sigma, -slope * y], axis=1)
    weighted = jacobian * problem.weight
    normal = weighted @ jacobian.transpose(0, 2, 1)
    gradient = (weighted @ residual[:, :, None])[..., 0]
    diagonal = np.einsum("sii->si", normal)
    limit = problem.cap * curves.sigma
    at_bound = (np.stack([curves.p, curves.q]) <= 0) | (np.stack([curves.p, curves.q]) >= limit)
    diagonal[:, 1:3] += np.where(at_bound, 1e12, 0.0).T + 1e-12
    extra = np.zeros((*damping.shape, 5, 5))
    extra[..., 3, 3] = damping * diagonal[:, None, 3] + 1e-12
    extra[..., 4, 4] = damping * diagonal[:, None, 4] + 1e-12
    system = np.nan_to_num(normal[:, None] + extra, posinf=0.0, neginf=0.0)
    target = np.nan_to_num(gradient)[:, None, :, None]
    return np.linalg.solve(system, np.broadcast_to(target, (*damping.shape, 5, 1)))[..., 3:, 0]
