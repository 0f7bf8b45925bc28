"""A quotes file as a source: every quote once, at its own time, at a chosen speed."""

import itertools
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ml.errors import QuotesFileError
from ml.quotes.format import chain_bounds
from ml.quotes.stream import iter_instants
from services.common.messages import ChainSlice, Column
from services.ingest.cadence import Patience

LONGEST_GAP = 300.0
"""Market seconds: a longer gap, such as a night, is played as one of this length."""
MOST_QUOTES = 8000
"""Of one expiry at one instant: 110 bytes each keep a message under 900 kB."""


class RecordingSource:
    """Plays a quotes file of any symbols once."""

    def __init__(self, path: str | Path, speed: float, patience: Patience) -> None:
        self._path, self._patience = Path(path), patience
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
            yield chain_slices(frame, str(self._path))


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


def chain_slices(frame: pd.DataFrame, source: str) -> list[ChainSlice]:
    """The messages of one instant: one per symbol and expiry.

    Raises:
        QuotesFileError: more quotes in one chain than a message holds.
    """
    bounds = chain_bounds(frame)
    chains = [frame.iloc[first:last] for first, last in itertools.pairwise(bounds)]
    symbols = [str(chain["symbol"].iat[0]) for chain in chains]
    return [_chain_slice(chain, symbols[:at].count(symbols[at]) + 1, symbols.count(symbols[at]),
                         source) for at, chain in enumerate(chains)]


def _chain_slice(chain: pd.DataFrame, place: int, places: int, source: str) -> ChainSlice:
    first = chain.iloc[0]
    if len(chain) > MOST_QUOTES:
        raise QuotesFileError(f"{source}: {first['symbol']} {first['expiry']} has {len(chain)} "
                              f"quotes at {first['ts'].isoformat()}, more than {MOST_QUOTES}")
    at: datetime = first["ts"].to_pydatetime()
    numbers: dict[str, Any] = {name: _column(chain, name) for name in (
        "bid", "ask", "bid_size", "ask_size", "volume", "open_interest")}
    empty: Column = [None] * len(chain)
    return ChainSlice(
        symbol=first["symbol"], expiry=first["expiry"], settlement=first.get("settlement", "PM"),
        sampled_at=at, slice=place, slices=places, source="recorded",
        underlying_bid=_column(chain, "underlying_bid")[0],
        underlying_ask=_column(chain, "underlying_ask")[0], underlying_time=at,
        strike=chain["strike"].tolist(), right=chain["right"].tolist(), last=empty,
        quote_time=[at] * len(chain), vendor_iv=empty, **numbers)


def _column(chain: pd.DataFrame, name: str) -> Column:
    if name not in chain:
        return [None] * len(chain)
    return [None if value != value else value for value in chain[name].tolist()]
