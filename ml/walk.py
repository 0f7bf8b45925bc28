"""Walking forward: a model per fold, fitted, stacked on its anchor and calibrated before its test.
"""

from dataclasses import dataclass

from ml.args import Config
from ml.dataset import Dataset
from ml.fit import Fitted
from ml.folds import Fold, walk_forward
from ml.forecaster import Forecaster
from ml.progress import Progress


@dataclass(frozen=True, slots=True)
class Walked:
    """A fold, and the forecaster that has seen nothing of its test part."""

    fold: Fold
    forecaster: Forecaster
    fitted: Fitted | None
    """How the network learned; None for a baseline."""


def fit_fold(dataset: Dataset, fold: Fold, config: Config, name: str,
             progress: Progress) -> Walked:
    """Fit baselines and network on the training part, stop on validation, calibrate on its own.

    Raises:
        TrainingDataError: too little history, the wrong kind, or a loss that is not a number.
    """
    raise NotImplementedError


def walk(dataset: Dataset, config: Config, name: str, progress: Progress) -> list[Walked]:
    """`fit_fold` of every fold, in time order."""
    return [fit_fold(dataset, fold, config, name, progress) for fold in walk_forward(dataset)]
