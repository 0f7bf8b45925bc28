"""A GRU of the default size with random weights, which takes as long as a trained one."""

from datetime import UTC, datetime

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ml.args import DataArgs, ModelArgs
from ml.baselines.linear import LinearBaseline, stacked
from ml.contract import PERCENTILES, FeatureReference, ModelContract
from ml.features import WINDOW_FEATURES
from ml.forecaster import Forecaster
from ml.models import Shape, Targets, build
from ml.models.linear import LinearChange, Stacked
from ml.models.scale import ChangeScale
from ml.smile.grid import GRID_SIZE, GRID_Z
from ml.types import Floats

FEATURES = len(WINDOW_FEATURES)
DATA = DataArgs()
HORIZONS = len(DATA.horizons_s)


def windows(batch: int) -> Floats:
    """Windows (batch, W, F) of noise."""
    return np.random.default_rng(0).normal(2.0, 3.0, (batch, DATA.window, FEATURES))


def make_forecaster(seed: int) -> Forecaster:
    """The model of a seed, on an exponentially weighted anchor."""
    torch.manual_seed(seed)
    own, scaler = contract(), StandardScaler().fit(windows(100).reshape(-1, FEATURES))
    args = ModelArgs()
    components = torch.eye(args.components, GRID_SIZE)
    straight = torch.zeros(HORIZONS, args.components, FEATURES)
    network = build(args, Shape(DATA.window, FEATURES, HORIZONS, GRID_SIZE),
                    Targets(components, straight, 1.645))
    anchor = LinearChange(stacked(own.baselines, own.anchor, own.window), scaler.mean_,
                          scaler.scale_)
    unit = ChangeScale(scaler.scale_, HORIZONS, GRID_SIZE)
    return Forecaster(Stacked(anchor, unit, network, torch.ones(FEATURES)).eval(), scaler, own)


def contract() -> ModelContract:
    """What such a model is for."""
    weights = 0.5 ** np.arange(DATA.window - 1, -1, -1.0)
    base = (tuple((weights / weights.sum()).tolist()),) * HORIZONS
    return ModelContract(
        name="smile", kind="gru", step_s=DATA.step_s, window=DATA.window,
        horizons_s=DATA.horizons_s, grid_z=tuple(GRID_Z.tolist()), feature_names=WINDOW_FEATURES,
        filter_weight=DATA.filter_weight, baselines=(LinearBaseline(name="ewma", base=base),),
        anchor=("ewma",) * HORIZONS, shrinkage=(0.5,) * HORIZONS, band_factor=(1.0,) * HORIZONS,
        band_fallback=((1e-3,) * GRID_SIZE,) * HORIZONS,
        reference=FeatureReference(names=("skew",), quantiles=(tuple(range(PERCENTILES)),)),
        trained_from=datetime(2026, 8, 3, tzinfo=UTC),
        trained_until=datetime(2026, 8, 4, tzinfo=UTC), samples=1000,
        data_fingerprint="0123456789abcdef")
