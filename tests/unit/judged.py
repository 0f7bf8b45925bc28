"""A small history and forecasters that don't learn, for the tests of evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ml.args import Config, DataArgs
from ml.dataset import Dataset, make_dataset
from ml.features import WINDOW_FEATURES
from ml.folds import walk_forward
from ml.series import Series
from tests.unit.small_baselines import make_baselines
from tests.unit.smiles import make_history

HORIZONS = (60, 300)
ARGS = DataArgs(horizons_s=HORIZONS, folds=2)
CONFIG = Config(data=ARGS)
Say = Callable[[np.ndarray], np.ndarray]
"""From windows (B, W, F) to changes (B, H, 3, 17)."""


@dataclass
class Walked:
    """What evaluation reads of a walked fold."""

    fold: object
    forecaster: object


def dataset(history: Sequence[Series] | None = None) -> Dataset:
    """Five days of two hours, two expiries."""
    return make_dataset([history or make_history(days=5, minutes=120, expiries=2)], ARGS)


def constant(middle: float = 0.0, half_width: float = 8e-4) -> Say:
    """The same change and band for every window."""
    edges = np.array([-half_width, 0.0, half_width])[:, None] + middle
    return lambda windows: np.broadcast_to(edges, (len(windows), len(HORIZONS), 3, 17)).copy()


def walked(data: Dataset, say: Say | None = None) -> list[Walked]:
    """Each fold with the same forecaster, by default one that sees no change."""
    contract = SimpleNamespace(
        kind="gru", horizons_s=HORIZONS, step_s=60.0, quantiles=(0.05, 0.5, 0.95),
        baselines=make_baselines(ARGS.window, len(HORIZONS)), feature_names=WINDOW_FEATURES,
        anchor=("ewma", "filtered_persistence"), shrinkage=(0.5, 0.0))
    forecaster = SimpleNamespace(contract=contract, predict=say or constant())
    return [Walked(fold, forecaster) for fold in walk_forward(data)]
