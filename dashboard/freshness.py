"""How old the data is, said so that it is true of live feeds and of replays."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

State = Literal["fresh", "late", "stale", "replay"]
FRESH_S, LATE_S = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Age:
    """Seconds since the newest data, None for a replay that has not moved since we look."""

    seconds: float | None
    state: State

    @property
    def text(self) -> str:
        """A few characters for a badge: `1.2 s`, `3 min`, `2 h`, `4 d`."""
        if self.seconds is None:
            return "replay"
        for limit, unit, size in ((99.5, "s", 1.0), (5970.0, "min", 60.0), (172_000.0, "h", 3600)):
            if self.seconds < limit:
                return f"{self.seconds / size:.{1 if size == 1.0 and self.seconds < 10 else 0}f} " \
                       f"{unit}"
        return f"{self.seconds / 86400:.0f} d"


class Freshness:
    """Remembers when each symbol's newest instant was first seen to change.

    A live sample is as old as the wall clock says. A recording, or a simulator with a clock of
    its own, runs in market time, where only "a new sample came n seconds ago" is true.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[datetime, float | None]] = {}

    def age(self, symbol: str, newest: datetime, source: str, now: datetime | None = None) -> Age:
        """The age of a symbol's newest data."""
        moved = self._moved(symbol, newest)
        wall = ((now or datetime.now(UTC)) - newest) / timedelta(seconds=1)
        if source in ("live", "delayed"):
            return _age(max(wall, 0.0))
        known = [seconds for seconds in (moved, wall if source == "simulated" else None)
                 if seconds is not None and seconds > -FRESH_S]
        return _age(max(min(known), 0.0)) if known else Age(None, "replay")

    def _moved(self, symbol: str, newest: datetime) -> float | None:
        """Seconds since this symbol's newest instant changed; None until it has."""
        before = self._seen.get(symbol)
        if before is None:
            self._seen[symbol] = (newest, None)
        elif before[0] != newest:
            self._seen[symbol] = (newest, self._clock())
        at = self._seen[symbol][1]
        return None if at is None else self._clock() - at


def _age(seconds: float) -> Age:
    if seconds < FRESH_S:
        return Age(seconds, "fresh")
    return Age(seconds, "late" if seconds < LATE_S else "stale")
