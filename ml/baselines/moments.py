"""Sums over training rows that all linear baselines are fitted from, read in chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.dataset import Samples
from ml.features import DEVIATIONS
from ml.folds import Part
from ml.types import Floats

CHUNK = 2048
"""Windows read at a time: about 20 MB at work."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over windows of deviations d (W, 17) and known changes y (H, 17)."""

    count: int
    by_point: Floats
    """Σ d dᵀ by grid point, (17, W, W)."""
    across: Floats
    """Σ dᵀ d over windows and rows, (17, 17)."""
    power: Floats
    """Σ d dᵀ over the points whose change is known, by horizon, (H, W, W)."""
    response: Floats
    """Σ d y over these points, by horizon, (H, W)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The training rows, read in chunks: all of a fold that a baseline may see."""

    samples: Samples
    part: Part
    horizons_s: Sequence[int]

    @property
    def at_s(self) -> Floats:
        """Epoch seconds of each window's newest row, (n,)."""
        return np.asarray(self.samples.at_s[self.part.places], np.float64)

    def __iter__(self) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Times (n,), deviations (n, W, 17), changes (n, H, 17), NaN where unknown."""
        for first in range(0, len(self.part.places), CHUNK):
            chunk = slice(first, first + CHUNK)
            places, known = self.part.places[chunk], self.part.known[chunk][:, :, None]
            deviations = np.asarray(self.samples.windows[places][:, :, DEVIATIONS], np.float64)
            change = np.where(known, self.samples.change[places], np.nan)
            yield np.asarray(self.samples.at_s[places], np.float64), deviations, change


def moments(rows: Rows) -> Moments:
    """The sums over all rows."""
    sums = [_of_chunk(deviations, change) for _, deviations, change in rows]
    total = [np.sum(column, axis=0) for column in zip(*sums, strict=True)]
    return Moments(len(rows.part.places), *total)


def _of_chunk(deviations: Floats, change: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    known = np.isfinite(change)  # (n, H, 17)
    target = np.where(known, change, 0.0)
    rows = deviations.reshape(-1, deviations.shape[-1])
    power = [_power(deviations, known[:, place]) for place in range(known.shape[1])]
    return (np.einsum("nwg,nvg->gwv", deviations, deviations, optimize=True), rows.T @ rows,
            np.stack(power), np.einsum("nwg,nhg->hw", deviations, target, optimize=True))


def _power(deviations: Floats, known: Floats) -> Floats:
    masked = deviations * known[:, None]  # (n, W, 17)
    return np.einsum("nwg,nvg->wv", masked, masked, optimize=True)
