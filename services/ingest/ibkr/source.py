"""A TWS gateway as a source: connects, and connects again, for as long as it takes."""

import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from services.common import metrics
from services.common.errors import Unavailable
from services.common.messages import ChainSlice
from services.ingest.cadence import Patience
from services.ingest.ibkr.connection import Backoff, connected
from services.ingest.ibkr.session import Session
from services.ingest.settings import IngestSettings

STEADY_SECONDS = 60.0
log = structlog.stdlib.get_logger(__name__)


class TwsSource:
    """Samples the chain of one symbol through one gateway."""

    def __init__(self, setting: IngestSettings, patience: Patience) -> None:
        self._setting, self._patience = setting, patience
        self._backoff = Backoff()
        patience.wait_for("the gateway")

    async def instants(self) -> AsyncGenerator[list[ChainSlice], None]:
        """The chain at each multiple of the cadence while the feed is sound.

        Raises:
            UserMistake: the gateway knows no such symbol, or no options of it.
        """
        while not self._patience.stop:
            began = time.monotonic()
            try:
                async with aclosing(self._connection()) as instants:
                    async for slices in instants:
                        yield slices
            except (Unavailable, ConnectionError) as error:
                await self._wait(self._sentence(error), began)

    async def _connection(self) -> AsyncGenerator[list[ChainSlice], None]:
        """The instants of one connection."""
        setting = self._setting
        address = (setting.gateway_host, setting.gateway_port, setting.client_id)
        async with connected(*address) as ib:
            log.info("connected", gateway=f"{address[0]}:{address[1]}", client_id=address[2],
                     server_version=ib.client.serverVersion())
            self._patience.wait_for("")
            async with aclosing(Session(ib, setting, self._patience).samples()) as samples:
                async for slices in samples:
                    yield slices

    async def _wait(self, sentence: str, began: float) -> None:
        metrics.FEED_UP.labels(self._setting.symbol).set(0)
        metrics.MARKET_OPEN.labels(self._setting.symbol).set(math.nan)
        self._patience.wait_for(sentence)
        if time.monotonic() - began > STEADY_SECONDS:
            self._backoff.reset()
        seconds = self._backoff.next()
        log.warning("no feed", reason=sentence, next_try_in_s=seconds)
        await self._patience.sleep(seconds)

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, Unavailable):
            return str(error)
        return (f"{self._setting.gateway_host}:{self._setting.gateway_port}: the gateway closed "
                "the connection")
