"""What a model was trained for, kept with it: the model refuses anything else.

Written as `contract.json` beside the weights, served by the model server, and read by the
predictor, which builds its windows from it.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from ml.baselines.linear import FILTERED, LinearBaseline, members
from ml.errors import ModelContractError
from ml.types import Floats

QUANTILES = (0.05, 0.5, 0.95)
MEDIAN = 1
"""The median's place among the quantiles."""
_GRID_TOLERANCE = 1e-9

Seconds = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=0)]


PERCENTILES = 101
"""Quantiles at 0, 1 %, … 100 %."""


class FeatureReference(msgspec.Struct, frozen=True, kw_only=True):
    """How features were distributed in the training fold, for drift to be judged against."""

    names: tuple[str, ...]
    """Those of `ml.features.INSTANT_FEATURES` that a window has a column of."""
    quantiles: tuple[tuple[float, ...], ...]
    """Each feature's quantiles at 0, 0.01, … 1, (F, 101)."""

    def __post_init__(self) -> None:
        if np.shape(self.quantiles) != (len(self.names), PERCENTILES):
            raise ValueError(f"`reference` needs {PERCENTILES} quantiles of each feature")


class ModelContract(msgspec.Struct, frozen=True, kw_only=True):
    """A model's input, output and origin. Volatilities are decimals, times aware UTC."""

    name: str
    kind: str
    """The architecture (gru, lstm, mlp or transformer), or a baseline's name."""
    step_s: Annotated[float, Meta(gt=0)]
    """Seconds between the rows of a window."""
    window: Annotated[int, Meta(ge=1)]
    """Rows in a window."""
    horizons_s: tuple[Seconds, ...]
    grid_z: tuple[float, ...]
    """Standardised moneyness of the grid's points."""
    feature_names: tuple[str, ...]
    """The columns of a window, in order."""
    quantiles: tuple[float, float, float] = QUANTILES
    filter_weight: Annotated[float, Meta(gt=0, le=1)]
    """Weight per step of the filtered smile that the forecast is a change against."""
    baselines: tuple[LinearBaseline, ...]
    """Fitted on the same training rows, each to `horizons_s` and `window`."""
    anchor: tuple[str, ...]
    """Per horizon, the baseline that the network's median is stacked on: a name among
    `baselines`, held by moneyness, several of them joined by +, whose mean it is, or
    `filtered_persistence`."""
    shrinkage: tuple[Share, ...]
    """Per horizon, weight of the network's median against the anchor's change; at 0 the anchor
    speaks alone."""
    band_factor: tuple[Factor, ...]
    """Per horizon, what calibration multiplies the half-widths of the model's band by."""
    band_fallback: tuple[tuple[float, ...], ...]
    """Per horizon and grid point, half-width of a 90 % band around filtered persistence."""
    reference: FeatureReference
    trained_from: datetime
    trained_until: datetime
    """No row later than this has shaped the model, its scaler, shrinkage or bands."""
    samples: int
    """Windows in the training fold."""
    data_fingerprint: str

    def __post_init__(self) -> None:
        horizons, points = len(self.horizons_s), len(self.grid_z)
        for field in ("anchor", "shrinkage", "band_factor", "band_fallback"):
            if len(getattr(self, field)) != horizons:
                raise ValueError(f"`{field}` has {len(getattr(self, field))} entries for "
                                 f"{horizons} horizons")
        if any(len(row) != points for row in self.band_fallback):
            raise ValueError(f"`band_fallback` needs {points} values per horizon")
        self._check_baselines()

    def _check_baselines(self) -> None:
        shape = (len(self.horizons_s), self.window)
        for one in self.baselines:
            if np.shape(one.base) != shape:
                raise ValueError(f"`baselines`: {one.name} has weights of the shape "
                                 f"{np.shape(one.base)}, not {shape}")
        held = {one.name for one in self.baselines if one.held_by == "moneyness"}
        named = {one for name in set(self.anchor) - {FILTERED} for one in members(name)}
        unknown = named - held
        if unknown:
            raise ValueError(f"`anchor` is no baseline held by moneyness: {min(unknown)}")

    def check(self, step_s: float, grid_z: Sequence[float] | Floats,
              feature_names: Sequence[str]) -> None:
        """Refuse a step, grid or feature list that is not the model's.

        Raises:
            ModelContractError: naming what differs, and how.
        """
        if step_s != self.step_s:
            raise ModelContractError(f"model {self.name} is trained on a step of "
                                     f"{self.step_s:g} s, not {step_s:g} s")
        self._check_grid(np.asarray(grid_z, float))
        self._check_features(tuple(feature_names))

    def _check_grid(self, grid: Floats) -> None:
        own = np.asarray(self.grid_z)
        # Said so that NaN is no match either.
        if grid.shape != own.shape or not np.abs(grid - own).max() <= _GRID_TOLERANCE:
            raise ModelContractError(
                f"model {self.name} is trained on a grid of {_range(own)}, not {_range(grid)}")

    def _check_features(self, names: tuple[str, ...]) -> None:
        if names == self.feature_names:
            return
        missing = [name for name in self.feature_names if name not in names]
        unknown = [name for name in names if name not in self.feature_names]
        parts = [f"missing {', '.join(missing)}"] * bool(missing)
        parts += [f"unknown {', '.join(unknown)}"] * bool(unknown)
        detail = "; ".join(parts) or "the same names in another order"
        raise ModelContractError(f"model {self.name} is trained on other features: {detail}")


def _range(grid: Floats) -> str:
    if not grid.size:
        return "no points"
    return f"{grid.size} points from {grid.flat[0]:g} to {grid.flat[-1]:g}"


def to_json(contract: ModelContract) -> bytes:
    """The contract as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(contract))


def from_json(data: bytes) -> ModelContract:
    """The contract of its JSON; keys it does not know are ignored.

    Raises:
        ModelContractError: if it is not a contract, saying which field is wrong.
    """
    try:
        return msgspec.json.decode(data, type=ModelContract)
    except msgspec.MsgspecError as error:
        raise ModelContractError(f"not a model contract: {error}") from error


def read(path: Path) -> ModelContract:
    """The contract in a file; raises ModelContractError if it is not one, naming the file."""
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise ModelContractError(f"{path}: can't be read: {error.strerror}") from error
    except ModelContractError as error:
        raise ModelContractError(f"{path}: {error}") from error
