"""Whether the feed can be trusted: what the gateway says of its farms, and quote age."""

import math

from services.ingest.ibkr.codes import Meaning, meaning_of

FARM_GRACE_S = 5.0
"""With a farm broken, quotes that still change within this are believed."""
COMPETING_RETRY_S = 60.0
MARKET_DATA_FARM_FINE = 2104
REPAIRS = {2104: {2103, 2110}, 2106: {2105}}


class FeedHealth:
    """The state of the feed; times are seconds of one monotonic clock."""

    def __init__(self, stale_seconds: float) -> None:
        self._stale_seconds = stale_seconds
        self._lost = False
        self._broken: set[int] = set()
        self._competing_since: float | None = None
        self._renew = False
        self._renewed_at = -math.inf

    def on_code(self, code: int, now: float) -> None:
        """Take note of a message of the gateway."""
        meaning = meaning_of(code)
        if meaning is Meaning.LOST:
            self._lost = True
        elif meaning in (Meaning.RESTORED, Meaning.RESTORED_EMPTY):
            self._lost = False
            self._broken.clear()
            self._renew |= meaning is Meaning.RESTORED_EMPTY
        elif meaning is Meaning.FARM_BROKEN:
            self._broken.add(code)
        elif meaning is Meaning.FARM_FINE:
            self._mend(code)
        elif meaning is Meaning.COMPETING and self._competing_since is None:
            self._competing_since = now

    def _mend(self, code: int) -> None:
        mended = self._broken & REPAIRS[code]
        self._broken -= mended
        # A farm that came back has left subscriptions dead before, without a word.
        self._renew |= bool(mended) and code == MARKET_DATA_FARM_FINE

    def renew(self) -> None:
        """Have all subscriptions made anew at the next occasion."""
        self._renew = True

    def take_renewal(self, now: float, changed_at: float) -> bool:
        """True, once, when all subscriptions must be made anew."""
        if self._lost:
            return False
        competing = self._competing_since
        if competing is not None and now - competing > COMPETING_RETRY_S:
            self._competing_since, self._renew = None, True
        silent_since = max(changed_at, self._renewed_at)
        if not self._renew and now - silent_since <= self._stale_seconds:
            return False
        self._renew, self._renewed_at = False, now
        return True

    def problem(self, now: float, changed_at: float) -> str | None:
        """Why quotes must not be published as fresh, in a sentence; None if they may.

        Args:
            now: by the monotonic clock.
            changed_at: when any quote last changed, or the feed began, by the same.
        """
        age = now - changed_at
        if self._lost:
            return Meaning.LOST.value
        if self._competing_since is not None:
            return Meaning.COMPETING.value
        if self._renew:
            return "subscriptions are to be made anew"
        if self._broken and age > FARM_GRACE_S:
            codes = ", ".join(map(str, sorted(self._broken)))
            return f"{Meaning.FARM_BROKEN.value} ({codes}) and quotes stand still"
        if age > self._stale_seconds:
            return f"no quote has changed for {self._stale_seconds:g} s"
        return None
