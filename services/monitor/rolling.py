"""The rolling scores of each model, as metrics."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ml.types import Floats
from services.common import metrics
from services.monitor.score import BASELINES

FILTERED = 1 + BASELINES.index("filtered_persistence")
"""Its place after the forecast's own error."""


class Labels(NamedTuple):
    """Whose forecasts are taken together."""

    symbol: str
    source: str
    role: str
    model: str
    horizon_s: str


class Rolling:
    """The last `size` scores of each model at each horizon; every forecast weighs the same."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._scores: dict[Labels, deque[tuple[float, ...]]] = {}
        self._changed: set[Labels] = set()

    def add(self, labels: Labels, errors_bp: Sequence[float], coverage: float) -> None:
        """Take one more score: the error, those of `BASELINES`, coverage; NaN is not known."""
        scores = self._scores.setdefault(labels, deque(maxlen=self._size))
        scores.append((*errors_bp, coverage))
        self._changed.add(labels)

    def publish(self) -> None:
        """Set the metrics of what has changed."""
        for labels in self._changed:
            scores = np.array(self._scores[labels])
            error, baselines = scores[:, 0], scores[:, 1:-1]
            metrics.ERROR_BP.labels(*labels).set(_root_mean_square(error))
            metrics.SKILL.labels(*labels).set(skill(error, scores[:, FILTERED]))
            metrics.SKILL_BEST.labels(*labels).set(skill_against_best(error, baselines))
            metrics.COVERAGE.labels(*labels).set(_mean(scores[:, -1]))
        self._changed.clear()


def skill(error: Floats, baseline: Floats) -> float:
    """1 − MSE(model) / MSE(baseline), where both are known; NaN where that is nowhere.

    Errors of (1, 3) against (2, 4) give 1 − 10/20 = 0.5.
    """
    both = np.isfinite(error) & np.isfinite(baseline)
    square = float((baseline[both] ** 2).sum())
    return 1.0 - float((error[both] ** 2).sum()) / square if square > 0.0 else np.nan


def skill_against_best(error: Floats, baselines: Floats) -> float:
    """The least `skill` of errors (n,) against any column of baselines (n, b); NaN without one."""
    against = [skill(error, column) for column in baselines.T]
    return min((one for one in against if np.isfinite(one)), default=np.nan)


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(_mean(values**2)))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
