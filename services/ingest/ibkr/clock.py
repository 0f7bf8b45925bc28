"""Whose time a sample has: ours, or that of a gateway that plays a recording."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

from ib_insync import IB

from services.common.errors import Unavailable

ANSWER_SECONDS = 10.0


class MarketClock(Protocol):
    """Market time by wall time (epoch seconds)."""

    async def read(self, tick: float) -> datetime:
        """The market's instant at the wall's `tick`, which is now."""
        ...

    def at(self, wall: float) -> datetime:
        """The market's time at a wall time not after the last `read`."""
        ...


class WallClock:
    """Market time is wall time."""

    async def read(self, tick: float) -> datetime:
        return _utc(tick)

    def at(self, wall: float) -> datetime:
        return _utc(wall)


class GatewayClock:
    """Market time is what the gateway says; between two answers it is interpolated."""

    def __init__(self, ib: IB) -> None:
        self._ib = ib
        self._before = self._now = (0.0, 0.0)

    async def read(self, tick: float) -> datetime:
        try:
            answer = await asyncio.wait_for(self._ib.reqCurrentTimeAsync(), ANSWER_SECONDS)
        except TimeoutError as error:
            raise Unavailable(f"the gateway did not tell its time in {ANSWER_SECONDS:g} s"
                              ) from error
        self._before, self._now = self._now, (time.time(), answer.timestamp())
        return answer

    def at(self, wall: float) -> datetime:
        (wall_0, market_0), (wall_1, market_1) = self._before, self._now
        if wall_0 == 0.0 or wall_1 <= wall_0:
            return _utc(market_1)
        share = min(max((wall - wall_0) / (wall_1 - wall_0), 0.0), 1.0)
        return _utc(market_0 + share * (market_1 - market_0))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 6), UTC)
