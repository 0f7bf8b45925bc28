"""What a network is to learn: the changes that its anchor misses, and how they vary."""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ml.args import Config
from ml.baselines.linear import Linear
from ml.dataset import Samples
from ml.features import DEVIATIONS, WINDOW_FEATURES
from ml.folds import Part
from ml.models import Targets
from ml.types import Bools, Floats

SMALLEST_SCALE = 1e-5
"""A tenth of a basis point: targets are never scaled up from less."""


def missed(samples: Samples, part: Part, anchor: Linear) -> Iterator[Floats]:
    """Changes minus the anchor's (n, H, 17), NaN where unknown, piece by piece."""
    for piece in part.chunks():
        deviations = piece.windows(samples)[:, :, DEVIATIONS]
        yield piece.changes(samples) - anchor.changes(deviations)


def targets(samples: Samples, part: Part, anchor: Linear, config: Config) -> Targets:
    """Scale and components of a training part."""
    scale = target_scale(missed(samples, part, anchor))
    loadings = _loadings(missed(samples, part, anchor), scale, config.model.components)
    return Targets(torch.from_numpy(scale).float(), torch.from_numpy(loadings).float(),
                   NormalDist().inv_cdf(config.fit.quantiles[-1]))


def target_scale(pieces: Iterator[Floats]) -> Floats:
    """Root mean square of the known among changes (n, H, 17) by horizon and point, (H, 17).

    A point that is never observed takes its horizon's.
    """
    sums = [(np.nansum(change**2, axis=0), np.isfinite(change).sum(axis=0)) for change in pieces]
    square, count = (np.sum(column, axis=0) for column in zip(*sums, strict=True))  # (H, 17)
    pooled = square.sum(axis=1) / np.maximum(count.sum(axis=1), 1)
    chosen = np.where(count > 0, square / np.maximum(count, 1), pooled[:, None])
    return np.asarray(np.maximum(np.sqrt(chosen), SMALLEST_SCALE))


def _loadings(pieces: Iterator[Floats], scale: Floats, count: int) -> Floats:
    """Leading principal components of changes in units of `scale`, over all horizons, (R, 17).

    Each is as large as the smile has points, so that a move of 1 is one standard deviation.
    """
    power, weight = np.zeros((2, scale.shape[1], scale.shape[1]))
    for change in pieces:
        known = np.isfinite(change)
        units = np.where(known, change / scale, 0.0).reshape(-1, scale.shape[1])
        seen = known.reshape(-1, scale.shape[1]).astype(float)
        power += units.T @ units
        weight += seen.T @ seen
    vectors = np.linalg.eigh(power / np.maximum(weight, 1.0))[1]
    return np.ascontiguousarray(vectors[:, ::-1][:, :count].T * np.sqrt(len(vectors)))


def used_columns(scaler: StandardScaler, without: tuple[str, ...]) -> Bools:
    """Columns that a network sees, (F,): not those of `without`, nor any that was constant in
    training (the scaler leaves their scale at 1), whose weights would be left to chance."""
    return np.asarray(~np.isin(WINDOW_FEATURES, without) & (scaler.scale_ != 1.0))
