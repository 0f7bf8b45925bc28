"""The training rows as all linear baselines are fitted to them, and sums over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.baselines.linear import fresh
from ml.dataset import Samples
from ml.features import DEVIATIONS
from ml.folds import Part
from ml.types import Floats

FLOOR = 1e-4
"""A basis point: a window's smile is not taken to be stiller."""
CHUNK = 1024
"""Windows read at a time: about 20 MB at work."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The training rows, read in chunks: all of a fold that a baseline may see."""

    samples: Samples
    part: Part
    horizons_s: Sequence[int]
    points: Floats
    """What an error at each grid point weighs, (17,)."""

    @property
    def at_s(self) -> Floats:
        """Epoch seconds of each window's newest row, (n,)."""
        return np.asarray(self.samples.at_s[self.part.places], np.float64)

    def __iter__(self) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Times (n,), deviations (n, W, 17), changes (n, H, 17), NaN where unknown.

        Both are in units of the window's own roughness (weighted least squares), so that a few
        restless windows, or one bad smile in them, do not decide alone.
        """
        for first in range(0, len(self.part.places), CHUNK):
            chunk = slice(first, first + CHUNK)
            places, known = self.part.places[chunk], self.part.known[chunk][:, :, None]
            deviations = np.asarray(self.samples.windows[places][:, :, DEVIATIONS], np.float64)
            change = np.where(known, self.samples.change[places], np.nan)
            size = roughness(deviations)[:, None, None]
            yield (np.asarray(self.samples.at_s[places], np.float64), deviations / size,
                   change / size)


def roughness(deviations: Floats) -> Floats:
    """Root mean square step of the smile in windows (n, W, 17), (n,); `FLOOR` at least."""
    steps = np.diff(deviations, axis=1) ** 2
    power = steps.sum(axis=(1, 2)) / max(1, steps.shape[1] * steps.shape[2])
    return np.asarray(np.sqrt(power + FLOOR**2))


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over windows of deviations d (W, 17) and known changes y (H, 17)."""

    across: Floats
    """Σ dᵀ d over windows and rows, (17, 17)."""
    complete: int
    """Windows of which no row repeats another."""
    by_point: Floats
    """Σ d dᵀ over these by grid point, (17, W, W)."""
    losses: Floats
    """Σ (filter(d) − y)² over the known points, weighed, by filter and horizon, (K, H)."""


def moments(rows: Rows, filters: Floats) -> Moments:
    """The sums over all rows; `filters` (K, W) are weights of a window's smiles."""
    sums = [_of_chunk(deviations, change, rows.points, filters) for _, deviations, change in rows]
    across, complete, by_point, losses = zip(*sums, strict=True)
    return Moments(np.sum(across, axis=0), sum(complete), np.sum(by_point, axis=0),
                   np.sum(losses, axis=0))


def _of_chunk(deviations: Floats, change: Floats, points: Floats,
              filters: Floats) -> tuple[Floats, int, Floats, Floats]:
    flat = deviations.reshape(-1, deviations.shape[-1])
    new = fresh(deviations)  # (n, W)
    whole = deviations[new.all(axis=1)]
    by_point = np.einsum("nwg,nvg->gwv", whole, whole, optimize=True)
    known, target = np.isfinite(change) * points, np.nan_to_num(change)  # (n, H, 17)
    losses = []
    for weights in filters:
        kept = weights * new  # (n, W)
        filtered = np.einsum("nw,nwg->ng", kept, deviations) / kept.sum(axis=1)[:, None]
        losses.append(((filtered[:, None] - target) ** 2 * known).sum(axis=(0, 2)))
    return flat.T @ flat, len(whole), by_point, np.stack(losses)
