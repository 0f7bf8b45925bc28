"""The rolling scores of each model, as metrics."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from ml.types import Floats
from services.common import metrics
from services.monitor.score import BASELINES

FILTERED = 1 + BASELINES.index("filtered_persistence")
"""Its place after the forecast's own error."""
GONE = timedelta(hours=1)
"""So much later than a model's last forecast, others' say that it has gone."""
METRICS = (metrics.ERROR_BP, metrics.SKILL, metrics.SKILL_BEST, metrics.COVERAGE)


class Labels(NamedTuple):
    """Whose forecasts are taken together."""

    symbol: str
    source: str
    role: str
    model: str
    horizon_s: str


class Taken(NamedTuple):
    """A score of one forecast."""

    version: str
    expiry: date
    made_at: datetime
    errors_bp: Sequence[float]
    """The forecast's, then those of `BASELINES`; NaN is not known."""
    coverage: float


@dataclass(slots=True)
class _Line:
    """The scores of one version of a model at one horizon."""

    version: str
    newest: datetime
    scores: deque[tuple[float, ...]]
    spans: dict[date, float] = field(default_factory=dict)
    """The last span of time that each expiry has a score of."""


class Rolling:
    """The last `size` scores of each model at each horizon; every forecast weighs the same.

    Of an expiry there is one for each span as long as the horizon, so that those of a long horizon
    are not all of the same few minutes. A new version begins anew; a model that no longer
    forecasts where others do is no longer shown.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lines: dict[Labels, _Line] = {}
        self._newest: dict[Labels, datetime] = {}
        self._changed: set[Labels] = set()
        self._shown: set[Labels] = set()

    def add(self, labels: Labels, taken: Taken) -> None:
        """Take one more score, unless it overlaps the last one or is a former version's."""
        line = self._lines.get(labels)
        if line is None or (taken.version != line.version and taken.made_at > line.newest):
            line = _Line(taken.version, taken.made_at, deque(maxlen=self._size))
            self._lines[labels] = line
        if taken.version != line.version:
            return
        line.newest = max(line.newest, taken.made_at)
        others = _others(labels)
        self._newest[others] = max(line.newest, self._newest.get(others, line.newest))
        span = taken.made_at.timestamp() // int(labels.horizon_s)
        if span > line.spans.get(taken.expiry, -math.inf):
            line.spans[taken.expiry] = span
            line.scores.append((*taken.errors_bp, taken.coverage))
            self._changed.add(labels)

    def publish(self) -> None:
        """Set the metrics of what has changed, and take back those of what has gone."""
        gone = {labels for labels in self._shown | self._changed if self._has_gone(labels)}
        for labels in self._changed - gone:
            _show(labels, np.array(self._lines[labels].scores))
        for labels in self._shown & gone:
            for metric in METRICS:
                metric.remove(*labels)
        self._shown = (self._shown | self._changed) - gone
        self._changed.clear()

    def _has_gone(self, labels: Labels) -> bool:
        return self._lines[labels].newest < self._newest[_others(labels)] - GONE


def _others(labels: Labels) -> Labels:
    """What all that forecast the same have in common."""
    return labels._replace(role="", model="")


def _show(labels: Labels, scores: Floats) -> None:
    error, baselines = scores[:, 0], scores[:, 1:-1]
    metrics.ERROR_BP.labels(*labels).set(_root_mean_square(error))
    metrics.SKILL.labels(*labels).set(skill(error, scores[:, FILTERED]))
    metrics.SKILL_BEST.labels(*labels).set(skill_against_best(error, baselines))
    metrics.COVERAGE.labels(*labels).set(_mean(scores[:, -1]))


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
