"""A recording as a feed: real quotes, symbol, expiries and strikes, in the file's own time.

A contract shows its latest row at or before the market's time; after the file's end the last
quotes stand. A recording holds no vendor model, so its greeks are sentinels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ml import calendar
from ml.quotes.format import read_quotes
from ml.types import Floats
from services.simulator import listing
from services.simulator.errors import SimulatorError
from services.simulator.feed import (
    Batch,
    ModelGreeks,
    Option,
    OptionQuotes,
    StockQuotes,
    nowhere,
)
from services.simulator.paths import Steps

COLUMNS = ("bid", "bid_size", "ask", "ask_size", "volume", "open_interest")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one contract or of the underlying: times (m,) ascending, values (m, ...)."""

    times: Steps
    values: Floats

    def at(self, steps: Steps) -> Floats:
        """Values of the latest row at or before each step, NaN before the first."""
        place = np.searchsorted(self.times, steps, side="right") - 1
        return np.where((place >= 0)[..., None], self.values[np.maximum(place, 0)], np.nan)


class Recording:
    """A feed that plays a quotes file.

    Raises:
        QuotesFileError: if the file is not in the format.
        SimulatorError: if it holds no quotes.
    """

    def __init__(self, path: str | Path) -> None:
        frame = read_quotes(path)
        if frame.empty:
            raise SimulatorError(f"{path}: the recording holds no quotes")
        seconds = frame["ts"].to_numpy(dtype="datetime64[s]").astype(np.int64)
        self.symbols = tuple(str(symbol) for symbol in frame["symbol"].unique())
        self.first, self.last = float(seconds[0]), float(seconds[-1])
        self._stocks = {symbol: _stock_rows(frame, seconds, symbol) for symbol in self.symbols}
        self._options = _option_rows(frame, seconds)
        self._ladders = _ladders(self._options)
        self._settles = _settlement_instants(frame)

    def begins(self) -> float | None:
        return self.first

    def is_open(self, at: float) -> bool:
        return calendar.is_open(datetime.fromtimestamp(at, UTC))

    def sessions(self, days: Sequence[date]) -> list[tuple[date, str]]:
        return listing.hours(days, always_open=False)

    def expiries(self, symbol: str, at: float) -> list[date]:
        return [expiry for name, expiry in sorted(self._ladders)
                if name == symbol and self._settles[symbol, expiry] > at]

    def strikes(self, symbol: str, expiry: date, at: float) -> Sequence[float]:
        return self._ladders[symbol, expiry]

    def batch(self, options: Sequence[Option]) -> Batch:
        none = Rows(np.array([0], dtype=np.int64), nowhere((1, len(COLUMNS))))
        rows = [self._options.get(option, none) for option in options]
        settles = np.array([self._settles[option.symbol, option.expiry] for option in options])

        def no_greeks(steps: Steps) -> ModelGreeks:
            return ModelGreeks(*[nowhere((*steps.shape, len(options)))] * 7)

        return Batch(options, partial(_option_quotes, rows, settles), no_greeks)

    def stock(self, symbol: str, steps: Steps) -> StockQuotes:
        values = self._stocks[symbol].at(steps)
        unknown = nowhere(steps.shape)
        return StockQuotes(
            bid=values[..., 0], bid_size=unknown, ask=values[..., 1], ask_size=unknown,
            last=unknown, last_size=unknown, last_time=unknown, volume=unknown, close=unknown)


def _option_quotes(rows: Sequence[Rows], settles: Floats, steps: Steps) -> OptionQuotes:
    values = np.stack([own.at(steps) for own in rows], axis=-2)
    alive = settles > steps[..., None]
    bid, bid_size, ask, ask_size, volume, interest = np.moveaxis(values, -1, 0)
    unknown = nowhere(bid.shape)
    return OptionQuotes(
        bid=np.where(alive, bid, np.nan), bid_size=bid_size,
        ask=np.where(alive, ask, np.nan), ask_size=ask_size, last=unknown, last_size=unknown,
        last_time=unknown, volume=volume, open_interest=interest)


def _stock_rows(frame: pd.DataFrame, seconds: Steps, symbol: str) -> Rows:
    mine = np.flatnonzero((frame["symbol"] == symbol).to_numpy())
    times, first = np.unique(seconds[mine], return_index=True)
    sides = frame[["underlying_bid", "underlying_ask"]].to_numpy(dtype=np.float64)
    return Rows(times, sides[mine[first]])


def _option_rows(frame: pd.DataFrame, seconds: Steps) -> dict[Option, Rows]:
    values = frame.reindex(columns=list(COLUMNS)).to_numpy(dtype=np.float64)
    groups = frame.groupby(["symbol", "expiry", "strike", "right"], observed=True).indices
    return {Option(str(symbol), expiry, float(strike), right == "C"):
            Rows(seconds[rows], values[rows])
            for (symbol, expiry, strike, right), rows in groups.items()}


def _ladders(options: dict[Option, Rows]) -> dict[tuple[str, date], list[float]]:
    ladders: dict[tuple[str, date], set[float]] = {}
    for option in options:
        ladders.setdefault((option.symbol, option.expiry), set()).add(option.strike)
    return {key: sorted(strikes) for key, strikes in ladders.items()}


def _settlement_instants(frame: pd.DataFrame) -> dict[tuple[str, date], float]:
    kinds = frame.assign(settlement=frame.get("settlement", "PM"))[
        ["symbol", "expiry", "settlement"]].drop_duplicates()
    return {(str(row.symbol), row.expiry):
            calendar.expiry_instant(row.expiry, row.settlement).timestamp()
            for row in kinds.itertuples()}
