"""What the predictor remembers of each smile: enough rows for one window, no more.

Samples of one smile, that of an expiry by one source, are kept oldest first over the last `span_s`
seconds. A row that does not follow on what is remembered (the first after a start or a gap, and one
read again) makes the history be loaded anew from `option_features`, up to that row; so what is
remembered before a row never depends on when the service started. A gap may be the feed's own, or
the rows may have gone to another replica meanwhile: the table tells, and is asked once. Within a
batch rows are neighbours on the topic, so that a gap there is the feed's own.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from ml.features import SmileWindow, window_indices
from ml.types import Floats
from services.common.messages import FeatureRow, Source
from services.predictor.sample import Sample, sample

Key = tuple[str, Source, date]
"""Symbol, source as `market` has it, and expiry."""
ROUNDING_S = 1e-6
"""Epoch seconds as floats are good to a quarter of a microsecond."""
GAP_SPACINGS, GAP_S = 2.0, 5.0
"""A gap is longer than so many spacings of the rows before it and than so many seconds …"""
GAP_STEPS = 1.5
"""… or, whatever the spacing, than so many steps of a window."""

Loader = Callable[[Mapping[Key, datetime], float], Mapping[Key, list[Sample]]]
"""The samples of each key in the given number of seconds before its instant, oldest first."""


def market(row: FeatureRow) -> Source:
    """Whose past a row belongs to: quotes of several sources are several markets.

    A live feed's delayed rows are the live one's; they have no smile.
    """
    return "live" if row.source == "delayed" else row.source


def _key(row: FeatureRow) -> Key:
    return row.symbol, market(row), row.expiry


@dataclass(slots=True)
class History:
    """Samples of one smile, oldest first."""

    span_s: float
    samples: deque[Sample]
    last_at: datetime
    """The newest row's instant, whether or not it had a smile."""
    spacing_s: float = math.inf
    """Of the newest two rows; infinite while there is one only."""
    _times: Floats | None = None
    """Epoch seconds of the samples, once asked for since the newest row."""

    @classmethod
    def before(cls, at: datetime, samples: Iterable[Sample], span_s: float) -> "History":
        """What was before the row at this instant, which comes next."""
        known = deque(samples)
        spacing_s = (known[-1].at - known[-2].at).total_seconds() if len(known) > 1 else math.inf
        return cls(span_s, known, at, spacing_s)

    def is_followed_by(self, at: datetime, step_s: float) -> bool:
        """Whether a row at this instant is the next one, for all that can be seen here."""
        gap_s = min(GAP_STEPS * step_s, max(GAP_S, GAP_SPACINGS * self.spacing_s))
        return 0.0 < (at - self.last_at).total_seconds() <= gap_s

    def add(self, at: datetime, sample: Sample | None) -> None:
        """Take the next row, and forget what no window needs any more.

        Of rows that are not older, as when one is read again, none may enter its window.
        """
        if at > self.last_at:
            self.spacing_s = (at - self.last_at).total_seconds()
        self.last_at, self._times = at, None
        while self.samples and self.samples[-1].at >= at:
            self.samples.pop()
        if sample is not None:
            self.samples.append(sample)
        while self.samples and (at - self.samples[0].at).total_seconds() > self.span_s:
            self.samples.popleft()

    def has_smile_now(self) -> bool:
        """Whether the newest row has a whole smile."""
        newest = self.samples[-1] if self.samples else None
        return newest is not None and newest.at == self.last_at and newest.has_smile

    def window(self, step_s: float, window: int) -> SmileWindow | None:
        """The last `window` samples at a distance of `step_s`; None where one is missing."""
        times = self._known_times()
        found = window_indices(times, times[-1], step_s, window, step_s / 2)
        return None if found is None else self._take([int(place) for place in found])

    def recent(self, step_s: float, window: int) -> Floats:
        """Grid smiles (window, 17) at those distances, newest last, NaN where one is missing."""
        times = self._known_times()
        lags = times[-1] - step_s * np.arange(window - 1, -1, -1.0)
        places = np.searchsorted(times, lags + ROUNDING_S, side="right") - 1
        missing = (places < 0) | (times[places] <= lags - step_s / 2)
        grids = np.array([self.samples[place].grid_vol for place in places.tolist()])
        grids[missing] = np.nan
        return grids

    def _known_times(self) -> Floats:
        if self._times is None:
            self._times = np.array([sample.at_s for sample in self.samples])
        return self._times

    def _take(self, places: list[int]) -> SmileWindow:
        taken = [self.samples[place] for place in places]
        return SmileWindow(
            at=[sample.at for sample in taken],
            tau=np.array([sample.tau for sample in taken]),
            underlying=np.array([sample.underlying for sample in taken]),
            forward=np.array([sample.forward for sample in taken]),
            atm_vol=np.array([sample.atm_vol for sample in taken]),
            grid_vol=np.array([sample.grid_vol for sample in taken]),
            features=np.array([sample.features for sample in taken]),
        )


class Histories:
    """The history of every smile that was seen lately."""

    def __init__(self, load: Loader, limit: int = 4096) -> None:
        self._load, self._limit = load, limit
        self._by_key: dict[Key, History] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def prepare(self, rows: Iterable[FeatureRow], step_s: float, window: int) -> None:
        """Load what these rows, taken in their order, don't follow on.

        Raises:
            Unavailable: the database does not answer.
        """
        span_s = step_s * (window + 0.5)
        strangers = self._strangers(rows, step_s, span_s)
        if not strangers:
            return
        loaded = self._load(strangers, span_s)
        for key, before in strangers.items():
            self._by_key[key] = History.before(before, loaded.get(key, ()), span_s)
        self._forget()

    def add(self, row: FeatureRow) -> History:
        """Take the next row of a prepared batch; its history ends with it."""
        history = self._by_key[_key(row)]
        history.add(row.ts, sample(row))
        return history

    def _strangers(self, rows: Iterable[FeatureRow], step_s: float,
                   span_s: float) -> dict[Key, datetime]:
        first: dict[Key, datetime] = {}
        for row in rows:
            first.setdefault(_key(row), row.ts)
        return {key: at for key, at in first.items()
                if not self._follows(key, at, step_s, span_s)}

    def _follows(self, key: Key, at: datetime, step_s: float, span_s: float) -> bool:
        history = self._by_key.get(key)
        return (history is not None and history.span_s == span_s
                and history.is_followed_by(at, step_s))

    def _forget(self) -> None:
        """Of too many keys, drop those whose last row is oldest."""
        if len(self._by_key) > self._limit:
            by_age = sorted(self._by_key, key=lambda key: self._by_key[key].last_at)
            for key in by_age[:len(self._by_key) - self._limit]:
                del self._by_key[key]
