"""The gateway's limits on a client."""

import time
from collections.abc import Callable

MAX_REQUESTS, WINDOW_S, STRIKES = 50, 1.0, 3


class RateLimit:
    """At most 50 messages at once, and 50 a second from then on.

    A bucket rather than a window: a client that throttles itself below the rate is never struck
    because its messages were read late. A second with any message too many is one strike, and
    the third strike is out.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic,
                 most: int = MAX_REQUESTS) -> None:
        self._monotonic, self._most = monotonic, float(most)
        self._left, self._counted_at = self._most, monotonic()
        self._struck_at = float("-inf")
        self.strikes = 0

    def admit(self) -> bool:
        """Count one message; False if it is beyond the limit and to be dropped."""
        now = self._monotonic()
        refill = (now - self._counted_at) / WINDOW_S * self._most
        self._left, self._counted_at = min(self._left + refill, self._most), now
        if self._left >= 1.0:
            self._left -= 1.0
            return True
        if now - self._struck_at >= WINDOW_S:
            self._struck_at = now
            self.strikes += 1
        return False

    @property
    def out(self) -> bool:
        """Whether the session ends."""
        return self.strikes >= STRIKES
