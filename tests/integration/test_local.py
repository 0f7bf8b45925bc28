"""The embedded Kafka and PostgreSQL, started for real."""

import os
import subprocess
from pathlib import Path

import psycopg2
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from local.kafka import KafkaBroker
from local.postgres import PostgresServer, unprivileged
from services.common.messages import TOPICS


def test_broker_has_the_topics_with_their_partitions(kafka_bootstrap):
    topics = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(timeout=10).topics
    assert {name: len(topics[name].partitions) for name in TOPICS} == dict.fromkeys(TOPICS, 6)


def test_a_message_comes_back_through_a_consumer_group(kafka_bootstrap, make_topic):
    topic = make_topic("echo")
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "message.max.bytes": 4_000_000})
    producer.produce(topic, b"x" * 2_000_000, b"SPY")
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": topic,
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None and message.error() is None
    assert (message.key(), len(message.value())) == (b"SPY", 2_000_000)


def test_broker_keeps_its_messages_over_a_restart(tmp_path, leaves_no_process):
    with KafkaBroker(tmp_path, partitions=1) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        producer.produce("option-chain", b"kept")
        assert producer.flush(20) == 0
    with KafkaBroker(tmp_path, partitions=1) as broker:
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test",
                             "auto.offset.reset": "earliest"})
        consumer.subscribe(["option-chain"])
        message = consumer.poll(30)
        consumer.close()
    assert message is not None and message.value() == b"kept"


def test_database_keeps_its_rows_over_a_restart(tmp_path, leaves_no_process):
    for statement in ("CREATE TABLE kept AS SELECT 42 AS answer", None):
        with PostgresServer(tmp_path) as server:
            connection = psycopg2.connect(server.url)
            with connection, connection.cursor() as cursor:
                if statement:
                    cursor.execute(statement)
                cursor.execute("SELECT answer FROM kept")
                assert cursor.fetchall() == [(42,)]
            connection.close()


def test_migrated_database_has_the_extension_if_available(database_url, timescale_available):
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        found = cursor.fetchall()
    connection.close()
    if not timescale_available:
        pytest.skip("no TimescaleDB for this server (set SMILE_TIMESCALEDB)")
    assert found and found[0][0].startswith("2.")


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch):
    from local.errors import PartFailed

    monkeypatch.setenv("SMILE_TIMESCALEDB", str(tmp_path))
    with pytest.raises(PartFailed, match=r"holds no extension/timescaledb\.control"):
        PostgresServer(tmp_path / "state").__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become someone else")
def test_what_root_starts_reaches_programs_in_folders_of_root_alone(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\nid -un\n")
    program.chmod(0o755)
    question = f"import os, sys; sys.exit(not os.access({str(program)!r}, os.X_OK))"
    asked = subprocess.run([*unprivileged(), "python3", "-I", "-c", question], check=False)
    assert asked.returncode == 0
    ran = subprocess.run([*unprivileged(), str(program)], capture_output=True, text=True,
                         check=True)
    assert ran.stdout.strip() == "nobody"
