"""The consume loop and the database access against real Kafka and PostgreSQL."""

import threading
import uuid
from datetime import UTC, date, datetime

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic

from services.common import messages
from services.common.consume import Stage, run_stage
from services.common.database import Database, upsert
from services.common.errors import SettingsError, Unavailable
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.messages import Forecast
from services.common.produce import DEAD_LETTER_BYTES, Producer
from services.common.settings import KafkaSettings

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def forecast(horizon):
    return Forecast(symbol="SPY", expiry=date(2026, 12, 18), made_at=NOW, horizon_s=horizon,
                    target_at=NOW, model_name="m", model_version="1", role="champion",
                    source="simulated", forward=600.0, smile=[0.2], lower=[None], upper=[0.3],
                    repaired=False, latency_ms=1.0)


@pytest.fixture
def topic(kafka_bootstrap):
    name = f"test-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for created in admin.create_topics([NewTopic(name, 2)]).values():
        created.result(30)
    return name


def run(kafka_bootstrap, topic, step, until, batch_size=200, producer_kind=Producer):
    """Run the loop in this thread until `until()` holds; a watchdog stops it after 60 s."""
    stop = Stop()
    watchdog = threading.Timer(60, stop.set)
    watchdog.start()

    def stepping(batch):
        step(batch)
        if until():
            stop.set()

    settings = KafkaSettings(kafka_bootstrap=kafka_bootstrap, kafka_group=f"group-{topic}")
    with producer_kind(kafka_bootstrap) as producer:
        run_stage(Stage("test", topic, Forecast, stepping, batch_size), settings, producer, stop,
                  Heartbeat())
    watchdog.cancel()
    assert until(), "the loop did not get there within 60 s"


def committed(kafka_bootstrap, topic):
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": f"group-{topic}"})
    offsets = consumer.committed([TopicPartition(topic, p) for p in range(2)], timeout=30)
    consumer.close()
    return sum(max(0, place.offset) for place in offsets)


def publish(kafka_bootstrap, topic, horizons):
    with Producer(kafka_bootstrap) as producer:
        for horizon in horizons:
            producer.send(topic, forecast(horizon))


def test_every_message_is_stepped_over_once_in_order_and_committed(kafka_bootstrap, topic):
    publish(kafka_bootstrap, topic, range(1, 501))
    seen = []
    run(kafka_bootstrap, topic, lambda batch: seen.extend(m.horizon_s for m in batch),
        lambda: len(seen) >= 500)

    assert seen == list(range(1, 501))
    assert committed(kafka_bootstrap, topic) == 500


def test_a_bad_message_goes_to_the_dead_letters_with_its_origin(kafka_bootstrap, topic):
    publish(kafka_bootstrap, topic, [1])
    with Producer(kafka_bootstrap) as producer:
        producer.send_bytes(topic, b"SPY", b"{not json", {})
    publish(kafka_bootstrap, topic, [2])
    seen = []
    run(kafka_bootstrap, topic, lambda batch: seen.extend(m.horizon_s for m in batch),
        lambda: seen == [1, 2])

    letter, headers = dead_letter(kafka_bootstrap, topic)
    assert letter == b"{not json"
    assert headers["service"] == b"test"
    assert headers["offset"] == b"1"
    assert b"Forecast" in headers["error"]


def dead_letter(kafka_bootstrap, topic):
    """Value and headers of the first dead letter that came from `topic`."""
    reader = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": f"reader-{topic}",
                       "auto.offset.reset": "earliest"})
    reader.subscribe([messages.DEAD_LETTER])
    try:
        while True:
            letter = reader.poll(30)
            assert letter is not None, "no dead letter within 30 s"
            headers = dict(letter.headers() or [])
            if headers.get("topic") == topic.encode():
                return letter.value(), headers
    finally:
        reader.close()


class RefusedOnce(Producer):
    """Loses what is queued at its first flush, and says so, as when the brokers refuse it."""

    refused = False

    def flush(self, seconds=30.0):
        if not self.refused:
            self.refused = True
            self._kafka.purge()
            raise Unavailable("Kafka refused a message")
        super().flush(seconds)


def test_a_dead_letter_that_is_refused_is_sent_again_before_its_offset_is_stored(
        kafka_bootstrap, topic):
    with Producer(kafka_bootstrap) as producer:
        producer.send_bytes(topic, b"SPY", b"{lost?", {})
    publish(kafka_bootstrap, topic, [1])
    seen = []
    run(kafka_bootstrap, topic, lambda batch: seen.extend(m.horizon_s for m in batch),
        lambda: len(seen) >= 2, batch_size=2, producer_kind=RefusedOnce)

    assert seen == [1, 1]
    assert dead_letter(kafka_bootstrap, topic)[0] == b"{lost?"


def test_a_huge_bad_message_does_not_block_the_stage(kafka_bootstrap, topic):
    huge = KafkaProducer({"bootstrap.servers": kafka_bootstrap, "compression.type": "zstd",
                          "message.max.bytes": 10_000_000})
    huge.produce(topic, b"x" * 5_000_000, b"SPY")
    huge.flush()
    publish(kafka_bootstrap, topic, [1])
    seen = []
    run(kafka_bootstrap, topic, lambda batch: seen.extend(m.horizon_s for m in batch),
        lambda: seen == [1])

    letter, headers = dead_letter(kafka_bootstrap, topic)
    assert headers["length"] == b"5000000"
    assert letter == b"x" * DEAD_LETTER_BYTES


def test_an_option_that_kafka_does_not_know_is_refused_by_the_settings_name(kafka_bootstrap):
    with pytest.raises(SettingsError, match=r"SMILE_KAFKA_OPTIONS.*foo\.bar"):
        Producer(kafka_bootstrap, "foo.bar=1")


def test_what_is_unavailable_is_tried_again_with_the_same_batch(kafka_bootstrap, topic):
    publish(kafka_bootstrap, topic, range(1, 4))
    attempts, seen = [], []

    def step(batch):
        attempts.append([m.horizon_s for m in batch])
        if len(attempts) < 3:
            raise Unavailable("the database is away")
        seen.extend(m.horizon_s for m in batch)

    run(kafka_bootstrap, topic, step, lambda: seen == [1, 2, 3], batch_size=3)

    assert attempts[0] == attempts[1] == attempts[2]


def test_another_error_ends_the_loop_and_the_batch_is_read_again(kafka_bootstrap, topic):
    publish(kafka_bootstrap, topic, [1, 2])

    def failing(batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(kafka_bootstrap, topic, failing, lambda: False)

    assert committed(kafka_bootstrap, topic) == 0
    seen = []
    run(kafka_bootstrap, topic, lambda batch: seen.extend(m.horizon_s for m in batch),
        lambda: len(seen) == 2)
    assert seen == [1, 2]


def test_a_lost_connection_is_unavailable_once_and_comes_back(database_url):
    with Database(database_url, "test") as database, Database(database_url, "other") as other:
        [(pid,)] = database.rows("SELECT pg_backend_pid()")
        other.rows("SELECT pg_terminate_backend(%s)", (pid,))

        with pytest.raises(Unavailable, match="the database"):
            database.rows("SELECT 1")
        assert database.rows("SELECT 1") == [(1,)]


def test_a_database_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable, match="the database"):
        Database("postgresql://nobody@127.0.0.1:1/none", "test").rows("SELECT 1")


def test_a_table_not_migrated_yet_is_waited_for(database_url):
    with (Database(database_url, "test") as database,
          pytest.raises(Unavailable, match="migrations")):
        database.rows("SELECT * FROM not_made_yet")


def test_a_url_that_can_not_be_read_is_refused_without_being_shown():
    with pytest.raises(SettingsError, match="SMILE_DATABASE_URL") as refused:
        Database("postgres//me:hunter2@db", "test").rows("SELECT 1")

    assert "hunter2" not in str(refused.value)


def test_upsert_writes_a_key_once_and_the_last_value_wins(database_url):
    with Database(database_url, "test") as database, database.transaction() as cursor:
        cursor.execute("CREATE TEMP TABLE pairs (k int PRIMARY KEY, v int) ON COMMIT DROP")
        upsert(cursor, "pairs", ["k"], ["k", "v"], [(1, 1), (2, 2), (1, 3)])
        upsert(cursor, "pairs", ["k"], ["k", "v"], [(2, 4)])
        cursor.execute("SELECT k, v FROM pairs ORDER BY k")

        assert cursor.fetchall() == [(1, 3), (2, 4)]
