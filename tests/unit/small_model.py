"""A tiny trained-looking model for the tests of registry and server, made without training."""

import dataclasses
from collections.abc import Callable

import msgspec
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ml.args import ModelArgs
from ml.baselines.linear import stacked
from ml.contract import ModelContract
from ml.features import WINDOW_FEATURES
from ml.forecaster import Forecaster
from ml.models import Shape, Targets, build
from ml.models.linear import LinearChange, Stacked
from ml.models.scale import ChangeScale
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
    contract = msgspec.structs.replace(make_contract(seed), **changed)
    scaler = StandardScaler().fit(windows(100).reshape(-1, FEATURES))
    return Forecaster(_network(seed, scaler, contract).eval(), scaler, contract)


def broken_forecaster(answer: Callable[..., object] | None = None) -> Forecaster:
    """One whose network answers so, or fails."""
    def broken(scaled: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such kernel")

    return dataclasses.replace(make_forecaster(), network=answer or broken)


def _network(seed: int, scaler: StandardScaler, contract: ModelContract) -> Stacked:
    """In units of 10 bp, on the contract's anchor."""
    torch.manual_seed(seed)
    horizons, grid = len(contract.horizons_s), len(GRID_Z)
    shape = Shape(WINDOW, FEATURES, horizons, grid)
    targets = Targets(torch.eye(3, grid), torch.zeros(horizons, 3, FEATURES), 1.645)
    network = build(ModelArgs(hidden=8), shape, targets)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    unit = ChangeScale(scaler.scale_, horizons, grid)
    unit.shape.fill_(1e-3)
    anchor = stacked(contract.baselines, contract.anchor, contract.window)
    return Stacked(LinearChange(anchor, scaler.mean_, scaler.scale_), unit, network,
                   torch.ones(FEATURES))


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
