"""Baselines and a feature reference of plausible numbers, made without training."""

import numpy as np

from ml.baselines.linear import BASELINES, LinearBaseline, as_tuples
from ml.contract import PERCENTILES, FeatureReference

DECAY = {"ewma": 0.5, "ar": 0.5, "har": 0.5, "kalman": 0.3}
"""Weight of an older row against the one after it; of the others the newest only."""


def make_baselines(window: int, horizons: int) -> tuple[LinearBaseline, ...]:
    """All six, AR and HAR with a small correction of the level."""
    return tuple(_baseline(name, window, horizons) for name in BASELINES)


def _baseline(name: str, window: int, horizons: int) -> LinearBaseline:
    weights = DECAY.get(name, 0.0) ** np.arange(window - 1, -1, -1.0)
    base = as_tuples(np.tile(weights / weights.sum(), (horizons, 1)))
    if name not in ("ar", "har"):
        held = "strike" if name == "sticky_strike" else "moneyness"
        return LinearBaseline(name=name, held_by=held, base=base)
    return LinearBaseline(name=name, base=base, loadings=as_tuples(np.full((1, 17), 17**-0.5)),
                          weights=as_tuples(np.full((horizons, 1, window), 0.1)))


def make_reference() -> FeatureReference:
    """A skew between −0.1 and 0.1, all values as likely."""
    return FeatureReference(names=("skew",),
                            quantiles=as_tuples(np.linspace(-0.1, 0.1, PERCENTILES)[None]))
