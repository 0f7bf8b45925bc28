"""The factors of the synthetic market and their sizes, in one place."""

from dataclasses import dataclass

import numpy as np

from ml.types import Floats


@dataclass(frozen=True, slots=True)
class Factor:
    """One OU process: its stationary deviation, half-life and correlation with the spot."""

    deviation: float
    half_life_days: float
    leverage: float = 0.0

    @property
    def rate(self) -> float:
        """Speed of mean reversion per day."""
        return float(np.log(2.0)) / self.half_life_days


LEVEL = Factor(0.28, 20.0, leverage=-0.75)
"""Logarithm of the variance at all maturities."""
FAST = Factor(0.005, 20.0 / 1440.0)
"""The part of the level that reverts within the hour."""
SHORT = Factor(0.20, 2.0, leverage=-0.75)
"""Logarithm of the variance at the short end."""
SKEW = Factor(0.5, 5.0)
CURVATURE = Factor(0.5, 5.0)
FACTORS = (LEVEL, FAST, SHORT, SKEW, CURVATURE)

SPOT_HALF_LIFE_DAYS = 30.0
"""The spot reverts to its base slowly, so that prices stay near it for ever."""
VARIANCE_RATIO = 0.8
"""Realised over implied variance."""
BASE_VOLATILITY = 0.165
"""The volatility about which the surface moves."""


def centred(value: Floats, factor: Factor) -> Floats:
    """exp(value) with mean 1 under the factor's stationary law."""
    mean_one: Floats = np.exp(value - 0.5 * factor.deviation**2)
    return mean_one
