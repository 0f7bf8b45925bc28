"""How sure a mean is when forecasts overlap in time, and share what happens."""

import numpy as np

from ml.dataset import Ints
from ml.types import Floats

MIN_BLOCKS = 30
"""Independent stretches of time, each a horizon long, that evidence must span. With fewer, errors
clustered by them are too small: Cameron, Gelbach and Miller (2008), "Bootstrap-Based Improvements
for Inference with Clustered Errors", find tests on five to thirty clusters to over-reject."""


def blocks(at_s: Floats, horizon_s: float) -> tuple[Ints, int]:
    """Which stretch of a horizon's length each forecast was made in, (n,), and their number."""
    stretches, places = np.unique(np.floor(at_s / horizon_s), return_inverse=True)
    return places, len(stretches)


def clustered_error(residual: Floats, at_s: Floats, horizon_s: float) -> float:
    """Standard error of the sum of residuals (n,) that depend on each other within a block.

    √(B / (B − 1) Σ_b (Σ_{i in b} residual_i)²) over B blocks; Cameron and Miller (2015), "A
    Practitioner's Guide to Cluster-Robust Inference", section II. Infinite for one block.
    """
    places, count = blocks(at_s, horizon_s)
    if count < 2:
        return float("inf")
    by_block = np.bincount(places, residual)
    return float(np.sqrt((by_block**2).sum() * count / (count - 1)))
