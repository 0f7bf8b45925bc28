"""What a training run can be told: from a YAML file, and over it the command line.

The committed files in `ml/configs/` are all loadable; a key or value that is not known here is
refused by its name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from ml.baselines.linear import BASELINES
from ml.contract import QUANTILES
from ml.errors import ConfigError
from ml.features import WINDOW_FEATURES

CONFIGS = Path(__file__).parent / "configs"
NETWORKS = ("gru", "lstm", "mlp", "transformer")
KINDS = (*NETWORKS, *BASELINES)
"""What can be trained, registered and served."""
Kind = Literal["gru", "lstm", "mlp", "transformer",
               "persistence", "ewma", "sticky_strike", "ar", "har", "kalman"]
Positive = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, lt=0.5)]


class Args(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the groups of settings."""


class DataArgs(Args, frozen=True, kw_only=True):
    """What is cut out of the history."""

    step_s: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds between the rows of a window."""
    window: Positive = 10
    """Rows in a window, two at least."""
    horizons_s: tuple[Positive, ...] = (60, 300, 900, 1800)
    """How far ahead to forecast, in seconds, ascending."""
    filter_weight: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Weight per step of the filtered smile."""
    folds: Positive = 4
    """How often to train anew, each time on all that is older; fewer where the history is short."""
    test_share: Share = 0.4
    """Last part of the history, only ever used to report; the folds' tests follow each other."""
    validation_share: Share = 0.15
    """Of what is before a test, the part for early stopping and for choices."""
    calibration_share: Share = 0.25
    """Of what is before a test, the last part, for stacking weights and widths of bands."""
    embargo_s: Annotated[float, Meta(ge=0)] | None = None
    """Seconds from the last origin used in a part to the next part's first; by default, and at
    least, the horizon."""
    within_day: bool = False
    """Whether a history of one day may be split by time."""

    def __post_init__(self) -> None:
        if not self.horizons_s or list(self.horizons_s) != sorted(set(self.horizons_s)):
            raise ValueError("`horizons_s` must ascend")
        if self.window == 1:
            raise ValueError("`window` of one row has no deviations from its filtered smile")
        if self.horizons_s[0] < self.step_s:
            raise ValueError("`horizons_s` can't be shorter than `step_s`")


class ModelArgs(Args, frozen=True, kw_only=True):
    """The network."""

    kind: Kind = "gru"
    """The architecture, a file of `ml/models/`, or a baseline."""
    hidden: Positive = 32
    """Width of the hidden layers."""
    layers: Positive = 1
    """How many of them."""
    heads: Positive = 4
    """Attention heads; of the transformer only."""
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Share of units left out while training."""
    components: Annotated[int, Meta(gt=0, le=17)] = 5
    """Principal components of the changes that a network's median is made of."""
    without: tuple[str, ...] = ("log_atm_vol", "log_tau")
    """Columns of the window that a network does not see: by default levels that wander, on which
    what it has learned in one week would be extrapolated in the next."""

    def __post_init__(self) -> None:
        if self.kind == "transformer" and self.hidden % self.heads:
            raise ValueError("`hidden` must be a multiple of `heads`")
        if unknown := set(self.without) - set(WINDOW_FEATURES):
            raise ValueError(f"`without` names no column of the window: {min(unknown)}")


class FitArgs(Args, frozen=True, kw_only=True):
    """How it learns."""

    epochs: Positive = 60
    """Most passes over the training fold."""
    patience: Positive = 8
    """Passes without a better validation loss before it stops."""
    batch: Positive = 128
    """Windows per step of the optimiser."""
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    """Of AdamW."""
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    """Of AdamW."""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """Of the weights and of the order of samples."""
    threads: Positive = 1
    """Of torch; the networks are too small to gain by more."""
    quantiles: tuple[float, float, float] = QUANTILES
    """Lower end of the band, median, upper end."""

    def __post_init__(self) -> None:
        low, middle, high = self.quantiles
        if not 0.0 < low < middle == 0.5 < high < 1.0:
            raise ValueError("`quantiles` must be a lower one, 0.5 and an upper one")


class Config(Args, frozen=True, kw_only=True):
    """All of a training run."""

    data: DataArgs = DataArgs()
    model: ModelArgs = ModelArgs()
    fit: FitArgs = FitArgs()


def load(path: Path | None = None, over: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """The configuration in a YAML file, or the default, with single values of `over` over it.

    `over` maps a group to its values; a value that is None is left as it was.

    Raises:
        ConfigError: naming the file, or the command line where it is right without that, and the
            key that is wrong.
    """
    read = _read(path) if path is not None else {}
    given = dict(read)
    for group, values in (over or {}).items():
        chosen = {name: value for name, value in values.items() if value is not None}
        given[group] = {**(given.get(group) or {}), **chosen}
    try:
        return msgspec.convert(given, Config)
    except msgspec.ValidationError as error:
        blamed = "command line" if over and _is_right(read) else path or "configuration"
        raise ConfigError(f"{blamed}: {error}") from error


def _is_right(given: dict[str, Any]) -> bool:
    try:
        msgspec.convert(given, Config)
    except msgspec.ValidationError:
        return False
    return True


def of_kind(kind: str) -> Path:
    """The committed configuration of an architecture."""
    return CONFIGS / f"{kind}.yaml"


def _read(path: Path) -> dict[str, Any]:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: needs groups `data`, `model` and `fit`")
    return given
