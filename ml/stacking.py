"""What a network is stacked on, and the contract that its calibration part gives it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sklearn.preprocessing import StandardScaler

from ml.args import NETWORKS, Config
from ml.baselines.linear import Linear, LinearBaseline, as_tuples
from ml.calibrate import band_factors, baseline_band, shrinkage
from ml.contract import MEDIAN, PERCENTILES, FeatureReference, ModelContract
from ml.dataset import Dataset
from ml.errors import TrainingDataError
from ml.features import DEVIATIONS, INSTANT_FEATURES, WINDOW_FEATURES
from ml.folds import Fold, Part
from ml.forecaster import Network, drawn, raw
from ml.smile.grid import GRID_Z
from ml.spread import spread
from ml.types import Floats

MOST_WINDOWS = 20_000
"""Of the calibration part, evenly spaced; and of the training part, for the reference."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a fold before its network is fitted."""

    scaler: StandardScaler
    baselines: tuple[LinearBaseline, ...]
    anchor: tuple[str, ...]
    """By horizon, a name among the baselines."""
    linear: Linear
    """The anchors' numbers."""
    points: Floats
    """What an error at each grid point weighs, (17,)."""


def contract_of(dataset: Dataset, fold: Fold, ready: Prepared, network: Network, config: Config,
                name: str) -> ModelContract:
    """The contract of a fitted network: how much of it to believe, how wide its bands are.

    Raises:
        TrainingDataError: the network answers with something that is not a number.
    """
    data, part = config.data, spread(fold.calibration, MOST_WINDOWS)
    level = config.fit.quantiles[-1] - config.fit.quantiles[0]
    quantiles, anchor = _answers(dataset, part, ready, network)
    weights = _weights(dataset, part, quantiles, anchor, config, ready.points)
    factors = band_factors(drawn(quantiles, anchor, weights), dataset, part, level)
    return ModelContract(
        name=name, kind=config.model.kind, step_s=data.step_s, window=data.window,
        horizons_s=data.horizons_s, grid_z=tuple(GRID_Z.tolist()), feature_names=WINDOW_FEATURES,
        quantiles=config.fit.quantiles, filter_weight=data.filter_weight,
        baselines=ready.baselines, anchor=ready.anchor, shrinkage=as_tuples(weights),
        band_factor=as_tuples(factors),
        band_fallback=as_tuples(baseline_band(dataset, fold.training, part, level)),
        reference=reference(dataset, fold.training),
        trained_from=_utc(dataset.samples.at_s[fold.training.places[0]]
                          - data.step_s * (data.window - 1)),
        trained_until=_utc(max(_last(dataset, one) for one in (fold.training, fold.validation,
                                                               fold.calibration))),
        samples=len(fold.training), data_fingerprint=dataset.fingerprint())


def _answers(dataset: Dataset, part: Part, ready: Prepared,
             network: Network) -> tuple[Floats, Floats]:
    """The network's quantiles (n, H, 3, 17) and the anchor's changes (n, H, 17)."""
    quantiles, anchor = [], []
    for piece in part.chunks():
        windows = piece.windows(dataset.samples)
        quantiles.append(raw(network, ready.scaler, windows))
        anchor.append(ready.linear.changes(windows[:, :, DEVIATIONS]))
    if not all(np.isfinite(one).all() for one in quantiles):
        raise TrainingDataError("the fitted model answers with values that are not numbers")
    return np.concatenate(quantiles), np.concatenate(anchor)


def _weights(dataset: Dataset, part: Part, quantiles: Floats, anchor: Floats,
             config: Config, points: Floats) -> Floats:
    """Shrinkage by horizon; a baseline served as a model speaks for itself."""
    if config.model.kind not in NETWORKS:
        return np.ones(len(config.data.horizons_s))
    return shrinkage(quantiles[:, :, MEDIAN] - anchor, part.changes(dataset.samples) - anchor,
                     np.asarray(dataset.samples.at_s[part.places]), config.data.horizons_s,
                     points)


def reference(dataset: Dataset, training: Part) -> FeatureReference:
    """How the instant features that a window holds were distributed in its newest rows."""
    part = spread(training, MOST_WINDOWS)
    newest = np.concatenate([piece.windows(dataset.samples)[:, -1] for piece in part.chunks()])
    names = tuple(name for name in WINDOW_FEATURES if name in INSTANT_FEATURES)
    columns = newest[:, [WINDOW_FEATURES.index(name) for name in names]]
    quantiles = np.quantile(columns, np.linspace(0.0, 1.0, PERCENTILES), axis=0).T
    return FeatureReference(names=names, quantiles=as_tuples(quantiles))


def _last(dataset: Dataset, part: Part) -> float:
    """When the last target that a part uses was observed, in epoch seconds."""
    target = np.asarray(dataset.samples.target[part.places])[part.known]
    return float(dataset.observations.at_s[np.unique(target)].max())


def _utc(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(float(epoch_s), UTC)
