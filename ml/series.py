"""Smiles of the past as one series per expiry, and the rows these are made of.

Instants at which no smile could be made are rows too, of NaN: training sees what streaming sees.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from ml.calendar import session_day
from ml.errors import TrainingDataError
from ml.features import SmileWindow
from ml.types import Bools, Floats

Advance = Callable[[int, int], None]
"""Called with quotes or rows done, and those in all."""
ONE_DAY = ("the history holds one day only, so that no model can be judged on a day it has not "
           "seen; give more days, or --within-day to split this one by time")
NO_SMILE = "the history holds no smile: no expiry has enough good quotes at any instant"


@dataclass(frozen=True, slots=True)
class Observed:
    """The accepted quotes of one smile; arrays have shape (m,)."""

    log_moneyness: Floats
    mid_iv: Floats
    half_spread: Floats
    """Half of ask minus bid, in volatility."""


@dataclass(frozen=True, slots=True)
class Row:
    """One expiry at one instant; NaN where no smile could be made."""

    symbol: str
    expiry: date
    at: datetime
    tau: float
    underlying: float
    forward: float
    atm_vol: float
    grid_vol: Floats
    grid_observed: Bools
    features: Floats
    quotes: Observed


@dataclass(frozen=True, slots=True)
class Series:
    """The smiles of one expiry in time order; T of them."""

    symbol: str
    expiry: date
    at: list[datetime]
    times_s: Floats
    """Epoch seconds of `at`, (T,)."""
    day: list[date]
    """New York date of each row."""
    tau: Floats
    underlying: Floats
    forward: Floats
    atm_vol: Floats
    grid_vol: Floats
    """(T, 17)"""
    grid_observed: Bools
    """(T, 17)"""
    features: Floats
    """(T, n) of `ml.features.INSTANT_FEATURES`."""
    quotes: list[Observed]

    def window(self, rows: NDArray[np.intp]) -> SmileWindow:
        """The rows at these places, ascending, as a model's window."""
        return SmileWindow(
            at=[self.at[row] for row in rows], tau=self.tau[rows],
            underlying=self.underlying[rows], forward=self.forward[rows],
            atm_vol=self.atm_vol[rows], grid_vol=self.grid_vol[rows],
            features=self.features[rows])

    def has_smile(self) -> bool:
        """Whether any row has one."""
        return bool(np.isfinite(self.atm_vol).any())


def in_series(rows: Iterable[Row]) -> list[Series]:
    """The rows by symbol and expiry, each in time order and once per instant: the last given."""
    groups: dict[tuple[str, date], dict[datetime, Row]] = defaultdict(dict)
    for row in rows:
        groups[row.symbol, row.expiry][row.at] = row
    return [_series([group[at] for at in sorted(group)]) for _, group in sorted(groups.items())]


def _series(rows: list[Row]) -> Series:
    def column(name: str) -> NDArray[np.float64]:
        return np.array([getattr(row, name) for row in rows])

    at = [row.at for row in rows]
    return Series(
        symbol=rows[0].symbol, expiry=rows[0].expiry, at=at,
        times_s=np.array([moment.timestamp() for moment in at]),
        day=[session_day(moment) for moment in at], tau=column("tau"),
        underlying=column("underlying"), forward=column("forward"), atm_vol=column("atm_vol"),
        grid_vol=column("grid_vol"), grid_observed=np.array([row.grid_observed for row in rows]),
        features=column("features"), quotes=[row.quotes for row in rows])


def with_smiles(days: Iterable[list[Series]]) -> Iterator[list[Series]]:
    """The days as they are, and at the end a refusal if none had a smile."""
    found = False
    for day in days:
        found = found or any(series.has_smile() for series in day)
        yield day
        del day  # before the next one is made
    if not found:
        raise TrainingDataError(NO_SMILE)
