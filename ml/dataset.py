"""From series of smiles to what a model learns from, split in time.

A sample is one expiry at one instant t: the window of rows up to t, the filtered smile at t, and
per horizon the change of the grid smile against it. Nothing later than t enters the window,
which never crosses a New York day or a gap. The target is what the monitor scores a live forecast
on: the first smile from the end of the horizon on; of another day or after a gap it is unknown.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ml.args import DataArgs
from ml.errors import TrainingDataError
from ml.features import WINDOW_FEATURES, filtered_smile, window_indices, window_input
from ml.history import Series
from ml.types import Bools, Floats

Ints = NDArray[np.int64]
TOLERANCE = 0.5
"""How long, in steps, a window's row may be before its time, and a target's row after it."""
MINIMUM = {"training": 100, "validation": 30, "test": 30}
_SECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples in time order."""

    at_s: Floats
    """Epoch seconds of t, (N,)."""
    windows: Floats
    """(N, W, F), finite."""
    filtered: Floats
    """The filtered smile at t, (N, 17)."""
    change: Floats
    """(N, H, 17); NaN where the target is unknown or not within its quoted strikes."""
    series: Ints
    """Place of the expiry's series in the history, (N,)."""
    row: Ints
    """Place of t in its series, (N,)."""
    target: Ints
    """Place of the target in its series, (N, H); −1 where there is none."""

    def __len__(self) -> int:
        return len(self.at_s)

    def take(self, chosen: Bools | Ints) -> "Samples":
        """The samples chosen by a mask or by places."""
        return Samples(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any number in the samples."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Folds:
    """Samples split in time: training, then validation, then test."""

    training: Samples
    validation: Samples
    test: Samples


def make_samples(history: Sequence[Series], args: DataArgs) -> Samples:
    """All samples of a history, one per step and expiry at most, in time order.

    Raises:
        TrainingDataError: there are none, or a column of the windows is mostly missing.
    """
    parts, refused = [], 0
    for number, series in enumerate(history):
        for sample in _series_samples(number, series, args):
            refused += sample is None
            parts += [sample] if sample is not None else []
    if refused > len(parts):
        raise TrainingDataError(f"{refused} of {refused + len(parts)} windows have too many rows "
                                "without a smile; `ml.quotes info` says what is in a file")
    if not parts:
        raise TrainingDataError(
            f"too little history: no expiry has {args.window} smiles {args.step_s:g} s apart "
            f"and another {min(args.horizons_s)} s later on the same day")
    samples = Samples(*(np.stack(column) for column in zip(*parts, strict=True)))
    return samples.take(np.argsort(samples.at_s, kind="stable"))


def _series_samples(number: int, series: Series,
                    args: DataArgs) -> Iterator[tuple[np.ndarray, ...] | None]:
    """The samples of one expiry; None for one whose window lacks too many smiles."""
    following = _first_smiles(series)
    for row in _strided(series.times_s, args.step_s):
        rows = window_indices(series.times_s[:row + 1], series.times_s[row], args.step_s,
                              args.window, TOLERANCE * args.step_s)
        target = _targets(series, following, row, args)
        if rows is not None and (target >= 0).any():
            yield _sample(number, series, rows, target, args)


def _strided(times_s: Floats, step_s: float) -> list[int]:
    """Places of rows at least a step apart, so that a feed of 2 s gives no near-copies."""
    chosen, last = [], -np.inf
    for row, at in enumerate(times_s):
        if at - last >= step_s - _SECOND:
            chosen.append(row)
            last = at
    return chosen


def _first_smiles(series: Series) -> Ints:
    """Per row the place of the first smile from it on, T where there is none; (T + 1,)."""
    rows = len(series.times_s)
    known = np.isfinite(series.grid_vol).any(axis=1)
    places = np.append(np.where(known, np.arange(rows), rows), rows)
    return np.minimum.accumulate(places[::-1])[::-1]


def _targets(series: Series, following: Ints, row: int, args: DataArgs) -> Ints:
    """Per horizon, the first smile at or shortly after its end, or −1; (H,).

    `following` is what `_first_smiles` gives.
    """
    due = series.times_s[row] + np.asarray(args.horizons_s, float)
    place = following[np.searchsorted(series.times_s, due - _SECOND)]
    ended = place == len(series.times_s)
    place = np.where(ended, row, place)
    late = series.times_s[place] - due > TOLERANCE * args.step_s + _SECOND
    another_day = np.array([series.day[at] != series.day[row] for at in place])
    return np.where(ended | late | another_day, -1, place)


def _sample(number: int, series: Series, rows: Ints, target: Ints,
            args: DataArgs) -> tuple[np.ndarray, ...] | None:
    window = series.window(rows)
    columns = window_input(window, args.filter_weight)
    if columns is None:
        return None
    filtered = filtered_smile(window.grid_vol, args.filter_weight)
    known = (target >= 0)[:, None] & series.grid_observed[target]
    change = np.where(known, series.grid_vol[target] - filtered, np.nan)
    at = rows[-1]
    return (series.times_s[at], columns, filtered, change, np.array(number), np.array(at), target)


def split(samples: Samples, args: DataArgs) -> Folds:
    """Training, validation and test, in this order in time, by whole days from three days on.

    Between two folds, samples are purged whose longest horizon, with what a target may be late,
    ends in the later fold: no target reaches into it.

    Raises:
        TrainingDataError: a fold is too small, or there is one day only and `args.within_day`
            is not set.
    """
    starts = _fold_starts(samples.at_s, args)
    before = samples.at_s + max(args.horizons_s) + TOLERANCE * args.step_s
    folds = {
        "training": before <= starts[0],
        "validation": (samples.at_s >= starts[0]) & (before <= starts[1]),
        "test": samples.at_s >= starts[1],
    }
    for name, chosen in folds.items():
        if chosen.sum() < MINIMUM[name]:
            raise TrainingDataError(
                f"too little history: {chosen.sum()} windows for {name}, needs "
                f"{MINIMUM[name]}; {len(samples)} in all")
    return Folds(*(samples.take(chosen) for chosen in folds.values()))


def _fold_starts(at_s: Floats, args: DataArgs) -> tuple[float, float]:
    """Epoch seconds at which validation and test begin."""
    days = _day_starts(at_s)
    if len(days) == 1 and not args.within_day:
        raise TrainingDataError("the history holds one day only, so that no model can be judged "
                                "on a day it has not seen; give more days, or --within-day to "
                                "split this one by time")
    if len(days) >= 3:
        held = max(1, round(args.test_share * len(days)))
        inner = max(1, round(args.validation_share * len(days)))
        first = max(1, len(days) - held - inner)
        return float(days[first]), float(days[-held])
    times = np.unique(at_s)
    training = 1.0 - args.validation_share - args.test_share
    first, second = int(training * len(times)), int((1.0 - args.test_share) * len(times))
    return float(times[first]), float(times[second])


def _day_starts(at_s: Floats) -> Floats:
    """First instant of each session: sessions are nights apart, windows never that long."""
    times = np.unique(at_s)
    return np.asarray(times[np.concatenate([[True], np.diff(times) > 6 * 3600])])


def fit_scaler(training: Samples) -> StandardScaler:
    """The scaler of the windows' columns, fitted on training rows only.

    Raises:
        TrainingDataError: columns that never change, by name.
    """
    columns = training.windows.reshape(-1, training.windows.shape[-1])
    scaler = StandardScaler().fit(columns)
    still = [WINDOW_FEATURES[place] for place in np.flatnonzero(np.ptp(columns, axis=0) == 0.0)]
    if still:
        raise TrainingDataError(f"nothing to learn from: {', '.join(still)} never changes in "
                                "the training history")
    return scaler
