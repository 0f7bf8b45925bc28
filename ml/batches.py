"""A part of a dataset as a network takes it, a batch at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ml.dataset import Samples
from ml.errors import TrainingDataError
from ml.features import WINDOW_FEATURES
from ml.folds import Part
from ml.forecaster import scaled
from ml.types import Ints

KEPT_BYTES = 256 * 2**20
"""A part whose windows take no more is scaled once and kept; a larger one is read each time."""


class Batches:
    """n windows, scaled, and their changes."""

    def __init__(self, samples: Samples, part: Part, scaler: StandardScaler) -> None:
        self._samples, self._part, self._scaler = samples, part, scaler
        self._kept: tuple[Tensor, Tensor] | None = None
        if len(part) * samples.windows[0].size * 4 <= KEPT_BYTES:
            self._kept = self._read(np.arange(len(part)))

    def __len__(self) -> int:
        return len(self._part)

    def take(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, W, F), scaled, and changes (B, H, 17), NaN where unknown, of the samples
        at these places of the part."""
        if self._kept is not None:
            return self._kept[0][places], self._kept[1][places]
        return self._read(np.sort(places.numpy()))

    def pieces(self, size: int = 1024) -> Iterator[tuple[Tensor, Tensor]]:
        """The part in order, a piece at a time."""
        for places in torch.split(torch.arange(len(self)), size):
            yield self.take(places)

    def split(self, size: int) -> Iterator["Batches"]:
        """The part cut in time, each at most so long."""
        for piece in self._part.chunks(size):
            yield Batches(self._samples, piece, self._scaler)

    def _read(self, chosen: Ints) -> tuple[Tensor, Tensor]:
        part = Part(self._part.places[chosen], self._part.known[chosen])
        windows = part.windows(self._samples)
        _refuse_unknown(windows)
        return (torch.from_numpy(scaled(self._scaler, windows)),
                torch.from_numpy(part.changes(self._samples)).float())


def _refuse_unknown(windows: np.ndarray) -> None:
    bad = ~np.isfinite(windows).all(axis=(0, 1))  # (F,)
    if bad.any():
        names = ", ".join(WINDOW_FEATURES[place] for place in np.flatnonzero(bad))
        raise TrainingDataError(f"windows hold values that are not numbers: {names}")
