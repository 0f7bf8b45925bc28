"""Market data lines: what is subscribed, changed by the difference only and not too fast."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import structlog
from ib_insync import IB, Contract, Ticker

from services.ingest.ibkr.codes import Meaning
from services.ingest.ibkr.selection import Line

REQUESTS_PER_SECOND = 30.0
BURST = 10.0
GENERIC_TICKS = "101"
"""Open interest; quotes, volume and the model's greeks come unasked."""
UNKNOWN = ("bid", "bidSize", "ask", "askSize", "last")
log = structlog.stdlib.get_logger(__name__)


class TokenBucket:
    """Lets `rate` requests a second pass, and `burst` at once after a rest."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, time.monotonic()

    async def take(self) -> None:
        """Wait for a token."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Subscriptions:
    """The lines of one connection.

    Args:
        limit: lines that may be held, the underlying's included.
        on_update: called with a ticker each time it has changed.
    """

    def __init__(self, ib: IB, limit: int, on_update: Callable[[Ticker], None]) -> None:
        self._ib, self._on_update = ib, on_update
        self._bucket = TokenBucket(REQUESTS_PER_SECOND, BURST)
        self._limit = limit
        self.tickers: dict[Line, Ticker] = {}
        self.underlying: Ticker | None = None
        self.refused: set[Line] = set()

    @property
    def budget(self) -> int:
        """Lines there are for options."""
        return self._limit - 1

    @property
    def held(self) -> int:
        """Lines in use."""
        return len(self.tickers) + (self.underlying is not None)

    async def watch_underlying(self, contract: Contract) -> Ticker:
        """Subscribe the underlying, first of all."""
        self.underlying = await self._subscribe(contract, "")
        return self.underlying

    async def apply(self, wanted: Sequence[Line], contracts: Mapping[Line, Contract]) -> None:
        """Hold exactly `wanted`, in this order of importance: cancel first, then subscribe."""
        for line in set(self.tickers) - set(wanted):
            await self._cancel(self.tickers.pop(line))
        for line in wanted:
            if line not in self.tickers and line not in self.refused and self.held < self._limit:
                self.tickers[line] = await self._subscribe(contracts[line], GENERIC_TICKS)

    async def renew(self) -> None:
        """Make every subscription anew; what was known of quotes is forgotten."""
        tickers = [] if self.underlying is None else [self.underlying]
        for ticker in [*tickers, *self.tickers.values()]:
            await self._cancel(ticker)
            for name in UNKNOWN:
                setattr(ticker, name, math.nan)
            generic_ticks = "" if ticker is self.underlying else GENERIC_TICKS
            await self._subscribe(_contract(ticker), generic_ticks)

    def holds(self, contract: Contract) -> bool:
        """Whether one of our lines, the underlying's too, is of this very object."""
        return any(ticker is not None and ticker.contract is contract
                   for ticker in (self.underlying, *self.tickers.values()))

    def drop(self, contract: Contract, meaning: Meaning) -> bool:
        """Take out an option whose subscription the gateway refused; False if it is none."""
        line = next((line for line, ticker in self.tickers.items()
                     if ticker.contract is contract), None)
        if line is None:
            return False
        self._ib.wrapper.endTicker(self._detach(self.tickers.pop(line)), "mktData")
        if meaning is Meaning.NO_LINE:
            self._limit = max(self.held, 2)
        else:
            self.refused.add(line)
        return True

    async def _subscribe(self, contract: Contract, generic_ticks: str) -> Ticker:
        await self._bucket.take()
        ticker = self._ib.reqMktData(contract, generic_ticks)
        self._detach(ticker).updateEvent += self._on_update
        return ticker

    async def _cancel(self, ticker: Ticker) -> None:
        await self._bucket.take()
        self._ib.cancelMktData(_contract(self._detach(ticker)))

    def _detach(self, ticker: Ticker) -> Ticker:
        ticker.updateEvent -= self._on_update
        return ticker


def _contract(ticker: Ticker) -> Contract:
    """The very object that the ticker was subscribed with."""
    return cast(Contract, ticker.contract)
