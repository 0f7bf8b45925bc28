"""One connection's work: sample the local state at the cadence while the feed is sound."""

import time
from collections.abc import AsyncGenerator
from datetime import datetime

import structlog
from ib_insync import IB, Contract

from services.common import metrics
from services.common.errors import Unavailable
from services.common.messages import ChainSlice
from services.ingest.cadence import Patience, next_multiple
from services.ingest.ibkr.clock import GatewayClock, MarketClock, WallClock
from services.ingest.ibkr.codes import CONTRACT_DEAD, Meaning, meaning_of
from services.ingest.ibkr.health import FeedHealth
from services.ingest.ibkr.market import Market, Watched
from services.ingest.ibkr.sampler import ChangeTimes, median_age_s, sample
from services.ingest.ibkr.subscriptions import Subscriptions
from services.ingest.settings import IngestSettings

LIVE, DELAYED = 1, 3
"""Market data types: delayed is asked for only once live is refused."""
SILENT = {Meaning.NOISE, Meaning.FARM_FINE}
log = structlog.stdlib.get_logger(__name__)


class Session:
    """The state of one connection; a new connection needs a new one."""

    def __init__(self, ib: IB, setting: IngestSettings, patience: Patience) -> None:
        self._ib, self._setting, self._patience = ib, setting, patience
        self._clock: MarketClock = GatewayClock(ib) if setting.clock == "gateway" else WallClock()
        self._changes = ChangeTimes()
        self._health = FeedHealth(setting.stale_seconds)
        self._lines = Subscriptions(ib, setting.lines, self._changes.on_update)
        self._market = Market(ib, setting.symbol, setting.expiries, self._lines)
        self._said: str | None = None
        self._last: datetime | None = None
        self._fatal: str | None = None
        self._codes: set[int] = set()
        self._type = LIVE

    async def samples(self) -> AsyncGenerator[list[ChainSlice], None]:
        """The chain at each multiple of the cadence, until the stop.

        Raises:
            Unavailable, ConnectionError: the connection is of no more use.
            UserMistake: the symbol or its options do not exist.
        """
        self._ib.errorEvent += self._on_error
        self._ib.reqMarketDataType(LIVE)
        await self._keep_up(await self._clock.read(time.time()))
        while True:
            tick = next_multiple(time.time(), self._setting.sample_seconds)
            if await self._patience.sleep_until(tick):
                return
            self._check_connection()
            at = await self._clock.read(tick)
            if slices := self._sample(at):
                yield slices
            # After the sample, for it may take seconds.
            await self._keep_up(at)

    def _check_connection(self) -> None:
        if not self._ib.isConnected():
            raise ConnectionError
        if self._fatal is not None:
            raise Unavailable(self._fatal)

    def _sample(self, at: datetime) -> list[ChainSlice]:
        """The chain at this instant; empty when there is nothing fresh to say."""
        watched = self._market.watched
        if at == self._last or watched is None:
            return []
        self._last = at
        reason = self._hindrance(watched, at)
        self._say(reason)
        if reason is not None:
            return []
        self._changes.settle(self._clock.at, at)
        slices = sample(self._setting.symbol, at, self._setting.label, watched.ticker,
                        self._lines.tickers, self._changes)
        metrics.QUOTE_AGE_SECONDS.labels(self._setting.symbol).set(median_age_s(slices))
        metrics.SUBSCRIPTIONS.labels(self._setting.symbol).set(self._lines.held)
        return slices

    def _hindrance(self, watched: Watched, at: datetime) -> str | None:
        """Why not to publish at this instant, if there is a reason."""
        is_open = watched.hours.is_open(at)
        metrics.MARKET_OPEN.labels(self._setting.symbol).set(is_open)
        if not is_open:
            self._changes.restart()
            return f"market closed until {watched.hours.next_open(at) or 'a day not yet listed'}"
        reason = self._health.problem(time.monotonic(), self._changes.latest)
        metrics.FEED_UP.labels(self._setting.symbol).set(reason is None)
        if reason is None and not self._lines.tickers:
            return f"no price of {self._setting.symbol} yet"
        return reason

    async def _keep_up(self, at: datetime) -> None:
        """Keep expiries, contracts and subscriptions as they should be now."""
        watched = await self._market.follow(at)
        if watched.hours.is_open(at):
            await self._renew_if_due()
            await self._market.recentre(at, watched)

    async def _renew_if_due(self) -> None:
        if self._health.take_renewal(time.monotonic(), self._changes.latest):
            log.info("subscribing anew", lines=self._lines.held)
            self._changes.forget()
            await self._lines.renew()

    def _say(self, reason: str | None) -> None:
        """Log only when it changes whether we publish, or why not."""
        if reason == self._said:
            return
        if reason is None:
            log.info("publishing", symbol=self._setting.symbol)
        else:
            log.warning("not publishing", symbol=self._setting.symbol, reason=reason)
        self._said = reason

    def _on_error(self, request: int, code: int, text: str, contract: Contract | None) -> None:
        """A message of the gateway: count it, and do what its code means."""
        metrics.GATEWAY_ERRORS.labels(str(code)).inc()
        meaning = meaning_of(code)
        self._health.on_code(code, time.monotonic())
        if meaning is Meaning.PORT_RESET:
            self._fatal = meaning.value
        ours = meaning not in CONTRACT_DEAD or self._drop(contract, meaning, code)
        if ours and code not in self._codes and meaning not in SILENT:
            self._codes.add(code)
            log.warning("the gateway says", code=code, text=text, meaning=meaning.value)

    def _drop(self, contract: Contract | None, meaning: Meaning, code: int) -> bool:
        """Do without a contract that is refused; False if it was not one of our lines."""
        if contract is None or not self._lines.holds(contract):
            return False
        if meaning is Meaning.NOT_ENTITLED and self._type == LIVE:
            self._type = DELAYED
            self._ib.reqMarketDataType(DELAYED)
            self._health.renew()
        elif not self._lines.drop(contract, meaning):
            self._fatal = f"{self._setting.symbol}: {meaning.value} (error {code})"
        return True
