"""Walking forward: a model per fold, fitted, stacked on its anchor and calibrated before its test.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ml.anchor import choose_anchor
from ml.args import NETWORKS, Config
from ml.baselines.fitting import fit_baselines
from ml.baselines.linear import FILTERED, LinearBaseline, arrays, stacked
from ml.batches import Batches
from ml.calibrate import MOST_CHANGES, change_sizes
from ml.dataset import Dataset
from ml.density import quote_density
from ml.errors import TrainingDataError
from ml.fit import Fitted, fit
from ml.folds import Fold, fit_scaler, walk_forward
from ml.forecaster import Forecaster
from ml.models.linear import Banded, LinearChange
from ml.progress import Progress
from ml.search import search
from ml.spread import spread
from ml.stacking import Prepared, contract_of
from ml.targets import Reader, fit_unit


@dataclass(frozen=True, slots=True)
class Walked:
    """A fold, and the forecaster that has seen nothing of its test part."""

    fold: Fold
    forecaster: Forecaster
    fitted: Fitted | None
    """How the network learned; None for a baseline."""
    config: Config
    """What it was fitted with: as given, or as the search chose."""


def walk(dataset: Dataset, config: Config, name: str, progress: Progress,
         trials: int = 0) -> list[Walked]:
    """`fit_fold` of every fold, in time order.

    With `trials`, hyperparameters are searched on the oldest fold's validation part, which is
    older than all that is tested.
    """
    folds = walk_forward(dataset)
    if trials and config.model.kind in NETWORKS:
        ready = prepare(dataset, folds[0], config)
        config = search(dataset, folds[0], ready, config, trials, progress)
    walked = []
    for fold in folds:
        progress.say(f"fold {fold.number + 1} of {len(folds)}: {len(fold.training)} windows to "
                     f"learn from, {len(fold.validation)} to validate, {len(fold.calibration)} "
                     f"to calibrate, {len(fold.test)} to test")
        walked.append(fit_fold(dataset, fold, config, name, progress))
    return walked


def fit_fold(dataset: Dataset, fold: Fold, config: Config, name: str,
             progress: Progress) -> Walked:
    """Fit baselines and network on the training part, stop on validation, calibrate on its own.

    Raises:
        TrainingDataError: too little history, the wrong kind, or a loss that is not a number.
    """
    ready = prepare(dataset, fold, config)
    if config.model.kind not in NETWORKS:
        network = _served(dataset, fold, ready, config)
        contract = contract_of(dataset, fold, ready, network, config, name)
        return Walked(fold, Forecaster(network, ready.scaler, contract), None, config)
    fitted = fit(dataset.samples, fold, ready.scaler, ready.linear, config,
                 lambda *at: progress.advance(f"fold {fold.number + 1} epochs", *at))
    contract = contract_of(dataset, fold, ready, fitted.network, config, name)
    return Walked(fold, Forecaster(fitted.network, ready.scaler, contract), fitted, config)


def prepare(dataset: Dataset, fold: Fold, config: Config) -> Prepared:
    """Scaler, baselines and anchor of a fold, of its training and validation parts only.

    Raises:
        TrainingDataError: of a horizon no target is observed in the training part, or its smile
            never changes.
    """
    _refuse_unseen_horizons(dataset, fold)
    scaler = fit_scaler(dataset, fold.training)
    points = quote_density(dataset, fold.training)
    baselines = fit_baselines(dataset, fold.training, points)
    if config.model.kind in NETWORKS:
        anchor = choose_anchor(baselines, dataset, fold, points)
    else:
        anchor = (_held_by_moneyness(baselines, config.model.kind),) * len(config.data.horizons_s)
    linear = stacked(baselines, anchor, config.data.window)
    return Prepared(scaler, baselines, anchor, linear, points)


def _refuse_unseen_horizons(dataset: Dataset, fold: Fold) -> None:
    """Among the very windows that widths of bands are taken of: they would be nothing."""
    horizons_s = dataset.args.horizons_s
    seen = np.zeros(len(horizons_s), dtype=bool)
    for piece in spread(fold.training, MOST_CHANGES).chunks():
        seen |= np.isfinite(piece.changes(dataset.samples)).any(axis=(0, 2))
    unseen = [str(horizon_s) for horizon_s, known in zip(horizons_s, seen, strict=True)
              if not known]
    if unseen:
        raise TrainingDataError(f"too little history: no target {', '.join(unseen)} s ahead was "
                                "observed in the training part; shorten `horizons_s`")


def _held_by_moneyness(baselines: tuple[LinearBaseline, ...], kind: str) -> str:
    """A baseline that is the model is its own anchor; one held by strike can't be any."""
    held = {one.name for one in baselines if one.held_by == "moneyness"}
    return kind if kind in held else FILTERED


def _served(dataset: Dataset, fold: Fold, ready: Prepared, config: Config) -> Banded:
    """A baseline as a module, its band the training part's quantile of what it misses."""
    [own] = [arrays(one) for one in ready.baselines if one.name == config.model.kind]
    training = Batches(dataset.samples, spread(fold.training, MOST_CHANGES), ready.scaler)
    change = LinearChange(own, ready.scaler.mean_, ready.scaler.scale_)
    unit = fit_unit(change, training, ready.scaler)
    missed = np.concatenate([missed for _, missed in Reader(change, unit)(training)])
    low, _, high = config.fit.quantiles
    width = change_sizes(missed, high - low)
    band = torch.from_numpy(np.stack([-width, np.zeros_like(width), width], axis=1)).float()
    return Banded(change, unit, band).eval()
