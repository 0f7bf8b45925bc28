"""Sampled instants to `option-chain`, each acknowledged before the next."""

import asyncio

import structlog

from services.common import metrics
from services.common.messages import OPTION_CHAIN, ChainSlice
from services.common.produce import NotYet, Producer
from services.ingest.cadence import Patience

FLUSH_SECONDS = 10.0
log = structlog.stdlib.get_logger(__name__)


class Publisher:
    """Counts what it has published; waits for the brokers, so that no buffer grows."""

    def __init__(self, producer: Producer, patience: Patience) -> None:
        self._producer, self._patience = producer, patience
        self._waited = False
        self.instants = self.messages = self.quotes = 0

    async def publish(self, slices: list[ChainSlice]) -> None:
        """Send the slices of one instant; returns when all are acknowledged, or at a stop.

        Raises:
            Unavailable: the brokers refused them, or did not take them in minutes.
        """
        with metrics.SAMPLE_SECONDS.time():
            for part in slices:
                self._producer.send(OPTION_CHAIN, part)
            while not await self._acknowledged():
                pass
        self.instants += 1
        self.messages += len(slices)
        self.quotes += sum(len(part.strike) for part in slices)
        for symbol in {part.symbol for part in slices}:
            metrics.SAMPLES.labels(symbol).inc()

    async def _acknowledged(self) -> bool:
        """True once nothing is waited for, or it is time to stop; says what it waits for."""
        try:
            # In a thread, so that quotes are still received meanwhile.
            await asyncio.to_thread(self._producer.flush, FLUSH_SECONDS)
        except NotYet as error:
            log.warning("waiting for Kafka", why=str(error))
            self._patience.wait_for(str(error))
            self._waited = True
            return await self._patience.sleep(0)
        if self._waited:
            self._patience.wait_for("")
            self._waited = False
        return True
