"""Walking forward: training, validation, calibration and test, one after the other in time.

Every fold learns from all that is older than its test part. The tests of a history's folds follow
each other and never overlap; the newest fold is the last.

What holds, for every fold and horizon h:
- the origins of a part are all earlier than those of the next part;
- a target that is used in training, validation or calibration is due, with all that it may be
  late, before the next part's first origin, so that none reaches into it (purge);
- between the last origin so used and the next part's first there are at least h seconds, and at
  least `embargo_s` (embargo).
The test part, being the last, keeps every target there is.

Test parts are whole days, unless there is only one. Before them parts are whole days from three
days on, else cut by time.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from sklearn.preprocessing import StandardScaler

from ml.args import DataArgs
from ml.dataset import Dataset, Samples
from ml.days import days
from ml.errors import TrainingDataError
from ml.features import DEVIATIONS, WINDOW_FEATURES
from ml.series import ONE_DAY
from ml.steps import TOLERANCE
from ml.types import Bools, Floats, Ints

MINIMUM = {"training": 100, "validation": 30, "calibration": 30, "test": 30}
"""Samples that a part needs."""
CHUNK = 4096
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """n samples of a dataset, in time order."""

    places: Ints
    """Into the samples, ascending, (n,)."""
    known: Bools
    """Horizons whose target may be used in this part, (n, H); one at least in every row."""

    def __len__(self) -> int:
        return len(self.places)

    def windows(self, samples: Samples) -> Floats:
        """(n, W, F)"""
        return np.asarray(samples.windows[self.places])

    def changes(self, samples: Samples) -> Floats:
        """Changes of the smile (n, H, 17); NaN where not known."""
        return np.where(self.known[:, :, None], samples.change[self.places], np.nan)

    def chunks(self, size: int = CHUNK) -> Iterator["Part"]:
        """The part in pieces of at most `size` samples, for data larger than memory."""
        for start in range(0, len(self), size):
            piece = slice(start, start + size)
            yield Part(self.places[piece], self.known[piece])


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of the walk."""

    number: int
    """From 0, the oldest."""
    training: Part
    validation: Part
    """For early stopping and choices."""
    calibration: Part
    """For stacking weights and widths of bands."""
    test: Part
    """Only ever reported on."""


def walk_forward(dataset: Dataset) -> list[Fold]:
    """The folds of a dataset: of at most `args.folds` as many as leave the newest one `MINIMUM`
    samples in each part, and of these without those that have fewer.

    Raises:
        TrainingDataError: even a single fold is too small, or there is one day only and
            `args.within_day` is not set.
    """
    samples, args = dataset.samples, dataset.args
    shortage = "no two windows follow each other"
    for count in range(args.folds, 0, -1):
        made = [_parts(samples, args, edges) for edges in _edges(samples.at_s, args, count)]
        shortage = _shortage(made[-1]) if made else shortage
        if not shortage:
            standing = [parts for parts in made if not _shortage(parts)]
            return [Fold(number, *parts) for number, parts in enumerate(standing)]
    raise TrainingDataError(f"too little history: {shortage}; {len(samples)} in all")


def _parts(samples: Samples, args: DataArgs, edges: Sequence[float]) -> list[Part]:
    return [_part(samples, args, *span, is_last=place == len(MINIMUM) - 1)
            for place, span in enumerate(pairwise(edges))]


def _shortage(parts: Sequence[Part]) -> str:
    for part, (name, least) in zip(parts, MINIMUM.items(), strict=True):
        if len(part) < least:
            return f"{len(part)} windows for {name}, needs {least}"
    return ""


def _part(samples: Samples, args: DataArgs, begin: float, end: float, is_last: bool) -> Part:
    """The samples with begin ≤ t < end and what of their targets is due before `end`."""
    first, last = np.searchsorted(samples.at_s, [begin, end])
    known = samples.target[first:last] >= 0
    if not is_last:
        lead = np.asarray(args.horizons_s, float) + TOLERANCE * args.step_s
        lead = np.maximum(lead, args.embargo_s or 0.0)
        known &= samples.at_s[first:last, None] + lead <= end
    used = known.any(axis=1)
    return Part(np.arange(first, last)[used], known[used])


def _edges(at_s: Floats, args: DataArgs, folds: int) -> list[tuple[float, ...]]:
    """Per fold, at most so many, where its parts begin and the last ends, in epoch seconds."""
    times = np.unique(at_s)
    if len(times) < 2:
        return []
    starts = times[_day_places(times)]
    if len(starts) == 1 and not args.within_day:
        raise TrainingDataError(ONE_DAY)
    units = times if len(starts) == 1 else starts
    held = min(max(1, round(args.test_share * len(units))), len(units) - 1)
    first, count = len(units) - held, min(folds, held)
    ends = np.append(units, np.inf)
    cuts = first + np.linspace(0, held, count + 1).round().astype(int)
    return [(*_before(units[:begin], times[times < units[begin]], args), units[begin], ends[end])
            for begin, end in pairwise(cuts.tolist())]


def _before(starts: Floats, times: Floats, args: DataArgs) -> tuple[float, float, float]:
    """Where training, validation and calibration begin: by day, or by time if days are few."""
    units = starts if len(starts) >= 3 else times
    validation = max(1, round(args.validation_share * len(units)))
    calibration = max(1, round(args.calibration_share * len(units)))
    calibrate = max(len(units) - calibration, 0)
    return float(units[0]), float(units[max(calibrate - validation, 0)]), float(units[calibrate])


def _day_places(times: Floats) -> Ints:
    """Where New York days begin in ascending epoch seconds."""
    return np.flatnonzero(np.diff(days(times), prepend=-1))


def fit_scaler(dataset: Dataset, part: Part) -> StandardScaler:
    """The scaler of the windows' columns, fitted on the part's rows only, piece by piece.

    A column that never changes there keeps scale 1, so that it comes out as 0, and is told once.

    Raises:
        TrainingDataError: the smile itself never changes.
    """
    scaler = StandardScaler()
    for piece in part.chunks():
        windows = piece.windows(dataset.samples)
        scaler.partial_fit(windows.reshape(-1, windows.shape[-1]))
    still = scaler.scale_ == 1.0
    still &= scaler.var_ <= np.finfo(float).eps * np.maximum(scaler.mean_**2, 1.0)
    if still[DEVIATIONS].all():
        raise TrainingDataError(f"nothing to learn from: {', '.join(_names(still))} never changes "
                                "in the training history")
    if still.any():
        _tell(_names(still))
    return scaler


def _names(still: Bools) -> tuple[str, ...]:
    return tuple(WINDOW_FEATURES[place] for place in np.flatnonzero(still))


@lru_cache(maxsize=64)
def _tell(names: tuple[str, ...]) -> None:
    log.warning("constant in the training history, and so without effect: %s", ", ".join(names))
