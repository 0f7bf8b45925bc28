"""What is kept of forecasts that were judged: sums by instant and by cell, never single quotes.

A forecast is one expiry at one instant and horizon. Its loss is the mean over its quotes, so that
every forecast weighs the same however many quotes its target has. Memory grows with the instants
tested (a few hundred bytes each per horizon), not with expiries or quotes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml.contract import QUANTILES
from ml.types import Floats, Ints

MODEL = "model"
LOSSES = ("squared", "absolute", "qlike")
BAND = ("below_lower", "below_median", "below_upper", "pinball", "width",
        "adaptive_inside", "adaptive_pinball", "adaptive_width")
"""Means over a forecast's quotes; the `adaptive` ones are of the band with its live scale."""

MONEYNESS = ("z under −1.5", "z −1.5 to −0.5", "z −0.5 to 0.5", "z over 0.5")
Z_EDGES = (-1.5, -0.5, 0.5)
MATURITY = ("to 2 days", "2 to 9 days", "9 to 35 days", "35 to 100 days", "over 100 days")
DAY_EDGES = (2.0, 9.0, 35.0, 100.0)
TIME_OF_DAY = ("opening", "morning", "afternoon", "closing", "no session")
SESSION_EDGES = (0.15, 0.5, 0.85, 1.5)
"""Shares of the session that has passed; unknown ones sort last."""
ALL = len(MONEYNESS)
"""The place of all quotes together, after the moneyness buckets."""
_SHAPE = (ALL + 1, len(MATURITY), len(TIME_OF_DAY))
SPREAD_EDGES: Floats = np.exp(np.linspace(np.log(1e-5), 0.0, 1152))
"""Bins 1 % wide of half-spreads in volatility, 0.1 bp to 100 vol points."""


def columns(names: Sequence[str]) -> int:
    """How many numbers a forecast's losses are: each of `LOSSES` by name, then `BAND`."""
    return len(LOSSES) * len(names) + len(BAND)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where n forecasts belong."""

    fold: int
    horizon: int
    """Place among the horizons."""
    at_s: Floats
    """(n,)"""
    maturity: Ints
    """Place in `MATURITY`, (n,)."""
    session: Ints
    """Place in `TIME_OF_DAY`, (n,)."""


@dataclass(frozen=True, slots=True)
class Records:
    """Sums of forecasts' losses; C = `columns(names)`, I rows of fold, horizon and instant."""

    kind: str
    horizons_s: tuple[int, ...]
    step_s: float
    names: tuple[str, ...]
    """`MODEL` and the baselines."""
    fold: Ints
    """(I,)"""
    horizon: Ints
    """Place among the horizons, (I,)."""
    at_s: Floats
    """(I,)"""
    forecasts: Floats
    """How many there are of the instant, (I,)."""
    sums: Floats
    """(I, C)"""
    cell_forecasts: Floats
    """(H, moneyness and all, maturity, time of day)"""
    cell_quotes: Floats
    cell_sums: Floats
    """(…, C)"""
    cell_spreads: Ints
    """Quotes by bin of `SPREAD_EDGES`, (…, 1153)."""
    quantiles: tuple[float, ...] = QUANTILES
    """Lower end of the band, median, upper end."""

    def losses(self, name: str, loss: str) -> Floats:
        """One of `LOSSES` of one forecaster by instant, summed over its forecasts, (I,)."""
        return np.asarray(self.sums[:, self.column(name, loss)])

    def column(self, name: str, loss: str) -> int:
        """The place of a loss, or of a figure of the model's band, among the C."""
        if loss in BAND:
            return len(LOSSES) * len(self.names) + BAND.index(loss)
        return LOSSES.index(loss) * len(self.names) + self.names.index(name)


class Tally:
    """Adds up forecasts' losses, piece by piece."""

    def __init__(self, kind: str, horizons_s: Sequence[int], step_s: float,
                 names: Sequence[str], quantiles: Sequence[float] = QUANTILES) -> None:
        self._about = kind, tuple(horizons_s), step_s, tuple(names)
        self._quantiles = tuple(quantiles)
        shape, width = (len(horizons_s), *_SHAPE), columns(names)
        self._forecasts, self._quotes = np.zeros(shape), np.zeros(shape)
        self._sums = np.zeros((*shape, width))
        self._spreads = np.zeros((*shape, len(SPREAD_EDGES) + 1), np.int64)
        self._rows: list[Floats] = [np.zeros((0, 4 + width))]

    def add(self, buckets: Buckets, of: Ints, z: Floats, half_spread: Floats,
            values: Floats) -> None:
        """Losses (m, C) of m quotes; `of` (m,) is the place of a quote's forecast in `buckets`."""
        if not len(of):
            return
        self._rows.append(_by_instant(buckets, _means(of, values)))
        moneyness = np.searchsorted(Z_EDGES, z)
        cell = np.ravel_multi_index(
            (moneyness, buckets.maturity[of], buckets.session[of]), _SHAPE)
        whole = np.ravel_multi_index(
            (np.full(len(of), ALL), buckets.maturity[of], buckets.session[of]), _SHAPE)
        for chosen in (cell, whole):
            self._add_cells(buckets.horizon, chosen, of, half_spread, values)

    def _add_cells(self, horizon: int, cell: Ints, of: Ints, half_spread: Floats,
                   values: Floats) -> None:
        size = int(np.prod(_SHAPE))
        group, places = np.unique(of * size + cell, return_inverse=True)
        means = _means(places, values)
        self._forecasts[horizon].flat += np.bincount(group % size, minlength=size)
        self._quotes[horizon].flat += np.bincount(cell, minlength=size)
        np.add.at(self._sums[horizon].reshape(size, -1), group % size, means[1])
        known = np.isfinite(half_spread)
        bins = np.searchsorted(SPREAD_EDGES, half_spread[known])
        np.add.at(self._spreads[horizon].reshape(size, -1), (cell[known], bins), 1)

    def records(self) -> Records:
        """All that was added."""
        rows = np.concatenate(self._rows)
        group, places = np.unique(rows[:, :3], axis=0, return_inverse=True)
        sums = np.zeros((len(group), rows.shape[1] - 3))
        np.add.at(sums, places.ravel(), rows[:, 3:])
        return Records(*self._about, group[:, 0].astype(np.int64), group[:, 1].astype(np.int64),
                       group[:, 2], sums[:, 0], sums[:, 1:], self._forecasts, self._quotes,
                       self._sums, self._spreads, self._quantiles)


def _means(of: Ints, values: Floats) -> tuple[Ints, Floats]:
    """The groups that occur (n,), and each one's mean of `values` (m, C), (n, C)."""
    group, places, count = np.unique(of, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(places, column, len(group)) for column in values.T], axis=1)
    return group, sums / count[:, None]


def _by_instant(buckets: Buckets, means: tuple[Ints, Floats]) -> Floats:
    """Rows of fold, horizon, instant, forecasts and summed losses."""
    forecast, losses = means
    times, places, count = np.unique(buckets.at_s[forecast], return_inverse=True,
                                     return_counts=True)
    sums = np.zeros((len(times), losses.shape[1]))
    np.add.at(sums, places, losses)
    about = np.broadcast_to([buckets.fold, buckets.horizon], (len(times), 2))
    return np.column_stack([about, times, count, sums])


def averaged(records: Sequence[Records]) -> Records:
    """Records of the same forecasts by models of several seeds: what a seed loses on average."""
    return replace(records[0], sums=np.mean([one.sums for one in records], axis=0),
                   cell_sums=np.mean([one.cell_sums for one in records], axis=0))
