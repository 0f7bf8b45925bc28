"""The one Kafka consume loop: read a batch, step over it, flush, then store its offsets.

A message that can't be read goes to the dead-letter topic and the loop goes on. When something
a step needs is unavailable, the partitions are paused and the same batch is tried again with
growing pauses, while the loop keeps polling so as not to lose its place in the group. Any other
error ends the loop: offsets not stored are read again by the next run, so a step must be
idempotent.

Where messages belong together, the stage says of which groups the rest is still `awaited`. Those
are held back while all others are handled at once: the next batch begins with them, and their
offsets are not stored before. A group whose rest does not come within `PATIENCE` seconds, or within
`BEYOND` messages, is handled as it is; told to stop, the loop leaves it to the next run.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from services.common import kafka_log, messages, metrics
from services.common.errors import BadMessage, ServiceError, Unavailable
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.produce import Producer, bad_options, options
from services.common.settings import KafkaSettings

M = TypeVar("M", bound=messages.Message)
POLL_SECONDS = 0.5
PATIENCE = 0.25
BEYOND = 256
REFETCH = 1.5
"""Seconds that the client may take to fetch again after a pause (measured: 0.4 to 0.8)."""
LONGEST_PAUSE = 10.0
PASSING = {KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART,
           KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._MAX_POLL_EXCEEDED}
log = structlog.stdlib.get_logger(__name__)


def nothing(batch: Sequence[messages.Message]) -> list[list[int]]:
    """No groups of which anything is awaited: each message is for itself."""
    return []


@dataclass(frozen=True, slots=True, eq=False)
class Received(Generic[M]):
    """A message as it came, and as it was read."""

    raw: KafkaMessage
    content: M | BadMessage
    at: float
    """When, in the loop's seconds of waiting."""


@dataclass(frozen=True, slots=True)
class Stage(Generic[M]):
    """What the loop needs to know of a stage."""

    name: str
    topic: str
    kind: type[M]
    step: Callable[[list[M]], None]
    """Handles a batch in order; idempotent; raises Unavailable to be called again with it."""
    batch_size: int = 200
    batch_seconds: float = 0.005
    """How long to wait for more, once a first message is there."""
    awaited: Callable[[Sequence[M]], list[list[int]]] = nothing
    """The groups of a batch, as places in it, that more messages still belong to."""


def open_consumer(settings: KafkaSettings, stage: str, topic: str) -> Consumer:
    """A consumer subscribed to `topic` from the group's stored offset, or the earliest."""
    consumer = _consumer({
        "bootstrap.servers": settings.kafka_bootstrap,
        "group.id": settings.kafka_group or stage,
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,
        "auto.commit.interval.ms": 1000,
        "partition.assignment.strategy": "cooperative-sticky",
        # Closing waits this long for a broker that is gone; well within a pod's grace.
        "session.timeout.ms": 15_000,
        "fetch.wait.max.ms": 50,
        "topic.metadata.refresh.interval.ms": 10_000,
        # A slow stage must not hoard what it has not handled yet.
        "queued.max.messages.kbytes": 16_384,
        **kafka_log.reported(),
        **options(settings.kafka_options),
    })
    consumer.subscribe([topic])
    return consumer


def _consumer(configuration: dict[str, Any]) -> Consumer:
    try:
        return Consumer(configuration)
    except KafkaException as error:
        raise bad_options(error) from error


def run_stage(stage: Stage[M], settings: KafkaSettings, producer: Producer, stop: Stop,
              heartbeat: Heartbeat) -> None:
    """Turn the loop until `stop`; closing commits the stored offsets.

    Raises:
        SettingsError: an option of Kafka's that there is not.
        ServiceError: Kafka refuses the topic in a way that waiting does not mend.
    """
    consumer = open_consumer(settings, stage.name, stage.topic)
    loop = _Loop(stage, consumer, producer, stop, heartbeat)
    log.info("consuming", topic=stage.topic, group=settings.kafka_group or stage.name)
    try:
        while not stop:
            loop.turn()
    finally:
        consumer.close()
        log.info("stopped", topic=stage.topic)


class _Loop(Generic[M]):
    def __init__(self, stage: Stage[M], consumer: Consumer, producer: Producer, stop: Stop,
                 heartbeat: Heartbeat) -> None:
        self._stage, self._consumer, self._producer = stage, consumer, producer
        self._stop, self._heartbeat = stop, heartbeat
        self._held: list[Received[M]] = []
        self._handling = 0.0  # seconds, in which nothing was waited for

    def turn(self) -> None:
        """One batch: from the broker to stored offsets."""
        self._heartbeat.beat()
        self._heartbeat.waiting = "" if self._consumer.memberid() else "the brokers"
        batch = self._whole(self._read())
        if not batch:
            return
        begin = time.monotonic()
        with metrics.STEP_SECONDS.labels(self._stage.name).time():
            if not self._handle(batch):
                return
        self._handling += time.monotonic() - begin
        self._store(batch)
        now = time.time()
        for one in batch:
            metrics.HOP_SECONDS.labels(self._stage.name).observe(
                max(0.0, now - one.raw.timestamp()[1] / 1000))

    def _read(self) -> list[Received[M]]:
        batch, self._held = self._held, []
        if not batch:
            first = self._consumer.poll(POLL_SECONDS)
            if first is None:
                return []
            batch = self._received([first])
        room = max(0, self._stage.batch_size - len(batch))
        return batch + self._received(self._consumer.consume(room, self._stage.batch_seconds))

    def _whole(self, batch: list[Received[M]]) -> list[Received[M]]:
        """What of the batch is to be handled now; the rest is held back."""
        drained = len(batch) < self._stage.batch_size
        while groups := self._awaiting(batch):
            full = len(batch) >= self._stage.batch_size + BEYOND
            kept = [group for group in groups
                    if self._stop or not (drained or full) or self._patience(group) > 0.0]
            keep = [one for group in kept for one in group]
            if self._stop or len(keep) < len(batch):
                self._held = keep
                return [one for one in batch if one not in keep]
            if full:
                break
            wait = max(0.0, min(POLL_SECONDS, *map(self._patience, groups)))
            further = self._consumer.poll(wait)
            drained = further is None
            batch += self._received([further] if further is not None else [])
        return batch

    def _awaiting(self, batch: list[Received[M]]) -> list[list[Received[M]]]:
        good = [one for one in batch if not isinstance(one.content, BadMessage)]
        return [[good[place] for place in group]
                for group in self._stage.awaited(_contents(good))]

    def _patience(self, group: Sequence[Received[M]]) -> float:
        """Seconds for which the rest of a group is still waited for."""
        return group[0].at + PATIENCE - self._now()

    def _now(self) -> float:
        return time.monotonic() - self._handling

    def _received(self, raw: Iterable[KafkaMessage]) -> list[Received[M]]:
        now = self._now()
        return [Received(one, self._decoded(one), now) for one in raw if self._is_data(one)]

    def _decoded(self, raw: KafkaMessage) -> M | BadMessage:
        metrics.CONSUMED.labels(self._stage.name, self._stage.topic).inc()
        try:
            return messages.decode(raw.value() or b"", self._stage.kind)
        except BadMessage as error:
            metrics.DEAD_LETTERS.labels(self._stage.name, self._stage.topic).inc()
            log.warning("a message goes to the dead-letter topic", error=str(error),
                        topic=raw.topic(), partition=raw.partition(), offset=raw.offset())
            return error

    def _is_data(self, message: KafkaMessage) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() not in PASSING:
            raise ServiceError(f"Kafka refuses {self._stage.topic}: {error.str()}")
        if error.code() != KafkaError._PARTITION_EOF:
            log.warning("Kafka says", error=error.str(), topic=self._stage.topic)
        return False

    def _handle(self, batch: list[Received[M]]) -> bool:
        """True once the step and all it sent are done; False when told to stop before."""
        decoded = _contents(batch)
        attempt = 0
        while True:
            try:
                # Every attempt sends all of it: what an earlier one queued may have been refused.
                for one in batch:
                    if isinstance(one.content, BadMessage):
                        self._producer.dead_letter(one.raw, one.content, self._stage.name)
                if decoded:
                    self._stage.step(decoded)
                self._producer.flush()
                return True
            except Unavailable as error:
                attempt += 1
                self._pause(attempt, error)
                if self._stop:
                    return False

    def _pause(self, attempt: int, error: Unavailable) -> None:
        """Wait with the partitions paused, polling all the while to stay in the group."""
        seconds = min(LONGEST_PAUSE, 0.25 * 2 ** min(attempt, 8)) * random.uniform(0.8, 1.2)
        metrics.RETRIES.labels(self._stage.name).inc()
        self._heartbeat.waiting = str(error)
        log.warning("will try the batch again", why=str(error), attempt=attempt,
                    in_seconds=round(seconds, 1))
        until = time.monotonic() + seconds
        self._consumer.pause(self._consumer.assignment())
        while not self._stop and time.monotonic() < until:
            self._heartbeat.beat()
            # A partition assigned meanwhile is not paused yet: keep its first message for later.
            message = self._consumer.poll(0.1)
            if message is not None and self._is_data(message):
                self._held += self._received([message])
                self._consumer.pause([_place(message)])
        self._consumer.resume(self._consumer.assignment())
        self._handling += REFETCH

    def _store(self, batch: list[Received[M]]) -> None:
        """Store how far each partition was handled: to its end, or to what is held back of it."""
        ends = {_partition(one.raw): _place(one.raw, 1) for one in batch}
        for one in reversed(self._held):
            if _partition(one.raw) in ends:
                ends[_partition(one.raw)] = _place(one.raw)
        offsets = list(ends.values())
        try:
            self._consumer.store_offsets(offsets=offsets)
        except KafkaException as error:
            # The partition went to another member meanwhile, which reads the batch again.
            log.warning("offsets not stored", error=str(error), topic=self._stage.topic)


def _contents(batch: Iterable[Received[M]]) -> list[M]:
    return [one.content for one in batch if not isinstance(one.content, BadMessage)]


def _partition(message: KafkaMessage) -> tuple[str, int]:
    return str(message.topic()), message.partition() or 0


def _place(message: KafkaMessage, further: int = 0) -> TopicPartition:
    return TopicPartition(*_partition(message), (message.offset() or 0) + further)
