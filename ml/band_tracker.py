"""The bands of one symbol over time: which forecasts are judged, when, and the scale that follows.

The predictor keeps one per symbol, `ml.recompute` replays one. What it says is a function of the
forecasts and feature rows up to now, whatever batches they came in; see `ml.bands`.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from ml.bands import LEVEL, BandScale, Quoted, missed_share, rate
from ml.steps import TOLERANCE, step_of
from ml.types import Floats

Line = tuple[bool, int]
"""Whether it is the shadow's, and the horizon in seconds. Champion and baselines share a line."""
Edge = Floats | Sequence[float | None]
MEMORY = timedelta(seconds=300)
"""A line that made no forecast for so long and its longest horizon, while others did, begins
anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A forecast as it was issued; smile and band are (17,), None or NaN where there is none."""

    line: Line
    expiry: date
    made_at: datetime
    target_at: datetime
    smile: Edge
    lower: Edge
    upper: Edge

    def has_band(self) -> bool:
        """Whether there is anything to judge."""
        return bool(np.isfinite(_floats(self.lower)).any())

    def missed(self, seen: Quoted) -> float:
        """Share of the mids outside its band, NaN where there is nothing to judge."""
        return missed_share(_floats(self.smile), _floats(self.lower), _floats(self.upper), seen)


@dataclass(frozen=True, slots=True)
class LastScale:
    """The scale of a line's last forecast, and when that was made."""

    made_at: datetime
    scale: float


class BandTracker:
    """Holds the forecasts that wait to be judged, and each line's scale."""

    def __init__(self, step_s: float, horizons_s: Sequence[int], level: float = LEVEL) -> None:
        self.step_s, self.horizons_s, self.level = step_s, tuple(horizons_s), level
        self._tolerance = timedelta(seconds=TOLERANCE * step_s)
        self._memory = MEMORY + timedelta(seconds=max(self.horizons_s))
        self._scales: dict[Line, BandScale] = {}
        self._used_at: dict[Line, datetime] = {}
        self._waiting: defaultdict[date, list[Standing]] = defaultdict(list)
        self._judged_at: dict[date, datetime] = {}
        self._newest: datetime | None = None

    def begin(self, last: dict[Line, LastScale]) -> None:
        """Go on from the last scale of each line."""
        for line, one in last.items():
            self._used(line, one.made_at)
            self._scales[line] = BandScale(rate(line[1], self.step_s), self.level, one.scale,
                                           self._step(one.made_at))

    def scales(self, at: datetime, shadow: bool = False) -> Floats:
        """The scale of bands issued now, by horizon, (H,)."""
        step = self._step(at)
        return np.array([self._scale((shadow, horizon_s)).at(step)
                         for horizon_s in self.horizons_s])

    def observe(self, expiry: date, at: datetime, seen: Quoted | None) -> None:
        """Judge the forecasts whose time has come by a feature row; None where it has no smile."""
        if (waiting := self._waiting.get(expiry)) is None:
            return
        left = [one for one in waiting if not self._settle(one, at, seen)]
        if left:
            self._waiting[expiry] = left
        else:
            del self._waiting[expiry]

    def issued(self, made: Iterable[Standing]) -> None:
        """Take the forecasts of one row; those of an expiry's first in a step will be judged.

        Those of the same row read again stand in place of the ones before.
        """
        forecasts = list(made)
        for one in forecasts:
            self._used(one.line, one.made_at)
        if not forecasts:
            return
        expiry, at = forecasts[0].expiry, forecasts[0].made_at
        first = self._judged_at.get(expiry)
        if first is None or first == at or self._step(first) != self._step(at):
            self._judged_at[expiry] = at
            others = [one for one in self._waiting[expiry] if one.made_at != at]
            self._waiting[expiry] = others + [one for one in forecasts if one.has_band()]

    def judge(self, one: Standing, at: datetime, seen: Quoted) -> None:
        """Let a forecast's line learn from what was observed at this instant."""
        missed = one.missed(seen)
        if math.isfinite(missed):
            self._scale(one.line).observe(self._step(at), missed)

    def _settle(self, one: Standing, at: datetime, seen: Quoted | None) -> bool:
        """Whether a forecast is judged or can't be any more."""
        if at < one.target_at:
            return False
        late = at > one.target_at + self._tolerance
        if seen is not None and not late:
            self.judge(one, at, seen)
        return late or seen is not None

    def _used(self, line: Line, at: datetime) -> None:
        self._used_at[line] = max(at, self._used_at.get(line, at))
        self._newest = at if self._newest is None else max(at, self._newest)

    def _scale(self, line: Line) -> BandScale:
        used = self._used_at.get(line)
        if used is not None and self._newest is not None and self._newest - used > self._memory:
            self._scales.pop(line, None)
            del self._used_at[line]
        if line not in self._scales:
            self._scales[line] = BandScale(rate(line[1], self.step_s), self.level)
        return self._scales[line]

    def _step(self, at: datetime) -> int:
        return step_of(at.timestamp(), self.step_s)


def _floats(column: Edge) -> Floats:
    return np.array(column, dtype=np.float64)
