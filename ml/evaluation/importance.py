"""What a model listens to: how much worse it gets when a group of its columns is shuffled.

Permutation importance (Breiman 2001, "Random forests", section 10) on the test parts: whole
columns are dealt to other samples' windows, everything else stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.contract import MEDIAN
from ml.dataset import Dataset
from ml.folds import Part
from ml.types import Floats, Ints

if TYPE_CHECKING:
    from ml.walk import Walked

MOST = 20_000
"""Samples of a test part that are looked at, evenly spread."""
GROUPS = {
    "smile's deviations": ("deviation",),
    "level and shape": ("log_atm_vol", "skew", "curvature", "slow"),
    "returns": ("return",),
    "realised variance": ("realised",),
    "time": ("session", "log_tau"),
    "spreads and ages": ("spread", "age"),
    "term structure": ("term",),
}
"""Name of a group, and what its columns' names contain; the last group that fits has a column."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Importance:
    """A group of features at one horizon."""

    group: str
    horizon_s: int
    r2_lost: float
    """How much R² against filtered persistence falls, on the grid smile."""
    pinball_lost: float
    """Relative rise of the pinball loss of median and band."""


def groups_of(names: Sequence[str]) -> dict[str, Ints]:
    """Places of the columns of each group that has any.

    >>> {group: places.tolist() for group, places in groups_of(["slow_skew", "x"]).items()}
    {'level and shape': [0], 'other': [1]}
    """
    chosen = [next((group for group, parts in reversed(GROUPS.items())
                    if any(part in name for part in parts)), OTHER) for name in names]
    return {group: np.flatnonzero([one == group for one in chosen])
            for group in (*GROUPS, OTHER) if group in chosen}


def importance(walked: Sequence["Walked"], dataset: Dataset, seed: int = 0) -> list[Importance]:
    """Of each group of columns and horizon, over the test parts of all folds."""
    contract = walked[0].forecaster.contract
    groups = groups_of(contract.feature_names)
    random = np.random.default_rng(seed)
    sums = np.zeros((len(groups) + 1, len(contract.horizons_s), 3))
    for one in walked:
        part = _thinned(one.fold.test)
        shuffled = part.places[random.permutation(len(part))]
        sums += _losses(one, part, shuffled, [np.zeros(0, np.int64), *groups.values()], dataset)
    error, loss, power = np.moveaxis(sums, 2, 0)  # each (groups + 1, H)
    with np.errstate(all="ignore"):
        r2, pinball = (error[1:] - error[0]) / power[0], loss[1:] / loss[0] - 1.0
    return [Importance(group, horizon_s, float(r2[row, place]), float(pinball[row, place]))
            for row, group in enumerate(groups)
            for place, horizon_s in enumerate(contract.horizons_s)]


def _thinned(part: Part) -> Part:
    chosen = np.unique(np.linspace(0, len(part) - 1, min(len(part), MOST)).astype(int))
    return Part(part.places[chosen], part.known[chosen])


def _losses(walked: "Walked", part: Part, shuffled: Ints, groups: Sequence[Ints],
            dataset: Dataset) -> Floats:
    """Sums of squared error, pinball loss and squared change, (groups, H, 3)."""
    samples, sums, start = dataset.samples, [], 0
    for piece in part.chunks():
        change, windows = piece.changes(samples), piece.windows(samples)
        others = samples.windows[shuffled[start:start + len(piece)]]
        start += len(piece)
        sums.append([_judged(walked, _mixed(windows, others, columns), change)
                     for columns in groups])
    return np.asarray(np.sum(sums, axis=0))


def _mixed(windows: Floats, others: Floats, columns: Ints) -> Floats:
    mixed = windows.copy()
    mixed[:, :, columns] = others[:, :, columns]
    return mixed


def _judged(walked: "Walked", windows: Floats, change: Floats) -> Floats:
    quantiles = walked.forecaster.predict(windows)  # (n, H, 3, 17)
    level = np.asarray(walked.forecaster.contract.quantiles)[:, None]
    off = change[:, :, None] - quantiles
    loss = np.maximum(level * off, (level - 1.0) * off).mean(axis=2)
    return np.stack([np.nansum(values, axis=(0, 2))
                     for values in (off[:, :, MEDIAN] ** 2, loss, change**2)], axis=1)
