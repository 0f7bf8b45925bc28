"""A quotes file as a source: every quote once, at its own time, at a chosen speed."""

import itertools
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ml.errors import QuotesFileError
from ml.quotes.format import COLUMNS, chain_bounds
from ml.quotes.stream import iter_instants
from services.common.messages import ChainSlice, Column, Source
from services.ingest.cadence import Patience

LONGEST_GAP = 300.0
"""Market seconds: a longer gap, such as a night, is played as one of this length."""
MOST_QUOTES = 8000
"""Of one expiry at one instant: 110 bytes each keep a message under 900 kB."""


class RecordingSource:
    """Plays a quotes file of any symbols once."""

    def __init__(self, path: str | Path, speed: float, label: Source,
                 patience: Patience) -> None:
        self._path, self._label, self._patience = Path(path), label, patience
        self._pace = Pace(speed)

    async def instants(self) -> AsyncGenerator[list[ChainSlice], None]:
        """The chains of each `ts`.

        Raises:
            QuotesFileError: the file is not a recording, or something in it is wrong.
        """
        for frame in iter_instants(self._path):
            moment = self._pace.moment(frame["ts"].iat[0].timestamp(), time.time())
            if await self._patience.sleep_until(moment):
                return
            yield chain_slices(frame, str(self._path), self._label)


class Pace:
    """When each market instant is played, by the wall clock."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._market: float | None = None
        self._wall = 0.0

    def moment(self, market: float, now: float) -> float:
        """The wall time of a market instant, both in epoch seconds."""
        if self._speed == 0:
            return now
        if self._market is None:
            self._wall = now
        else:
            self._wall += min(market - self._market, LONGEST_GAP) / self._speed
        self._market = market
        return self._wall


def chain_slices(frame: pd.DataFrame, path: str, label: Source) -> list[ChainSlice]:
    """The messages of one instant: one per symbol and expiry, saying `label` of their source.

    Raises:
        QuotesFileError: more quotes in one chain than a message holds.
    """
    if "quote_time" not in frame:
        frame = frame.assign(quote_time=frame["ts"])
    columns = {name: _values(frame, name) for name in COLUMNS if name != "ts"}
    chains = [{name: values[first:last] for name, values in columns.items()}
              for first, last in itertools.pairwise(chain_bounds(frame))]
    symbols = [chain["symbol"][0] for chain in chains]
    at: datetime = frame["ts"].iat[0].to_pydatetime()
    places = [symbols[:place].count(symbol) + 1 for place, symbol in enumerate(symbols)]
    facts = {"sampled_at": at, "underlying_time": at, "source": label}
    return [_chain_slice(chain, path, facts | {
                "slice": place, "slices": symbols.count(chain["symbol"][0])})
            for chain, place in zip(chains, places, strict=True)]


def _chain_slice(chain: dict[str, list[Any]], path: str, facts: dict[str, Any]) -> ChainSlice:
    at: datetime = facts["sampled_at"]
    symbol, expiry, rows = chain["symbol"][0], chain["expiry"][0], len(chain["strike"])
    if rows > MOST_QUOTES:
        raise QuotesFileError(f"{path}: {symbol} {expiry} has {rows} quotes at "
                              f"{at.isoformat()}, more than {MOST_QUOTES}")
    empty: Column = [None] * rows
    return ChainSlice(
        symbol=symbol, expiry=expiry, settlement=chain["settlement"][0] or "PM",
        underlying_bid=chain["underlying_bid"][0], underlying_ask=chain["underlying_ask"][0],
        strike=chain["strike"], right=chain["right"], bid=chain["bid"], ask=chain["ask"],
        bid_size=chain["bid_size"], ask_size=chain["ask_size"], last=empty,
        volume=chain["volume"], open_interest=chain["open_interest"],
        quote_time=chain["quote_time"], vendor_iv=empty, **facts)


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values, missing as None."""
    if name not in frame:
        return [None] * len(frame)
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = list(column.cat.categories)
        return [categories[code] for code in column.cat.codes.tolist()]
    return [None if value != value else value for value in _plain(column)]


def _plain(column: pd.Series) -> list[Any]:
    is_time = isinstance(column.dtype, pd.DatetimeTZDtype)
    return list(column.dt.to_pydatetime() if is_time else column.tolist())
