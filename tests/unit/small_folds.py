"""Small models of a fold, and their errors beside the baselines'."""

from typing import Any

import numpy as np

from ml import args
from ml.args import Config
from ml.baselines import all_changes, stacked
from ml.dataset import Dataset
from ml.features import DEVIATIONS
from ml.progress import Progress
from ml.walk import Walked

QUIET = Progress(quiet=True)
HORIZONS = (60, 300)


def config_of(kind: str = "gru", **groups: dict[str, Any]) -> Config:
    """The committed configuration, with one fold and two horizons."""
    return args.load(args.of_kind(kind), {
        **groups, "data": {"horizons_s": HORIZONS, "folds": 1, **groups.get("data", {})}})


def small(kind: str = "gru", **groups: dict[str, Any]) -> Config:
    """The same with 8 hidden units and three epochs."""
    network = {"hidden": 8} if kind in args.NETWORKS else {}
    return config_of(kind, **{**groups, "model": network, "fit": {"epochs": 3, "batch": 64}})


def errors(change: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Mean squared error by sample and horizon, (n, H); NaN where unknown."""
    return ((change - actual) ** 2).mean(axis=2)


def judged(dataset: Dataset, walked: Walked) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Squared errors on the test part (n, H): the model's, each baseline's and each anchor's."""
    test, contract = walked.fold.test, walked.forecaster.contract
    windows, actual = test.windows(dataset.samples), test.changes(dataset.samples)
    deviations = windows[:, :, DEVIATIONS]
    own = all_changes(contract.baselines, deviations)
    for name in contract.anchor:
        everywhere = (name,) * len(contract.anchor)
        own[name] = stacked(contract.baselines, everywhere, contract.window).changes(deviations)
    model = errors(walked.forecaster.predict(windows)[:, :, 1], actual)
    return model, {name: errors(change, actual) for name, change in own.items()}
