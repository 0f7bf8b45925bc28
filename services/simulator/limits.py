"""The gateway's limits on a client."""

import time
from collections import deque
from collections.abc import Callable

MAX_REQUESTS, WINDOW_S, STRIKES = 50, 1.0, 3


class RateLimit:
    """At most 50 messages in any second; a second with more is one strike, the third is out."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic,
                 most: int = MAX_REQUESTS) -> None:
        self._monotonic, self._most = monotonic, most
        self._times: deque[float] = deque()
        self._struck_at = float("-inf")
        self.strikes = 0

    def admit(self) -> bool:
        """Count one message; False if it is beyond the limit and to be dropped."""
        now = self._monotonic()
        while self._times and now - self._times[0] >= WINDOW_S:
            self._times.popleft()
        if len(self._times) < self._most:
            self._times.append(now)
            return True
        if now - self._struck_at >= WINDOW_S:
            self._struck_at = now
            self.strikes += 1
        return False

    @property
    def out(self) -> bool:
        """Whether the session ends."""
        return self.strikes >= STRIKES
