"""The rolling scores of each model, as metrics."""

from collections import deque

import numpy as np

from services.common import metrics

Labels = tuple[str, str, str]


class Rolling:
    """The last `size` scores per symbol, model and horizon; every forecast weighs the same."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._scores: dict[Labels, deque[tuple[float, float, float]]] = {}
        self._changed: set[Labels] = set()

    def add(self, symbol: str, model: str, horizon_s: int, error_bp: float,
            filtered_persistence_bp: float, coverage: float) -> None:
        """Take one more score; NaN is what is not known of it."""
        labels = symbol, model, str(horizon_s)
        scores = self._scores.setdefault(labels, deque(maxlen=self._size))
        scores.append((error_bp, filtered_persistence_bp, coverage))
        self._changed.add(labels)

    def publish(self) -> None:
        """Set the metrics of what has changed."""
        for labels in self._changed:
            scores = np.array(self._scores[labels])
            metrics.ERROR_BP.labels(*labels).set(_root_mean_square(scores[:, 0]))
            metrics.SKILL.labels(*labels).set(skill(scores[:, 0], scores[:, 1]))
            metrics.COVERAGE.labels(*labels).set(_mean(scores[:, 2]))
        self._changed.clear()


def skill(error: np.ndarray, baseline: np.ndarray) -> float:
    """1 − MSE(model) / MSE(baseline), where both are known; NaN where that is nowhere.

    Errors of (1, 3) against (2, 4) give 1 − 10/20 = 0.5.
    """
    both = np.isfinite(error) & np.isfinite(baseline)
    square = float((baseline[both] ** 2).sum())
    return 1.0 - float((error[both] ** 2).sum()) / square if square > 0.0 else np.nan


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(_mean(values**2)))


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
