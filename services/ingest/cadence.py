"""Waiting: for the next multiple of the cadence, and never so long as to miss a stop."""

import asyncio
import math
import time

from services.common.health import Heartbeat
from services.common.lifecycle import Stop

LONGEST_SLEEP = 0.2


def next_multiple(now: float, step: float) -> float:
    """The first multiple of `step` after `now`; late turns skip multiples and do not drift.

    >>> next_multiple(10.1, 2.0), next_multiple(12.0, 2.0)
    (12.0, 14.0)
    """
    following = (math.floor(now / step) + 1) * step
    return following if following > now else following + step


class Patience:
    """Sleeps in short pieces, so that the loop beats and a signal is seen at once."""

    def __init__(self, stop: Stop, heartbeat: Heartbeat) -> None:
        self.stop, self._heartbeat = stop, heartbeat

    def wait_for(self, what: str) -> None:
        """Say what is lacking to work, where others ask; empty when nothing is."""
        self._heartbeat.waiting = what

    async def sleep(self, seconds: float) -> bool:
        """Wait `seconds`, or less when it is time to stop; True if it is."""
        return await self.sleep_until(time.time() + seconds)

    async def sleep_until(self, moment: float) -> bool:
        """Wait until the wall clock's `moment` (epoch seconds); True if it is time to stop."""
        while True:
            self._heartbeat.beat()
            left = moment - time.time()
            if self.stop or left <= 0:
                return bool(self.stop)
            await asyncio.sleep(min(left, LONGEST_SLEEP))
