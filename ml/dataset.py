"""From series of smiles to what a model learns from.

A sample is one expiry at one instant t: the window of rows up to t, the filtered smile at t, and
per horizon the change of the grid smile against it. Nothing later than t enters the window,
which never crosses a New York day or a gap. The target is what the monitor scores a live forecast
on: the first smile from the end of the horizon on; of another day or after a gap it is unknown.

A dataset is made day by day. What is large lies in mapped files, so that a history need not fit
in memory; a day must.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.args import DataArgs
from ml.errors import TrainingDataError
from ml.growing import SPILL_BYTES, Store
from ml.history import Series
from ml.sampling import draw
from ml.steps import TOLERANCE
from ml.types import Bools, Floats, Ints

Key = tuple[str, date]
"""Symbol and expiry."""
_CHUNK = 4096
_ROWS = ("at_s", "tau", "forward", "atm_vol", "grid_vol")
_QUOTES = ("log_moneyness", "mid_iv", "half_spread")


@dataclass(frozen=True, slots=True)
class Observations:
    """R rows, each an expiry at an instant: those that samples are made at or aimed at."""

    at_s: Floats
    """Epoch seconds, (R,)."""
    tau: Floats
    """(R,)"""
    forward: Floats
    """(R,)"""
    atm_vol: Floats
    """(R,)"""
    grid_vol: Floats
    """(R, 17)"""
    starts: Ints
    """Place of a row's first quote, and the number of quotes at the end; (R + 1,)."""
    log_moneyness: Floats
    """k = ln(K / the row's forward) of the accepted quotes of all rows, (Q,)."""
    mid_iv: Floats
    """(Q,)"""
    half_spread: Floats
    """Half of ask minus bid in volatility, (Q,)."""

    def __len__(self) -> int:
        return len(self.at_s)

    def quotes(self, row: int) -> tuple[Floats, Floats, Floats]:
        """Log-moneyness, mid volatility and half-spread (m,) of a row's accepted quotes."""
        own = slice(self.starts[row], self.starts[row + 1])
        return self.log_moneyness[own], self.mid_iv[own], self.half_spread[own]


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
    key: Ints
    """Place of symbol and expiry in `Dataset.keys`, (N,)."""
    row: Ints
    """Place of t in the observations, (N,)."""
    target: Ints
    """Place of the target in the observations, (N, H); −1 where there is none."""

    def __len__(self) -> int:
        return len(self.at_s)

    def take(self, chosen: Bools | Ints) -> "Samples":
        """The samples chosen by a mask or by places."""
        return Samples(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that a history gives to learn from and to be scored on."""

    samples: Samples
    observations: Observations
    keys: tuple[Key, ...]
    args: DataArgs

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any number, symbol or expiry in it."""
        digest = hashlib.sha256(repr(self.keys).encode())
        for part in (self.samples, self.observations):
            for field in fields(part):
                values = getattr(part, field.name)
                for start in range(0, len(values), _CHUNK):
                    digest.update(np.ascontiguousarray(values[start:start + _CHUNK]).data)
        return digest.hexdigest()[:16]


def make_dataset(days: Iterable[Sequence[Series]], args: DataArgs, folder: Path | None = None,
                 spill_bytes: int = SPILL_BYTES) -> Dataset:
    """All samples of a history, one per step and expiry at most, in time order.

    `days` are its days (or runs of them) in order, each with a series per expiry; one at a time
    is held. Beyond `spill_bytes` the arrays lie in files in `folder`, or in temporary ones.

    Raises:
        TrainingDataError: there are no samples, or most windows lack smiles.
        ValueError: the days are not in order.
    """
    drawing = _Drawing(args, Store(folder, spill_bytes))
    for day in days:
        drawing.add(day)
        del day  # before the next one is made
    return drawing.finish()


class _Drawing:
    """A dataset while it grows."""

    def __init__(self, args: DataArgs, store: Store) -> None:
        self._args, self._store = args, store
        self._keys: dict[Key, int] = {}
        self._rows, self._quotes, self._samples, self._refused = 0, 0, 0, 0
        self._last_s, self._spacing_s = -np.inf, np.inf

    def add(self, day: Sequence[Series]) -> None:
        """Take a day; its samples come after all before it."""
        drawn = [self._series(series) for series in day]
        samples = {name: np.concatenate([one[name] for one in drawn])
                   for name in (drawn[0] if drawn else ())}
        if not samples or not len(samples["at_s"]):
            return
        order = np.argsort(samples["at_s"], kind="stable")
        if samples["at_s"][order[0]] <= self._last_s:
            raise ValueError("the days of a history must come in order, each once")
        self._last_s = samples["at_s"][order[-1]]
        self._store.append({name: values[order] for name, values in samples.items()})
        self._samples += len(order)

    def _series(self, series: Series) -> dict[str, NDArray[Any]]:
        """The samples of a series, as columns; the rows they refer to go to the store."""
        drawn = draw(series, self._args)
        self._refused += drawn.refused
        if len(series.times_s) > 1:
            self._spacing_s = min(self._spacing_s, float(np.median(np.diff(series.times_s))))
        used = np.unique(np.append(drawn.row, drawn.target[drawn.target >= 0]))
        first = self._rows
        self._observe(series, used)
        key = self._key(series) if len(used) else -1
        target = first + np.searchsorted(used, drawn.target)
        return {
            "at_s": series.times_s[drawn.row], "windows": drawn.windows,
            "filtered": drawn.filtered, "change": drawn.change,
            "key": np.full(len(drawn.row), key, dtype=np.int64),
            "row": first + np.searchsorted(used, drawn.row),
            "target": np.where(drawn.target >= 0, target, -1)}

    def _key(self, series: Series) -> int:
        return self._keys.setdefault((series.symbol, series.expiry), len(self._keys))

    def _observe(self, series: Series, used: Ints) -> None:
        quotes = [series.quotes[row] for row in used.tolist()]
        counts = np.array([len(one.mid_iv) for one in quotes], dtype=np.int64)
        rows = {f"row_{name}": getattr(series, "times_s" if name == "at_s" else name)[used]
                for name in _ROWS}
        flat = {name: np.concatenate([np.empty(0), *(getattr(one, name) for one in quotes)])
                for name in _QUOTES}
        self._store.append({"ends": self._quotes + np.cumsum(counts), **rows, **flat})
        self._rows += len(used)
        self._quotes += int(counts.sum())

    def finish(self) -> Dataset:
        """The dataset; raises TrainingDataError where it would be none."""
        if self._refused > self._samples:
            raise TrainingDataError(
                f"{self._refused} of {self._refused + self._samples} windows have too many rows "
                "without a smile; `ml.quotes info` says what is in a file")
        if not self._samples:
            raise TrainingDataError(_too_little(self._args, self._spacing_s))
        made = self._store.finish()
        samples = Samples(*(made[field.name] for field in fields(Samples)))
        observations = Observations(
            **{name: made[f"row_{name}"] for name in _ROWS},
            starts=np.insert(made["ends"], 0, 0), **{name: made[name] for name in _QUOTES})
        return Dataset(samples, observations, tuple(self._keys), self._args)


def _too_little(args: DataArgs, spacing_s: float) -> str:
    text = (f"too little history: no expiry has {args.window} smiles {args.step_s:g} s apart "
            f"and another {min(args.horizons_s)} s later on the same day")
    coarse = args.step_s * (1.0 + TOLERANCE) < spacing_s < np.inf
    return f"{text}; its rows are {spacing_s:g} s apart; try --step {spacing_s:g}" if coarse \
        else text
