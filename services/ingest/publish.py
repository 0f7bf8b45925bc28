"""Sampled instants to `option-chain`, each acknowledged before the next."""

import asyncio

from services.common import metrics
from services.common.messages import OPTION_CHAIN, ChainSlice
from services.common.produce import Producer


class Publisher:
    """Counts what it has published; waits for the brokers, so that no buffer grows."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.instants = self.messages = self.quotes = 0

    async def publish(self, slices: list[ChainSlice]) -> None:
        """Send the slices of one instant; returns when all are acknowledged.

        Raises:
            Unavailable: the brokers did not acknowledge them in time.
        """
        with metrics.SAMPLE_SECONDS.time():
            for part in slices:
                self._producer.send(OPTION_CHAIN, part)
            # In a thread, so that quotes are still received meanwhile.
            await asyncio.to_thread(self._producer.flush)
        self.instants += 1
        self.messages += len(slices)
        self.quotes += sum(len(part.strike) for part in slices)
        for symbol in {part.symbol for part in slices}:
            metrics.SAMPLES.labels(symbol).inc()
