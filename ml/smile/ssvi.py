"""SSVI: one surface for all expiries of an instant, which has no arbitrage by its parameters.

Gatheral and Jacquier (2014), "Arbitrage-free SVI volatility surfaces", section 4:

    w(k, θ) = θ/2 (1 + ρφ(θ) k + √((φ(θ) k + ρ)² + 1 − ρ²)),   θ the variance at the money,

with the power law φ(θ) = η θ^−γ (1 + θ)^(γ−1) of their section 4.1. There is

- no calendar arbitrage (Theorem 4.1) exactly where θ does not fall with time, since this φ has
  0 ≤ ∂(θφ)/∂θ = (1 − γ) φ / (1 + θ) ≤ φ for 0 ≤ γ ≤ 1;
- no butterfly arbitrage (Theorem 4.2) if θφ (1 + |ρ|) < 4 and θφ² (1 + |ρ|) ≤ 4. For γ ≤ 1/2 both
  hold at every θ if η (1 + |ρ|) ≤ 2; else they are checked from the first θ to the last.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ml.smile import ssvi_kernel
from ml.smile.ssvi_kernel import Integers
from ml.types import Floats, RawSvi

THETA_FALLS: Final = "theta falls with time"
TOO_STEEP: Final = "theta phi (1 + |rho|) reaches 4"
TOO_CURVED: Final = "theta phi^2 (1 + |rho|) exceeds 4"
NO_SURFACE: Final = "parameters that make no surface"

MIN_QUOTES = 4
"""Quotes that a surface needs, in all."""

_EXACT = 1e-30  # cost, as a share of the squared mean variance, below which nothing is to be gained


@dataclass(frozen=True, slots=True)
class Slice:
    """One expiry's total variances at ln(K/F), and their inverse squared errors; shape (n,)."""

    tau: float
    log_moneyness: Floats
    variance: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class SsviSurface:
    """θ at each expiry's τ, both of shape (n,) and ascending, and what all expiries share."""

    tau: Floats
    theta: Floats
    rho: float
    eta: float
    gamma: float


def total_variance(surface: SsviSurface, theta: float | Floats, log_moneyness: Floats) -> Floats:
    """w(k, θ), in the common shape of θ and k (θ as a column gives the surface on a grid).

    >>> surface = SsviSurface(np.array([0.5]), np.array([0.04]), -0.6, 1.0, 0.5)
    >>> total_variance(surface, 0.04, np.array([-0.1, 0.0, 0.1])).round(6).tolist()
    [0.05293, 0.04, 0.030266]
    """
    with np.errstate(all="ignore"):
        level = np.asarray(theta, dtype=np.float64)
        x = phi(surface, level) * np.asarray(log_moneyness, dtype=np.float64)
        root = np.hypot(x + surface.rho, math.sqrt(max(1 - surface.rho * surface.rho, 0.0)))
        return np.asarray(level / 2 * (1 + surface.rho * x + root))


def phi(surface: SsviSurface, theta: float | Floats) -> Floats:
    """φ(θ) = η θ^−γ (1 + θ)^(γ−1): the curvature that θ leaves to the smile.

    >>> float(phi(SsviSurface(np.array([1.0]), np.array([1.0]), 0.0, 2.0, 0.5), 1.0).round(6))
    1.414214
    """
    with np.errstate(all="ignore"):
        level, gamma = np.asarray(theta, dtype=np.float64), surface.gamma
        return np.asarray(surface.eta * level**-gamma * (1 + level) ** (gamma - 1))


def raw(surface: SsviSurface, index: int) -> RawSvi:
    """The raw SVI of an expiry: natural parameters (0, 0, ρ, θ, φ), by Lemma 3.1.

    >>> curve = raw(SsviSurface(np.array([0.5]), np.array([0.04]), -0.6, 1.0, 0.5), 0)
    >>> [round(value, 6) for value in (curve.a, curve.b, curve.rho, curve.m, curve.sigma)]
    [0.0128, 0.098058, -0.6, 0.122376, 0.163169]
    """
    return _raw(surface, float(surface.theta[index]))


def raw_at(surface: SsviSurface, tau: float) -> RawSvi:
    """The raw SVI of any time to expiry, its θ from `theta_at`."""
    return _raw(surface, float(theta_at(surface, tau)))


def theta_at(surface: SsviSurface, tau: float | Floats) -> Floats:
    """θ at times to expiry of any shape, linear in τ between expiries.

    Before the first expiry variance grows from 0 at that expiry's rate; after the last it goes on
    at the forward variance between the last two.

    >>> surface = SsviSurface(np.array([0.5, 1.0]), np.array([0.02, 0.05]), -0.6, 1.0, 0.5)
    >>> theta_at(surface, np.array([0.25, 0.75, 2.0])).round(6).tolist()
    [0.01, 0.035, 0.11]
    """
    known, level = np.append(0.0, surface.tau), np.append(0.0, surface.theta)
    asked = np.asarray(tau, dtype=np.float64)
    with np.errstate(all="ignore"):
        forward = (level[-1] - level[-2]) / (known[-1] - known[-2])
        return np.asarray(np.interp(asked, known, level)
                          + forward * np.maximum(asked - known[-1], 0.0))


def violations(surface: SsviSurface) -> tuple[str, ...]:
    """Which conditions for no static arbitrage fail, from the first expiry to the last.

    >>> violations(SsviSurface(np.array([0.5, 1.0]), np.array([0.05, 0.04]), -0.6, 3.0, 0.5))
    ('theta falls with time', 'theta phi^2 (1 + |rho|) exceeds 4')
    """
    theta, rho, gamma = surface.theta, surface.rho, surface.gamma
    if not (len(theta) and np.isfinite(theta).all() and (theta > 0).all() and abs(rho) < 1
            and 0 < surface.eta < math.inf and 0 <= gamma <= 1):
        return (NO_SURFACE,)
    # θφ² is greatest at θ = 1 − 2γ, θφ at the largest θ.
    crest = np.clip(max(1 - 2 * gamma, 0.0), theta.min(), theta.max())
    skew, top = 1 + abs(rho), theta.max()
    broken = {
        THETA_FALLS: bool((np.diff(theta) < 0).any()),
        TOO_STEEP: not float(top * phi(surface, top)) * skew < 4,
        TOO_CURVED: not float(crest * phi(surface, crest) ** 2) * skew <= 4,
    }
    return tuple(name for name, fails in broken.items() if fails)


def fit(slices: Sequence[Slice], warm: SsviSurface | None = None) -> SsviSurface | None:
    """The weighted least-squares surface without `violations`; slices by ascending τ.

    θ is least squares too, not read off the quotes at the money. `warm`, the surface of an instant
    before, is a start. None where there is no slice, one has no quotes, times do not ascend from
    above 0, fewer than 4 quotes in all, values that are not finite, or variances or weights that
    are not above 0.

    >>> true = SsviSurface(np.array([0.1, 0.5]), np.array([0.004, 0.02]), -0.6, 1.2, 0.45)
    >>> k = np.linspace(-0.3, 0.2, 20)
    >>> one = [Slice(0.1, k, total_variance(true, 0.004, k), np.ones(20))]
    >>> found = fit([*one, Slice(0.5, k, total_variance(true, 0.02, k), np.ones(20))])
    >>> [round(value, 6) for value in (*found.theta.tolist(), found.rho, found.eta, found.gamma)]
    [0.004, 0.02, -0.6, 1.2, 0.45]
    """
    tau = np.array([one.tau for one in slices], dtype=np.float64)
    first = np.cumsum([0, *(len(one.variance) for one in slices)])
    if first[-1] < MIN_QUOTES or not (np.diff(tau, prepend=0.0) > 0).all():
        return None
    quotes = np.stack([np.concatenate([getattr(one, name) for one in slices], dtype=np.float64)
                       for name in Slice.__slots__[1:]])
    if not ((np.diff(first) > 0).all() and (quotes[1:] > 0).all()
            and np.isfinite(quotes).all() and math.isfinite(tau[-1])):
        return None
    k, variance, weight = quotes
    share = weight / weight.max()
    share /= share.sum()
    return _surface(tau, *ssvi_kernel.fit(
        k, variance, share, first, _at_money(k, variance, first), *_start(tau, warm),
        _EXACT * float(share @ variance) ** 2))


def _raw(surface: SsviSurface, theta: float) -> RawSvi:
    with np.errstate(all="ignore"):
        rho, curvature = surface.rho, np.float64(phi(surface, theta))
        depth = np.sqrt(np.float64((1 - rho) * (1 + rho)))
        return RawSvi(float(theta / 2 * depth**2), float(theta * curvature / 2), rho,
                      float(-rho / curvature), float(depth / curvature))


def _at_money(k: Floats, variance: Floats, first: Integers) -> Floats:
    """log θ of each expiry, as its quote nearest to the money has it, not falling."""
    near = [start + np.argmin(np.abs(k[start:end])) for start, end in pairwise(first.tolist())]
    return np.maximum.accumulate(np.log(variance[near]))


def _start(tau: Floats, warm: SsviSurface | None) -> tuple[Floats, Floats]:
    """log θ at `tau` and (atanh ρ, log η, γ) of `warm`; NaN where there is none."""
    if warm is None or violations(warm) == (NO_SURFACE,):
        return np.full(len(tau), np.nan), np.full(3, np.nan)
    with np.errstate(all="ignore"):
        shape = np.array([np.arctanh(warm.rho), np.log(warm.eta), warm.gamma])
        return np.log(theta_at(warm, tau)), shape


def _surface(tau: Floats, level: Floats, shape: Floats) -> SsviSurface | None:
    with np.errstate(all="ignore"):
        rho, eta, gamma = np.tanh(shape[0]), np.exp(shape[1]), shape[2]
        found = SsviSurface(tau, np.exp(level), float(rho), float(eta), float(gamma))
    return None if NO_SURFACE in violations(found) else found
