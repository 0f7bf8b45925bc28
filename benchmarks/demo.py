"""The demo: time to the first forecast, memory, and sampled-to-forecast latency beside a floor.

The floor is what the same broker and database cost with no work between: two hops through Kafka
and two committed upserts, measured in the same run.
"""

import math
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import psycopg2
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks._stack import Stack, started

LATENCY = "smile_pipeline_sampled_to_forecast_seconds"
SETTLE_SECONDS = 20.0
"""What was sampled before the predictor was there is a backlog, not the cadence."""
WATCH_SECONDS = 120.0
FLOOR_ROUNDS = 200


def main() -> None:
    """Start on an empty folder, measure, stop, start again."""
    with tempfile.TemporaryDirectory() as folder:
        with started(Path(folder)) as first:
            print(f"first start to the model's forecast   {first.ready_s:6.1f} s   (aim 180)")
            _latency(first)
            _memory(first)
        with started(Path(folder)) as later:
            print(f"later start to the model's forecast   {later.ready_s:6.1f} s   (aim 60)")


def _latency(stack: Stack) -> None:
    time.sleep(SETTLE_SECONDS)
    before = stack.histogram("predictor", LATENCY)
    time.sleep(WATCH_SECONDS)
    after = stack.histogram("predictor", LATENCY)
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    floor = _floor(stack)
    p99 = quantile(counts, 0.99) * 1000
    floor_p99 = statistics.quantiles(floor, n=100)[98] * 1000
    print(f"sampled to committed forecast        p50 {quantile(counts, 0.5) * 1000:5.0f} ms, "
          f"p99 {p99:5.0f} ms (aim 500) over {counts[max(counts)]:.0f} forecasts")
    print(f"the same hops with no work           p50 {statistics.median(floor) * 1000:5.0f} ms, "
          f"p99 {floor_p99:5.0f} ms; ratio of the p99s {p99 / floor_p99:.1f}")


def quantile(cumulative: dict[float, float], share: float) -> float:
    """Quantile of a histogram of cumulative counts, linear within a bucket.

    Beyond the last finite bound it is that bound, so a lower limit.

    >>> quantile({0.1: 50.0, 0.2: 100.0, math.inf: 100.0}, 0.75)
    0.15000000000000002
    """
    wanted = share * cumulative[math.inf]
    low, below = 0.0, 0.0
    for bound, count in sorted(cumulative.items()):
        if count >= wanted and bound < math.inf:
            return low + (bound - low) * (wanted - below) / max(count - below, 1.0)
        low, below = bound, count
    return max(bound for bound in cumulative if bound < math.inf)


def _floor(stack: Stack) -> list[float]:
    """Seconds of two Kafka hops and two commits, one round after the other."""
    topic = f"floor-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": stack.bootstrap})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    consumer = Consumer({"bootstrap.servers": stack.bootstrap, "group.id": topic,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
    consumer.subscribe([topic])
    producer = Producer({"bootstrap.servers": stack.bootstrap, "enable.idempotence": True,
                         "linger.ms": 2})
    database = psycopg2.connect(stack.database_url)
    try:
        with database, database.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE floor (k int PRIMARY KEY, v text)")
        _hop(producer, consumer, topic, database, 0)
        return [_round(producer, consumer, topic, database) for _ in range(FLOOR_ROUNDS)]
    finally:
        consumer.close()
        database.close()
        admin.delete_topics([topic])[topic].result(30)


def _round(producer: Producer, consumer: Consumer, topic: str,
           database: "psycopg2.extensions.connection") -> float:
    began = time.perf_counter()
    for hop in (1, 2):
        _hop(producer, consumer, topic, database, hop)
    return time.perf_counter() - began


def _hop(producer: Producer, consumer: Consumer, topic: str,
         database: "psycopg2.extensions.connection", key: int) -> None:
    producer.produce(topic, b"x" * 4000)
    producer.flush()
    while (message := consumer.poll(30)) is None or message.error():
        continue
    with database, database.cursor() as cursor:
        cursor.execute("INSERT INTO floor VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = "
                       "EXCLUDED.v", (key, "x" * 4000))


def _memory(stack: Stack) -> None:
    sizes = stack.memory_mb()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {name:<13} {size:6.0f} MB")
    print(f"  {'all':<13} {sum(sizes.values()):6.0f} MB   (aim 4000; services without torch 250)")
