"""A producer that brokers refuse for good, while its queue is full."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from services.common import produce
from services.common.errors import ServiceError

REFUSED = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no idempotent writes", True)


class Refused:
    """Its queue never empties, and its first callback raises what ended it."""

    def __init__(self, _configuration):
        self.ended = False

    def produce(self, *_, **__):
        if self.ended:
            raise KafkaException(KafkaError(KafkaError._FATAL, "Local: Fatal error"))
        raise BufferError

    def poll(self, _seconds):
        if not self.ended:
            self.ended = True
            raise KafkaException(REFUSED)


def test_what_ended_it_is_said_each_time(monkeypatch):
    monkeypatch.setattr(produce, "KafkaProducer", Refused)
    producer = produce.Producer("broker:9092")

    for _ in range(2):
        with pytest.raises(ServiceError, match="no idempotent writes; this client is at its end"):
            producer.send_bytes("option-chain", None, b"", {})
