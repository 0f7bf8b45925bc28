"""The rights that the chart's KafkaUsers have on a real broker: enough for each stage, no more."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from services.common.errors import ServiceError, Unavailable
from services.common.messages import DEAD_LETTER, OPTION_CHAIN, OPTION_FEATURES, PREDICTED_SMILE
from services.common.produce import Producer, options
from services.features import main as features
from services.features.settings import FeaturesSettings
from services.predictor import main as predictor
from services.predictor.settings import PredictorSettings
from services.writer import main as writer
from services.writer.settings import WriterSettings
from tests.integration.pipeline import (
    Tables,
    eventually,
    minutes,
    new_symbol,
    of_symbol,
    read_all,
    running,
)
from tests.integration.secured_kafka import SecuredKafka, secured_kafka
from tests.unit.helm_chart import environment, render

NAMES = "smile-spy-smile"
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker with what the chart renders for KEDA and all stages."""
    objects = render(writer__autoscaling__mode="keda")
    with secured_kafka(tmp_path_factory.mktemp("secured")) as started:
        started.grant([each for each in objects if each["kind"] == "KafkaUser"])
        yield started


def told(broker: SecuredKafka, stage: str) -> str:
    """SMILE_KAFKA_OPTIONS as the chart renders them, with the files where they are here."""
    rendered = environment(render(), "writer")["SMILE_KAFKA_OPTIONS"]
    return rendered.replace("/etc/kafka", str(broker.folder / f"{NAMES}-{stage}"))


def client(broker: SecuredKafka, stage: str) -> dict[str, Any]:
    """What librdkafka is told."""
    return {"bootstrap.servers": broker.bootstrap, **options(told(broker, stage))}


def test_the_whole_pipeline_works_with_them(broker: SecuredKafka, database_url: str) -> None:
    symbol, tables = new_symbol(), Tables(database_url)

    def places(stage: str) -> dict[str, Any]:
        return {"kafka_bootstrap": broker.bootstrap, "kafka_options": told(broker, stage),
                "database_url": database_url, "metrics_port": 0}

    with Producer(broker.bootstrap, told(broker, "ingest")) as producer:
        for message in minutes(symbol, 15):
            producer.send(OPTION_CHAIN, message)
        producer.send_bytes(OPTION_CHAIN, symbol.encode(), b"no message", {})
    with (running(writer.run, WriterSettings(**places("writer"))),
          running(features.run, FeaturesSettings(**places("features"))),
          running(predictor.run,
                  PredictorSettings(**places("predictor"), model_server_url=NOBODY))):
        for table in ("spy_option_chain", "option_features", "predicted_smile"):
            eventually(lambda table=table: tables.value(
                f"SELECT count(*) FROM {table} WHERE symbol = %s", symbol))
        eventually(lambda: len(read_all(broker.plain, DEAD_LETTER, of_symbol(symbol))) >= 2)
        eventually(lambda: read_all(broker.plain, PREDICTED_SMILE, of_symbol(symbol)))


@pytest.mark.parametrize(("stage", "topic"), [
    ("ingest", DEAD_LETTER), ("writer", OPTION_CHAIN), ("features", PREDICTED_SMILE),
    ("predictor", OPTION_FEATURES), ("autoscaler", OPTION_CHAIN)])
def test_a_client_may_not_write_what_is_another_s(broker: SecuredKafka, stage: str,
                                                  topic: str) -> None:
    refused: list[str] = []
    producer = KafkaProducer(client(broker, stage))
    producer.produce(topic, b"{}", on_delivery=lambda error, _: refused.append(str(error)))
    assert producer.flush(20) == 0
    assert "TOPIC_AUTHORIZATION_FAILED" in refused[0]


def test_who_may_write_nothing_is_told_so_instead_of_waiting(broker: SecuredKafka) -> None:
    broker.authority.issue(f"{NAMES}-stranger", broker.folder)
    producer = Producer(broker.bootstrap, told(broker, "stranger"))

    def refusal() -> str:
        try:
            producer.send_bytes(OPTION_CHAIN, b"SPY", b"{}", {})
            producer.flush(5)
        except Unavailable:
            return ""  # a topic's rights may yet be granted
        except ServiceError as error:
            return str(error)
        raise AssertionError("it was taken")

    for _ in range(2):
        eventually(lambda: "authorization failed; this client is at its end" in refusal())


@pytest.mark.parametrize(("stage", "topic", "group"), [
    ("ingest", OPTION_CHAIN, "ingest"), ("writer", OPTION_CHAIN, "features"),
    ("features", PREDICTED_SMILE, "features")])
def test_a_client_may_not_read_what_is_another_s(broker: SecuredKafka, stage: str, topic: str,
                                                 group: str) -> None:
    consumer = Consumer({**client(broker, stage), "group.id": group})
    consumer.subscribe([topic])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    error = message.error()
    assert error is not None
    assert "authorization failed" in error.str().lower()


def test_who_has_no_certificate_gets_nowhere(broker: SecuredKafka) -> None:
    given: dict[str, Any] = {
        name: value for name, value in client(broker, "writer").items()
        if name not in ("ssl.certificate.location", "ssl.key.location")}
    with pytest.raises(KafkaException):
        AdminClient(given).list_topics(timeout=3)


def test_keda_sees_how_far_a_group_is_and_how_far_the_topic(broker: SecuredKafka) -> None:
    admin = AdminClient(client(broker, "autoscaler"))
    place = TopicPartition(OPTION_CHAIN, 0)
    ends = admin.list_offsets({place: OffsetSpec.latest()})
    assert ends[place].result(20).offset >= 0
    asked = ConsumerGroupTopicPartitions("writer", [place])
    answer = admin.list_consumer_group_offsets([asked])["writer"].result(20)
    assert answer.topic_partitions[0].error is None
