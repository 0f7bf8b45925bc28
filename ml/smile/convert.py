"""The three ways to write one SVI curve: raw, natural and jump-wings.

Gatheral and Jacquier (2014), "Arbitrage-free SVI volatility surfaces", section 3 and Lemma 3.2.
Raw parameters are for fitting, natural ones lead to SSVI, and jump-wings are what a trader reads.
"""

import math
from dataclasses import astuple, dataclass
from typing import TypeVar

from ml.errors import SmileError
from ml.types import RawSvi


class SviConversionError(SmileError, ValueError):
    """A curve cannot be written in the parameters asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class NaturalSvi:
    """w(k) = Δ + ω/2 (1 + ζρ (k − μ) + √((ζ (k − μ) + ρ)² + 1 − ρ²)), eq. 3.2."""

    delta: float
    mu: float
    rho: float
    omega: float
    zeta: float


@dataclass(frozen=True, slots=True)
class JumpWingsSvi:
    """What the curve of one expiry does where a trader looks, eq. 3.5; `tau` in years."""

    v: float
    """At-the-money variance a year, w(0) / τ."""
    psi: float
    """At-the-money skew, dσ/dk · √τ at k = 0."""
    p: float
    """Slope of the left (put) wing over √w(0)."""
    c: float
    """Slope of the right (call) wing over √w(0)."""
    v_tilde: float
    """Least variance a year, min w / τ."""
    tau: float


Parameters = TypeVar("Parameters", RawSvi, NaturalSvi, JumpWingsSvi)


def to_natural(svi: RawSvi) -> NaturalSvi:
    """Lemma 3.1 read backwards.

    Raises SviConversionError unless b ≥ 0, |ρ| < 1, σ > 0 and all parameters are finite.

    >>> natural = to_natural(RawSvi(0.0272, 0.1, -0.6, 0.05, 0.16))
    >>> [round(value, 6) for value in astuple(natural)]  # Δ, μ, ρ, ω, ζ
    [0.0144, -0.07, -0.6, 0.04, 5.0]
    """
    _check_raw(svi)
    if abs(svi.rho) == 1:
        raise SviConversionError("A curve with |ρ| = 1 has a flat wing and no natural parameters.")
    depth = _cosine(svi.rho)
    omega = 2 * svi.b * svi.sigma / depth
    found = NaturalSvi(svi.a - svi.b * svi.sigma * depth, svi.m + svi.rho * svi.sigma / depth,
                       svi.rho, omega, depth / svi.sigma)
    return _finite(found)


def from_natural(natural: NaturalSvi) -> RawSvi:
    """Lemma 3.1.

    Raises SviConversionError unless ω ≥ 0, |ρ| < 1, ζ > 0 and all parameters are finite.

    >>> from_natural(NaturalSvi(0.0, 0.0, 0.0, 0.04, 5.0))
    RawSvi(a=0.02, b=0.1, rho=0.0, m=0.0, sigma=0.2)
    """
    _finite(natural)
    omega, rho, zeta = natural.omega, natural.rho, natural.zeta
    if not (omega >= 0 and abs(rho) < 1 and zeta > 0):
        raise SviConversionError(
            f"Natural parameters need ω ≥ 0, |ρ| < 1 and ζ > 0; these are ω = {omega:g}, "
            f"ρ = {rho:g}, ζ = {zeta:g}.")
    depth = _cosine(rho)
    a = natural.delta + omega / 2 * depth * depth
    return _finite(RawSvi(a, omega * zeta / 2, rho, natural.mu - rho / zeta, depth / zeta))


def to_jump_wings(svi: RawSvi, tau: float) -> JumpWingsSvi:
    """Eq. 3.5 of a curve that expires in `tau` years.

    Raises SviConversionError unless b ≥ 0, |ρ| ≤ 1, σ > 0, τ > 0 and w(0) > 0.

    >>> wings = to_jump_wings(RawSvi(0.01, 0.1, -0.4, 0.0, 0.3), 1.0)
    >>> [round(value, 6) for value in (wings.v, wings.psi, wings.p, wings.c, wings.v_tilde)]
    [0.04, -0.1, 0.7, 0.3, 0.037495]
    """
    _check_raw(svi)
    if not 0 < tau < math.inf:
        raise SviConversionError(f"Jump-wings need a time to expiry above zero, not {tau:g}.")
    radius = math.hypot(svi.m, svi.sigma)
    variance = svi.a + svi.b * (radius - svi.rho * svi.m)
    if not variance > 0:
        raise SviConversionError(
            f"Jump-wings need a variance above zero at the money; this curve has {variance:g}.")
    slope = svi.b / math.sqrt(variance)
    lowest = svi.a + svi.b * svi.sigma * _cosine(svi.rho)
    return _finite(JumpWingsSvi(
        variance / tau, slope / 2 * (svi.rho - svi.m / radius), slope * (1 - svi.rho),
        slope * (1 + svi.rho), lowest / tau, tau))


def from_jump_wings(wings: JumpWingsSvi) -> RawSvi:
    """Lemma 3.2, with β = m / √(m² + σ²) in place of its α = σ / m, so that m = 0 is no exception.

    With ρ = sin A and β = sin B the rise from the lowest variance to that at the money is
    b √(m² + σ²) (1 − cos(A − B)), and β − ρ = −2ψ√w / b.

    Raises SviConversionError where no curve, or more than one, has these parameters: without
    slope on either wing, or with the lowest point at the money, only w(0) would be known.

    >>> wings = JumpWingsSvi(0.04, -0.1, 0.7, 0.3, 0.01 + 0.03 * 0.84**0.5, 1.0)
    >>> raw = from_jump_wings(wings)
    >>> [round(value, 6) for value in (raw.a, raw.b, raw.rho, raw.m, raw.sigma)]
    [0.01, 0.1, -0.4, 0.0, 0.3]
    """
    _check_wings(wings)
    root, width = math.sqrt(wings.v * wings.tau), wings.p + wings.c
    b, rho, gap = root / 2 * width, (wings.c - wings.p) / width, 4 * wings.psi / width
    beta, depth = rho - gap, 2 * math.sqrt(wings.p) * math.sqrt(wings.c) / width
    if not abs(beta) < 1:
        raise SviConversionError(
            f"The skew ψ = {wings.psi:g} is steeper than the wings p = {wings.p:g}, "
            f"c = {wings.c:g} allow: −p/2 < ψ < c/2.")
    rise, bend = (wings.v - wings.v_tilde) * wings.tau, b * gap * gap
    if not (rise > 0 and bend > 0):
        raise SviConversionError(
            "Jump-wings whose lowest variance is the one at the money tell neither m nor σ, and "
            "the variance can be least elsewhere only if it is lower there and ψ is not 0.")
    other = _cosine(beta)
    radius = rise * (1 - rho * beta + depth * other) / bend
    sigma = radius * other
    a = wings.v_tilde * wings.tau - b * sigma * depth
    return _finite(RawSvi(a, b, rho, beta * radius, sigma))


def _cosine(sine: float) -> float:
    return math.sqrt((1 - sine) * (1 + sine))


def _check_raw(svi: RawSvi) -> None:
    _finite(svi)
    if not (svi.b >= 0 and abs(svi.rho) <= 1 and svi.sigma > 0):
        raise SviConversionError(
            f"A raw SVI needs b ≥ 0, |ρ| ≤ 1 and σ > 0; this one has b = {svi.b:g}, "
            f"ρ = {svi.rho:g}, σ = {svi.sigma:g}.")


def _check_wings(wings: JumpWingsSvi) -> None:
    _finite(wings)
    if not (wings.v > 0 and wings.tau > 0 and wings.p >= 0 and wings.c >= 0):
        raise SviConversionError(
            f"Jump-wings need v > 0, τ > 0 and p, c ≥ 0; these are v = {wings.v:g}, "
            f"τ = {wings.tau:g}, p = {wings.p:g}, c = {wings.c:g}.")
    if wings.p + wings.c == 0:
        raise SviConversionError("Jump-wings without slope, p = c = 0, tell neither ρ, m nor σ.")


def _finite(found: Parameters) -> Parameters:
    if not all(math.isfinite(value) for value in astuple(found)):
        raise SviConversionError(f"{type(found).__name__} parameters must be finite: {found}.")
    return found
