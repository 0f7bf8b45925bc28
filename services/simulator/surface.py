"""The volatility surface: SSVI, free of static arbitrage at every moment by construction.

Total variance of log-moneyness k = ln(K/F) at the at-the-money total variance θ(τ):
    w(k) = θ/2 · (1 + ρφk + √((φk + ρ)² + 1 − ρ²)),   φ(θ) = η / √(θ(1 + θ))
(Gatheral and Jacquier 2014, eq. 4.1 and 4.5 with γ = 1/2). With η(1 + |ρ|) ≤ 2 both butterfly
conditions hold for every θ: θφ(1+|ρ|) < 4 and θφ²(1+|ρ|) ≤ 4; with θ rising in τ and one ρ for
all maturities there is no calendar arbitrage. η is set as 2u/(1 + |ρ|) with u < 1, and θ is the
integral of a forward variance that can't be negative, so the conditions can't fail.
"""

from dataclasses import dataclass

import numpy as np

from ml.types import Floats
from services.simulator.factors import BASE_VOLATILITY, LEVEL, SHORT, centred

SHORT_WEIGHT, SHORT_RATE = 0.45, 100.0
"""Share of the short end in the variance now, and how fast it fades along the maturity."""
RISE, RISE_RATE = 0.35, 5.0
"""How much higher long forward variance is (contango), and how fast along the maturity."""


@dataclass(frozen=True, slots=True)
class MarketState:
    """All that prices are made of, at one or more instants; arrays of one shape."""

    log_spot: Floats
    variance: Floats
    """Scale of the forward variance per year."""
    short: Floats
    """Multiplier of the short end, mean 1."""
    rho: Floats
    eta: Floats

    def atm_total_variance(self, tau: Floats) -> Floats:
        """θ(τ), the integral of forward variance over `tau` years."""
        fading = -np.expm1(-SHORT_RATE * tau) / SHORT_RATE
        rising = RISE * (tau + np.expm1(-RISE_RATE * tau) / RISE_RATE)
        short = SHORT_WEIGHT * (self.short - 1.0) * fading
        theta: Floats = self.variance * (tau + short + rising)
        return theta

    def total_variance(self, log_moneyness: Floats, tau: Floats) -> Floats:
        """w(k, τ); divide by τ and take the root for the implied volatility."""
        theta = self.atm_total_variance(tau)
        phi = self.eta / np.sqrt(theta * (1.0 + theta))
        slope = phi * log_moneyness
        root = np.sqrt((slope + self.rho) ** 2 + 1.0 - self.rho**2)
        total: Floats = 0.5 * theta * (1.0 + self.rho * slope + root)
        return total


def instantaneous_variance(level: Floats, short: Floats) -> Floats:
    """Forward variance at maturity 0 per year, from the level and the short factor."""
    scale = BASE_VOLATILITY**2 * centred(level, LEVEL)
    variance: Floats = scale * (1.0 + SHORT_WEIGHT * (centred(short, SHORT) - 1.0))
    return variance


def market_state(factors: Floats) -> MarketState:
    """The state of factors (6, ...) as `FactorPaths.at` gives them."""
    log_spot, level, fast, short, skew, curvature = factors
    rho = -0.62 + 0.14 * np.tanh(skew)
    used = 0.55 + 0.20 * np.tanh(curvature)
    return MarketState(
        log_spot=log_spot,
        variance=BASE_VOLATILITY**2 * centred(level, LEVEL) * np.exp(fast),
        short=centred(short, SHORT), rho=rho, eta=2.0 * used / (1.0 + np.abs(rho)))
