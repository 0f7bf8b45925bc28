"""How sure a mean is when forecasts overlap in time, and share what happens."""

import numpy as np

from ml.types import Floats, Ints

MIN_BLOCKS = 30
"""Independent stretches of time, each a horizon long, that evidence must span. With fewer, errors
clustered by them are too small: Cameron, Gelbach and Miller (2008), "Bootstrap-Based Improvements
for Inference with Clustered Errors", find tests on five to thirty clusters to over-reject."""


def blocks(at_s: Floats, horizon_s: float) -> tuple[Ints, int]:
    """Which stretch of a horizon's length each forecast was made in, (n,), and their number."""
    stretches, places = np.unique(np.floor(at_s / horizon_s), return_inverse=True)
    return places, len(stretches)


def clustered_error(residual: Floats, at_s: Floats, horizon_s: float) -> float:
    """Standard error of the sum of residuals (n,) that depend on each other within a horizon.

    With s_b the sum of block b, √(Σ_b s_b² + 2 Σ_b s_b s_{b+1}), the second sum over blocks that
    follow each other: forecasts less than a horizon apart are of one block or of two such (the
    covariances of overlapping forecasts, Hansen and Hodrick 1980, "Forward Exchange Rates as
    Optimal Predictors of Future Spot Rates", by blocks). It is never below the blocks' own, as
    clustered errors are (Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust
    Inference", section II). With p ordered pairs of B blocks counted it is divided by √(1 − p/B²),
    for what taking out the mean hides; for blocks apart that is their √((B − 1)/B). Infinite where
    every pair is counted, so for one block.

    Sums 1, 2, −3 of three blocks in a row, and p = 7: √(14 · 9/2) = 7.94, since
    2 (1 · 2 − 2 · 3) is below zero.
    """
    stretches, places = np.unique(np.floor(at_s / horizon_s), return_inverse=True)
    by_block, count = np.bincount(places, residual), len(stretches)
    adjacent = np.diff(stretches) == 1
    share = (count + 2 * adjacent.sum()) / count**2
    if share >= 1.0:
        return float("inf")
    between = 2.0 * (by_block[1:] * by_block[:-1])[adjacent].sum()
    return float(np.sqrt(((by_block**2).sum() + max(between, 0.0)) / (1.0 - share)))
