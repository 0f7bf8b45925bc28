"""The samples of one expiry's series: where they are made, their windows and their targets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.args import DataArgs
from ml.features import WINDOW_FEATURES, filtered_smile, window_indices, window_input
from ml.history import Series
from ml.steps import TOLERANCE, step_of
from ml.types import Floats, Ints

_SECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Drawn:
    """The n samples of a series; `row` and `target` are places in it."""

    windows: Floats
    """(n, W, F)"""
    filtered: Floats
    """(n, 17)"""
    change: Floats
    """(n, H, 17)"""
    row: Ints
    """(n,)"""
    target: Ints
    """(n, H); −1 where there is none."""
    refused: int
    """Further windows that have too many rows without a smile."""


def draw(series: Series, args: DataArgs) -> Drawn:
    """The samples of a series, at most one a step, each with one known target at least."""
    origins = _strided(series.times_s, args.step_s)
    targets = _targets(series, origins, args)
    inputs: dict[int, tuple[Floats, Floats]] = {}
    refused = 0
    for place in np.flatnonzero((targets >= 0).any(axis=1)).tolist():
        rows = _window_rows(series, int(origins[place]), args)
        if rows is None:
            continue
        found = _inputs(series, rows, args)
        refused += found is None
        if found is not None:
            inputs[place] = found
    kept = np.array(list(inputs), dtype=np.int64)
    return _drawn(series, origins[kept], targets[kept], list(inputs.values()), refused, args)


def _window_rows(series: Series, row: int, args: DataArgs) -> NDArray[np.intp] | None:
    return window_indices(series.times_s[:row + 1], series.times_s[row], args.step_s, args.window,
                          TOLERANCE * args.step_s)


def _inputs(series: Series, rows: NDArray[np.intp],
            args: DataArgs) -> tuple[Floats, Floats] | None:
    """A window's columns and its filtered smile; None where too many smiles are missing."""
    window = series.window(rows)
    columns = window_input(window, args.filter_weight)
    if columns is None:
        return None
    return columns, filtered_smile(window.grid_vol, args.filter_weight)


def _drawn(series: Series, rows: Ints, targets: Ints, inputs: list[tuple[Floats, Floats]],
           refused: int, args: DataArgs) -> Drawn:
    points = series.grid_vol.shape[1]
    windows = np.array([columns for columns, _ in inputs])
    filtered = np.array([smile for _, smile in inputs]).reshape(-1, points)
    known = (targets >= 0)[:, :, None] & series.grid_observed[targets]  # (n, H, 17)
    change = np.where(known, series.grid_vol[targets] - filtered[:, None], np.nan)
    return Drawn(windows.reshape(-1, args.window, len(WINDOW_FEATURES)), filtered, change, rows,
                 targets, refused)


def _strided(times_s: Floats, step_s: float) -> Ints:
    """Places of the first row of each step on the epoch clock.

    So a feed of 2 s gives no near-copies, and the expiries and symbols of a feed share their
    instants whatever rows each of them lacks.
    """
    steps = [step_of(at, step_s) for at in times_s.tolist()]
    return np.unique(steps, return_index=True)[1].astype(np.int64)


def _first_smiles(series: Series) -> Ints:
    """Per row the place of the first smile from it on, T where there is none; (T + 1,)."""
    rows = len(series.times_s)
    known = np.isfinite(series.grid_vol).any(axis=1)
    places = np.append(np.where(known, np.arange(rows), rows), rows)
    return np.minimum.accumulate(places[::-1])[::-1]


def _targets(series: Series, origins: Ints, args: DataArgs) -> Ints:
    """Per origin and horizon, the first smile at or shortly after its end, or −1; (n, H)."""
    due = series.times_s[origins][:, None] + np.asarray(args.horizons_s, float)
    place = _first_smiles(series)[np.searchsorted(series.times_s, due - _SECOND)]
    ended = place == len(series.times_s)
    place = np.where(ended, origins[:, None], place)
    late = series.times_s[place] - due > TOLERANCE * args.step_s + _SECOND
    day = np.array([one.toordinal() for one in series.day], dtype=np.int64)
    another_day = day[place] != day[origins][:, None]
    return np.where(ended | late | another_day, -1, place)
