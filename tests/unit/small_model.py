"""A tiny trained-looking model for the tests of registry and server, made without training."""

import msgspec
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ml.args import ModelArgs
from ml.contract import ModelContract
from ml.features import WINDOW_FEATURES
from ml.forecaster import Forecaster
from ml.models import Shape, Targets, build
from ml.smile.grid import GRID_Z
from tests.unit.small_baselines import make_baselines, make_reference
from tests.unit.smiles import utc

HORIZONS = (60, 300)
WINDOW = 4
FEATURES = len(WINDOW_FEATURES)


def windows(batch: int, seed: int = 0) -> np.ndarray:
    """Windows (batch, 4, F) of noise."""
    return np.random.default_rng(seed).normal(2.0, 3.0, (batch, WINDOW, FEATURES))


def make_forecaster(seed: int = 0, **changed: object) -> Forecaster:
    """A GRU of random weights, so that it has something to say, with scaler and contract.

    `changed` are fields of the contract.
    """
    torch.manual_seed(seed)
    shape = Shape(WINDOW, FEATURES, len(HORIZONS), len(GRID_Z))
    targets = Targets(torch.full((2, 17), 1e-3), torch.eye(3, 17), 1.645)
    network = build(ModelArgs(hidden=8), shape, targets).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    scaler = StandardScaler().fit(windows(100).reshape(-1, FEATURES))
    return Forecaster(network, scaler, msgspec.structs.replace(make_contract(seed), **changed))


def make_contract(seed: int = 0) -> ModelContract:
    """The contract of that model."""
    return ModelContract(
        name="smile", kind="gru", step_s=60.0, window=WINDOW, horizons_s=HORIZONS,
        grid_z=tuple(GRID_Z.tolist()), feature_names=WINDOW_FEATURES, filter_weight=0.5,
        baselines=make_baselines(WINDOW, len(HORIZONS)),
        anchor=("ewma", "filtered_persistence"),
        reference=make_reference(), shrinkage=(0.8, 0.4),
        band_factor=(1.1, 1.3), band_fallback=((1e-3,) * 17,) * 2,
        trained_from=utc(2026, 8, 3, 14), trained_until=utc(2026, 8, 4, 14), samples=100,
        data_fingerprint=f"{seed:016d}")
