"""The model's answer to one case, or why there is none; either way there is a word on it."""

from dataclasses import dataclass

from ml.types import Floats
from services.predictor.forecast import Case, Origin, Shape, Word, stand_in
from services.predictor.reply import Changes


@dataclass(frozen=True, slots=True)
class Silence:
    """Why the model says nothing: a sentence, and one of a few words for the metric."""

    why: str
    reason: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says of one case, and its shadow where there is one."""

    by: Changes
    change: Floats
    """(H, 3, 17)"""
    shadow: "Said | None" = None


Answer = Said | Silence
SHORT = Silence("the history is too short or has a gap", "short_history")


def word(case: Case, shape: Shape, answer: Answer, latency_ms: float) -> Word:
    """The model's word on a case, or its baselines' where it is silent."""
    if isinstance(answer, Said):
        return model_word(answer, latency_ms)
    return stand_in(case, shape, Origin(shape.version, "baseline", latency_ms, answer.why))


def model_word(said: Said, latency_ms: float) -> Word:
    """What a champion or a shadow says."""
    names = (said.by.model_name,) * len(said.change)
    return Word(names, said.change, Origin(said.by.model_version, said.by.role, latency_ms))
