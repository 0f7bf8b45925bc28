"""What models said of their test parts, and the scale that their bands would have had live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.bands import Issued, adapt
from ml.baselines import LinearBaseline
from ml.dataset import Dataset
from ml.evaluation.observed import LOWER, UPPER, Singles, at_targets, edges_at
from ml.growing import Store
from ml.types import Bools, Floats, Ints

PIECE = 1024
"""Forecasts taken at a time."""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """A fold's test part as a model forecast it; n samples."""

    fold: int
    places: Ints
    """Of the samples, (n,)."""
    known: Bools
    """Horizons whose target belongs to the part, (n, H)."""
    change: Singles
    """Lower end, median and upper end of the change, (n, H, 3, 17); mapped where it is large."""
    baselines: tuple[LinearBaseline, ...]
    quantiles: tuple[float, ...]

    def targets(self, dataset: Dataset, horizon: int, piece: slice) -> Ints:
        """Places of the piece's targets in the observations, (m,); −1 where there is none."""
        target = dataset.samples.target[self.places[piece], horizon]
        return np.where(self.known[piece, horizon], target, -1)


def pieces(count: int) -> Iterator[slice]:
    """Slices of `PIECE` at most that make up `count`."""
    for start in range(0, count, PIECE):
        yield slice(start, min(start + PIECE, count))


def band_scales(forecasts: Sequence[Forecasts], dataset: Dataset) -> list[Floats]:
    """What the adaptive scale of each fold's forecasts would have been live, each (n, H).

    It goes on from fold to fold, as it does when the champion changes. Quotes go to mapped files
    where they are many.
    """
    horizons = range(len(dataset.args.horizons_s))
    scale = np.stack([_scales(forecasts, dataset, horizon) for horizon in horizons], axis=1)
    return np.split(scale, np.cumsum([len(one.places) for one in forecasts])[:-1])


def _scales(forecasts: Sequence[Forecasts], dataset: Dataset, horizon: int) -> Floats:
    samples, quotes = dataset.samples, Store()
    lengths, targets = [np.zeros(1, np.int64)], []
    for one in forecasts:
        for piece in pieces(len(one.places)):
            target = one.targets(dataset, horizon, piece)
            seen = at_targets(dataset.observations, target)
            lower, middle, upper = edges_at(samples.filtered[one.places[piece]],
                                            one.change[piece, horizon], seen)
            quotes.append({"mid": seen.mid_iv, "middle": middle, "lower": lower, "upper": upper})
            lengths.append(np.bincount(seen.of, minlength=len(target)))
            targets.append(target)
    places, target = np.concatenate([one.places for one in forecasts]), np.concatenate(targets)
    symbol = [name for name, _ in dataset.keys]
    key, horizon_s = samples.key[places], float(dataset.args.horizons_s[horizon])
    issued = Issued(
        at_s=samples.at_s[places], horizon_s=np.full(len(places), horizon_s),
        symbol=np.unique(symbol, return_inverse=True)[1][key], expiry=key,
        observed_s=np.where(target >= 0, dataset.observations.at_s[target], np.nan),
        starts=np.cumsum(np.concatenate(lengths)), **quotes.finish())
    level = forecasts[0].quantiles[UPPER] - forecasts[0].quantiles[LOWER]
    return adapt(issued, dataset.args.step_s, level)
