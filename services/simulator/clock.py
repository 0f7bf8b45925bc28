"""Market time: where a feed stands, at a chosen speed against the wall clock."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells market time in seconds since 1970, UTC."""

    def now(self) -> float:
        """The market's instant."""

    def start(self) -> None:
        """The first client is there."""


class MarketClock:
    """Runs from `begins` at `speed` market seconds per second once started.

    Without `begins` it is the wall clock, running from the outset at `speed`.
    """

    def __init__(self, begins: float | None, speed: float = 1.0,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._speed = speed
        self._begins = time.time() if begins is None else begins
        self._started = monotonic() if begins is None else None

    def start(self) -> None:
        if self._started is None:
            self._started = self._monotonic()

    def now(self) -> float:
        if self._started is None:
            return self._begins
        return self._begins + (self._monotonic() - self._started) * self._speed
