"""What the predictor keeps of one feature row."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ml.features import INSTANT_FEATURES
from ml.smile.grid import GRID_SIZE
from ml.types import Floats
from services.common.messages import Column, FeatureRow


@dataclass(frozen=True, slots=True)
class Sample:
    """What a window needs of a feature row; NaN where it has no smile."""

    at: datetime
    at_s: float
    """Epoch seconds of `at`."""
    tau: float
    underlying: float
    forward: float
    atm_vol: float
    grid_vol: Floats
    features: Floats

    @property
    def has_smile(self) -> bool:
        """Whether the smile is there, as a whole."""
        numbers = np.isfinite([self.forward, self.atm_vol])
        return bool(numbers.all() and np.isfinite(self.grid_vol).all())


def sample(row: FeatureRow) -> Sample | None:
    """What a window needs of this row; None where it is of another version of the features."""
    return as_sample(row.ts, row.tau, row.underlying, row.forward, row.atm_vol, row.grid_vol,
                     row.features)


def as_sample(at: datetime, tau: float, underlying: float | None, forward: float | None,
              atm_vol: float | None, grid_vol: Column, features: Column) -> Sample | None:
    """The sample of a row's columns, null as NaN."""
    if len(grid_vol) != GRID_SIZE or len(features) != len(INSTANT_FEATURES):
        return None
    return Sample(at, at.timestamp(), tau, _float(underlying), _float(forward), _float(atm_vol),
                  np.array(grid_vol, dtype=np.float64), np.array(features, dtype=np.float64))


def _float(value: float | None) -> float:
    return math.nan if value is None else value
