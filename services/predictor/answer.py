"""The model's answer to one case, or why there is none; either way there are forecasts."""

from dataclasses import dataclass

from ml.types import Floats
from services.common import metrics
from services.common.messages import Forecast
from services.predictor.forecast import (
    BASELINE,
    BASELINE_VERSION,
    Case,
    Origin,
    Shape,
    baseline_forecasts,
    model_forecasts,
)
from services.predictor.reply import Changes


@dataclass(frozen=True, slots=True)
class Silence:
    """Why the model says nothing: a sentence, and one of a few words for the metric."""

    why: str
    reason: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says of one case."""

    by: Changes
    change: Floats
    """(H, Q, 17)"""


Answer = Said | Silence
SHORT = Silence("the history is too short or has a gap", "short_history")


def forecasts(case: Case, shape: Shape, answer: Answer, latency_ms: float) -> list[Forecast]:
    """The model's forecasts of a case, or the baseline's where the model is silent."""
    if isinstance(answer, Silence):
        metrics.FALLBACKS.labels(answer.reason).inc()
        origin = Origin(BASELINE, BASELINE_VERSION, "baseline", latency_ms, answer.why)
        return baseline_forecasts(case, shape, origin)
    by = answer.by
    origin = Origin(by.model_name, by.model_version, by.role, latency_ms)
    return model_forecasts(case, shape, answer.change, origin)
