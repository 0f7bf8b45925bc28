"""Producing to Kafka: idempotent, acknowledged by all replicas, with backpressure."""

import re
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from services.common import kafka_log, messages
from services.common.errors import ServiceError, SettingsError, Unavailable

FLUSH_SECONDS = 30.0
DEAD_LETTER_BYTES = 500_000
_COMMA = re.compile(r"(?<!\\),")


def options(text: str) -> dict[str, str]:
    """Parse `kafka_options`: "a=b,c=d"; a comma in a value is written "\\,".

    >>> options(r"sasl.username=me,sasl.password=a\\,b")
    {'sasl.username': 'me', 'sasl.password': 'a,b'}

    Raises:
        SettingsError: a part is not key=value; it is not told, for it may be half a password.
    """
    parts = [part.replace("\\,", ",").partition("=") for part in _COMMA.split(text) if part.strip()]
    for place, (_, equals, _) in enumerate(parts, start=1):
        if not equals:
            raise SettingsError(f"SMILE_KAFKA_OPTIONS: its part {place}, of those between commas, "
                                "is not key=value; a comma in a value is written \\,")
    return {key.strip(): value.strip() for key, _, value in parts}


def bad_options(error: KafkaException) -> SettingsError:
    """What to say of a client that could not be made."""
    return SettingsError(f"SMILE_KAFKA_OPTIONS: {error.args[0].str()}")


class NotYet(Unavailable):
    """Messages are still to be acknowledged."""


class Producer:
    """Sends messages keyed by symbol; `flush` returns when all are on the brokers' disks."""

    def __init__(self, bootstrap: str, extra: str = "") -> None:
        self._failed: KafkaError | None = None
        self._ended = ""
        configuration: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 2,
            "message.max.bytes": 4_000_000,
            "queue.buffering.max.kbytes": 65_536,
            **kafka_log.reported(),
            **options(extra),
        }
        try:
            self._kafka = KafkaProducer(configuration)
        except KafkaException as error:
            raise bad_options(error) from error

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.flush()

    def send(self, topic: str, message: messages.Message) -> None:
        """Queue a message; waits while the queue is full."""
        self.send_bytes(topic, message.symbol.encode(), messages.encode(message), {})

    def send_bytes(self, topic: str, key: bytes | None, value: bytes | None,
                   headers: Mapping[str, str | bytes | None]) -> None:
        """Queue raw bytes; waits while the queue is full.

        Raises:
            ServiceError: Kafka never takes the message, such as one too large, or anything of
                this client any more, such as one without the right to write.
        """
        while True:
            try:
                if self._queued(topic, key, value, headers):
                    return
            except KafkaException as error:
                raise ServiceError(f"a message for {topic} can't be sent: "
                                   f"{self._why(error)}") from error
            self._raise_failure()

    def dead_letter(self, message: Message, error: Exception, stage: str) -> None:
        """Queue the raw bytes of a message that can't be read, with where it came from.

        Only the first `DEAD_LETTER_BYTES` of a huge one, whose length the headers tell: unpacked
        it may be larger than what Kafka takes.
        """
        value = message.value() or b""
        self.send_bytes(messages.DEAD_LETTER, message.key(), value[:DEAD_LETTER_BYTES], {
            "topic": message.topic(), "partition": str(message.partition()),
            "offset": str(message.offset()), "length": str(len(value)),
            "error": str(error)[:1000], "service": stage})

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until everything queued is acknowledged.

        Raises:
            NotYet: not within `seconds`; they stay queued, and another flush goes on waiting.
            Unavailable: the brokers refused a message, or did not take it in minutes.
            ServiceError: they take nothing of this client any more.
        """
        try:
            left = self._kafka.flush(seconds)
        except KafkaException as error:
            raise ServiceError(f"Kafka refuses this client: {self._why(error)}") from error
        self._raise_failure()
        if left:
            raise NotYet(f"Kafka did not acknowledge {left} messages in {seconds:.0f} s")

    def _queued(self, topic: str, key: bytes | None, value: bytes | None,
                headers: Mapping[str, str | bytes | None]) -> bool:
        """Queue it, or wait a moment for room."""
        try:
            self._kafka.produce(topic, value, key, headers=dict(headers),
                                on_delivery=self._delivered)
        except BufferError:
            self._kafka.poll(0.1)
            return False
        self._kafka.poll(0)
        return True

    def _why(self, error: KafkaException) -> str:
        """What ended the client, where something did: the library raises that once, when it calls
        back, and from then on only that there was something."""
        try:
            self._kafka.poll(0)
        except KafkaException as raised:
            error = raised
        if error.args[0].fatal():
            self._ended = f"{error.args[0].str()}; this client is at its end, check its rights"
        return self._ended or str(error.args[0].str())

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed = error

    def _raise_failure(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise Unavailable(f"Kafka refused a message: {failed.str()}")
