"""What the pipeline's tests share: a small market, stages in threads, waiting by deadline."""

import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg2
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from ml.calendar import year_fraction
from ml.pricing import black
from services.common.lifecycle import Stop
from services.common.messages import ChainSlice
from services.common.produce import Producer

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXPIRIES = (date(2026, 12, 18), date(2027, 1, 15))
FORWARD = 600.0
CONTRACTS = 44
"""In every chain."""


def new_symbol():
    """A symbol that no other test uses, for tests share the topics and tables."""
    return f"T{uuid.uuid4().hex[:8].upper()}"


def chain(symbol, at, expiry=EXPIRIES[0], place=1, places=1, level=0.2):
    """Quotes of a smile with a skew, on 21 strikes, calls and puts; steady but for its level."""
    tau = year_fraction(at, expiry)
    deviation = 0.2 * np.sqrt(tau)
    strike = np.repeat(np.round(FORWARD * np.exp(np.linspace(-2.6, 1.6, 22) * deviation), 2), 2)
    right = ["C", "P"] * (len(strike) // 2)
    vol = level - 0.02 * np.log(strike / FORWARD) / deviation
    mid = black.price(FORWARD, strike, tau, vol, np.array([one == "C" for one in right]))
    nothing = [None] * len(strike)
    return ChainSlice(
        symbol=symbol, expiry=expiry, sampled_at=at, slice=place, slices=places,
        source="recorded", underlying_bid=FORWARD - 0.01, underlying_ask=FORWARD + 0.01,
        strike=strike.tolist(), right=right, bid=(mid * 0.995).tolist(),
        ask=(mid * 1.005).tolist(), bid_size=[1.0] * len(strike), ask_size=[1.0] * len(strike),
        last=nothing, volume=nothing, open_interest=nothing, quote_time=nothing,
        vendor_iv=nothing)


def minutes(symbol, count, first=0):
    """The chains of `EXPIRIES` at `count` instants a minute apart."""
    return [chain(symbol, START + timedelta(minutes=minute), expiry, place, len(EXPIRIES))
            for minute in range(first, first + count)
            for place, expiry in enumerate(EXPIRIES, start=1)]


def publish(bootstrap, topic, messages):
    with Producer(bootstrap) as producer:
        for message in messages:
            producer.send(topic, message)


def group_at_end(bootstrap, topic):
    """A new consumer group that will read what comes to `topic` from now on."""
    group = f"test-{uuid.uuid4().hex[:8]}"
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    partitions = AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, 30)
    places = [TopicPartition(topic, number) for number in partitions.topics[topic].partitions]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, 30)[1]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    return group


def read_all(bootstrap, topic, wanted=lambda message: True):
    """Every message that is on a topic now and wanted, partition by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"read-{uuid.uuid4().hex}",
                         "enable.auto.commit": False})
    found = []
    for number in consumer.list_topics(topic, 30).topics[topic].partitions:
        place = TopicPartition(topic, number, 0)
        end = consumer.get_watermark_offsets(place, 30)[1]
        consumer.assign([place])
        at = 0
        while at < end:
            message = consumer.poll(30)
            assert message is not None and message.error() is None, f"{topic}: {at} of {end}"
            at = message.offset() + 1
            found += [message] * wanted(message)
    consumer.close()
    return found


def of_symbol(symbol):
    return lambda message: message.key() == symbol.encode()


@contextmanager
def running(run, settings):
    """A service's loop in a thread; its failure is the test's."""
    stop, failures = Stop(), []

    def target():
        try:
            run(settings, stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=target, name=run.__module__)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive(), f"{run.__module__} did not stop"
    assert not failures, failures


def eventually(condition, seconds=120.0):
    """Wait until `condition()` is true; its last value is the failure's text."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s, but {value!r}"
        time.sleep(0.1)
    return value


class Tables:
    """A database seen through single queries."""

    def __init__(self, url):
        self._url = url

    def rows(self, sql, *values):
        connection = psycopg2.connect(self._url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def count(self, table, symbol):
        return self.value(f"SELECT count(*) FROM {table} WHERE symbol = %s", symbol)
