"""A small random search of hyperparameters, judged on the validation part alone."""

from typing import Any

import msgspec
import numpy as np

from ml.args import Config
from ml.dataset import Dataset
from ml.errors import TrainingDataError
from ml.fit import fit
from ml.folds import Fold
from ml.progress import Progress
from ml.stacking import Prepared

CHOICES: dict[str, dict[str, tuple[Any, ...]]] = {
    "model": {"hidden": (16, 32, 64), "layers": (1, 2), "dropout": (0.0, 0.1, 0.3),
              "components": (3, 5)},
    "fit": {"learning_rate": (3e-4, 1e-3, 3e-3), "weight_decay": (1e-3, 1e-2, 1e-1),
            "batch": (64, 128, 256)},
}


def search(dataset: Dataset, fold: Fold, ready: Prepared, config: Config, trials: int,
           progress: Progress) -> Config:
    """The configuration of least validation loss among `config` and `trials` random ones.

    The draws follow `config.fit.seed`. A trial whose loss is not a number is out.

    Raises:
        TrainingDataError: even `config` as given can't be trained.
    """
    random = np.random.default_rng(config.fit.seed)
    best, least = config, _loss(dataset, fold, ready, config)
    progress.say(f"search: validation loss {least:.5f} as configured")
    for trial in range(1, trials + 1):
        drawn = draw(config, random)
        try:
            loss = _loss(dataset, fold, ready, drawn)
        except TrainingDataError as error:
            progress.say(f"search: trial {trial} of {trials} is out: {error}")
            continue
        progress.say(f"search: trial {trial} of {trials}: {loss:.5f} with {_told(drawn)}")
        if loss < least:
            best, least = drawn, loss
    progress.say(f"search: kept {_told(best)}")
    return best


def draw(config: Config, random: np.random.Generator) -> Config:
    """`config` with one random value of each of `CHOICES`, a transformer's `hidden` rounded up to
    a multiple of its `heads`."""
    drawn = {group: {name: values[random.integers(len(values))]
                     for name, values in choices.items()} for group, choices in CHOICES.items()}
    if config.model.kind == "transformer":
        heads = config.model.heads
        drawn["model"]["hidden"] = -(-drawn["model"]["hidden"] // heads) * heads
    return msgspec.structs.replace(config, **{
        group: msgspec.structs.replace(getattr(config, group), **values)
        for group, values in drawn.items()})


def _loss(dataset: Dataset, fold: Fold, ready: Prepared, config: Config) -> float:
    return fit(dataset.samples, fold, ready.scaler, ready.linear, config).validation_loss


def _told(config: Config) -> str:
    return ", ".join(f"{name} {getattr(getattr(config, group), name):g}"
                     for group, choices in CHOICES.items() for name in choices)
