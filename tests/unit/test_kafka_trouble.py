"""Brokers that are away: one line of the log now and then, and ingest that waits for them."""

import asyncio

from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from services.common import kafka_log
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.produce import NotYet
from services.ingest.cadence import Patience
from services.ingest.publish import Publisher

AWAY = KafkaError(KafkaError._TRANSPORT, "kafka:9092: connection refused")


def test_of_many_errors_one_is_told_each_half_minute():
    now = 100.0
    trouble = kafka_log.Trouble(lambda: now)
    with capture_logs() as lines:
        for _ in range(50):
            trouble(AWAY)
        now += kafka_log.QUIET_SECONDS
        trouble(AWAY)

    assert [(line["why"], line["errors"]) for line in lines] == [
        ("kafka:9092: connection refused", 1), ("kafka:9092: connection refused", 50)]


class SlowProducer:
    """Acknowledges at the third flush."""

    def __init__(self):
        self.flushes = 0

    def flush(self, seconds):
        self.flushes += 1
        if self.flushes < 3:
            raise NotYet("Kafka did not acknowledge 2 messages in 10 s")


def published(producer, stop):
    heartbeat = Heartbeat()
    seen = []
    patience = Patience(stop, heartbeat)
    patience.wait_for = seen.append
    with capture_logs() as lines:
        asyncio.run(Publisher(producer, patience).publish([]))
    return seen, lines


def test_ingest_waits_for_brokers_that_are_away_and_says_so():
    producer = SlowProducer()

    seen, lines = published(producer, Stop())

    assert producer.flushes == 3
    assert [line["event"] for line in lines] == ["waiting for Kafka"] * 2
    assert len(seen) == 3 and "did not acknowledge" in seen[0] and seen[-1] == ""


def test_a_stop_ends_the_wait():
    producer, stop = SlowProducer(), Stop()
    stop.set()

    published(producer, stop)

    assert producer.flushes == 1
