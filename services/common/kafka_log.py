"""A client's trouble with its connections: a line of our log now and then, not a stream."""

import time
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError

QUIET_SECONDS = 30.0
CRITICAL = 2
"""Its own level of logging, as syslog counts: what passes is told by `Trouble` instead."""
log = structlog.stdlib.get_logger(__name__)


class Trouble:
    """Called with each error of a client's connections: says the first, then one each 30 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until = -QUIET_SECONDS
        self._untold = 0

    def __call__(self, error: KafkaError) -> None:
        self._untold += 1
        if self._clock() < self._quiet_until:
            return
        log.warning("Kafka can't be reached, waiting for it", why=error.str(), errors=self._untold)
        self._quiet_until = self._clock() + QUIET_SECONDS
        self._untold = 0


def reported() -> dict[str, object]:
    """Settings of a client that speaks through our log."""
    return {"log_level": CRITICAL, "error_cb": Trouble()}
