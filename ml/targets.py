"""What a network is to learn: the changes that its anchor misses, their unit and components."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ml.args import Config
from ml.batches import Batches
from ml.features import WINDOW_FEATURES
from ml.models import Targets
from ml.models.linear import CLIP, LinearChange
from ml.models.scale import FLOOR, ChangeScale
from ml.ridge import Piece, ridge, sums
from ml.smile.grid import GRID_Z
from ml.types import Bools, Floats

BLOCKS = 5
"""Of the training part, for the ridge regression's penalty."""
_NEWTON_STEPS = 30
_DAMPING = 0.05
"""Of the log-linear weights, per window: about what a tenth of the windows would say."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What an anchor misses in a part, in units."""

    anchor: LinearChange
    unit: ChangeScale

    def __call__(self, batches: Batches) -> Iterator[tuple[Floats, Floats]]:
        """Last rows (n, F) and what is missed (n, H, 17), NaN where unknown, piece by piece."""
        with torch.inference_mode():
            for windows, change in batches.pieces():
                missed = (change - self.anchor(windows)) / self.unit(windows)
                yield windows[:, -1].double().numpy(), missed.double().numpy()


def fit_unit(anchor: LinearChange, batches: Batches, scaler: StandardScaler) -> ChangeScale:
    """The unit of what an anchor misses in the training part.

    The size of each window's error, its root mean square over the points, has the log-linear
    form of greatest Gaussian likelihood; errors beyond their 99 % quantile count as that. The
    shape is the root mean square by point of what is left.
    """
    horizons, grid = anchor.base.shape[0], anchor.loadings.shape[1]
    unit = ChangeScale(scaler.scale_, horizons, grid)
    with torch.inference_mode():
        raw = torch.cat([unit.raw(windows) for windows, _ in batches.pieces()]).double().numpy()
    square = np.concatenate([_mean_square(missed) for _, missed in Reader(anchor, unit)(batches)])
    centre, spread = raw.mean(axis=0), raw.std(axis=0)
    spread[spread < np.finfo(np.float32).eps] = 1.0
    weights = np.stack([_log_linear((raw - centre) / spread, square[:, place])
                        for place in range(horizons)])
    for name, values in (("centre", centre), ("spread", spread), ("level", weights[:, 0]),
                         ("weights", weights[:, 1:])):
        getattr(unit, name).copy_(torch.from_numpy(values))
    unit.shape.copy_(torch.from_numpy(target_shape(
        missed for _, missed in Reader(anchor, unit)(batches))))
    return unit


def _mean_square(missed: Floats) -> Floats:
    known = np.isfinite(missed)
    mean = np.where(known, missed, 0.0) ** 2
    count = known.sum(axis=2)
    return np.where(count > 0, mean.sum(axis=2) / np.maximum(count, 1), np.nan)


def _log_linear(regressors: Floats, square: Floats) -> Floats:
    """Weights c of a size s = exp(c · (1, x)) with the least Σ ln s² + r²/s²; (1 + K,).

    `regressors` x (n, K) are standardised, `square` r² (n,), NaN where unknown.
    """
    known = np.isfinite(square)
    if not known.any():
        return np.append(np.log(FLOOR), np.zeros(regressors.shape[1]))
    x = np.column_stack([np.ones(known.sum()), regressors[known].clip(-3.0, 3.0)])
    power = np.minimum(square[known], np.quantile(square[known], 0.99)) + FLOOR**2
    weights = np.append(0.5 * np.log(power.mean()), np.zeros(x.shape[1] - 1))
    damping = _DAMPING * len(x) * np.diag([0.0, *np.ones(x.shape[1] - 1)])
    for _ in range(_NEWTON_STEPS):
        ratio = power * np.exp(-2.0 * x @ weights)
        slope = 2.0 * x.T @ (1.0 - ratio) + damping @ weights
        bend = 4.0 * (x * ratio[:, None]).T @ x + damping
        weights = weights - np.clip(np.linalg.solve(bend, slope), -0.5, 0.5)
    return np.asarray(weights)


def target_shape(pieces: Iterator[Floats]) -> Floats:
    """Root mean square of the known among changes (n, H, 17) by horizon and point, (H, 17).

    A point that is never observed takes its horizon's.
    """
    sums = [(np.nansum(change**2, axis=0), np.isfinite(change).sum(axis=0)) for change in pieces]
    square, count = (np.sum(column, axis=0) for column in zip(*sums, strict=True))  # (H, 17)
    pooled = square.sum(axis=1) / np.maximum(count.sum(axis=1), 1)
    chosen = np.where(count > 0, square / np.maximum(count, 1), pooled[:, None])
    return np.where(chosen > 0.0, np.sqrt(chosen), 1.0)


def fit_targets(reader: Reader, training: Batches, validation: Batches, used: Bools,
                config: Config) -> Targets:
    """Components of the training part, and a ridge regression whose penalty validation chose."""
    loadings = _loadings((missed for _, missed in reader(training)), len(GRID_Z),
                         config.model.components)

    def seen(part: Batches) -> Iterator[Piece]:
        return ((rows.clip(-CLIP, CLIP) * used, missed) for rows, missed in reader(part))

    size = -(-len(training) // BLOCKS)
    blocks = [sums(seen(block)) for block in training.split(size)]
    straight = ridge(blocks, sums(seen(validation))) @ loadings.T / loadings.shape[1]  # (H, F, R)
    return Targets(torch.from_numpy(loadings).float(),
                   torch.from_numpy(straight).float().transpose(1, 2).contiguous(),
                   NormalDist().inv_cdf(config.fit.quantiles[-1]))


def _loadings(pieces: Iterator[Floats], grid: int, count: int) -> Floats:
    """Leading principal components of changes (n, H, 17), over all horizons, (R, 17).

    Each is as large as the smile has points, so that a move of 1 is one unit.
    """
    power, weight = np.zeros((2, grid, grid))
    for change in pieces:
        known = np.isfinite(change).reshape(-1, change.shape[-1]).astype(float)
        units = np.nan_to_num(change).reshape(known.shape)
        power += units.T @ units
        weight += known.T @ known
    vectors = np.linalg.eigh(power / np.maximum(weight, 1.0))[1]
    return np.ascontiguousarray(vectors[:, ::-1][:, :count].T * np.sqrt(len(vectors)))


def used_columns(scaler: StandardScaler, without: tuple[str, ...]) -> Bools:
    """Columns that a network sees, (F,): not those of `without`, nor any that was constant in
    training (the scaler leaves their scale at 1), whose weights would be left to chance."""
    return np.asarray(~np.isin(WINDOW_FEATURES, without) & (scaler.scale_ != 1.0))
