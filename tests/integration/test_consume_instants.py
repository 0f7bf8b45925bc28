"""Messages that belong together, in the consume loop and the features stage, on real Kafka."""

import random
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition

from services.common import consume, metrics
from services.common.consume import Stage, run_stage
from services.common.errors import Unavailable
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.messages import OPTION_CHAIN, ChainSlice
from services.common.produce import Producer
from services.common.settings import KafkaSettings
from services.features import main as features
from services.features.instant import awaited, instants, is_complete
from services.features.settings import FeaturesSettings
from tests.integration.pipeline import (
    Tables,
    eventually,
    group_at_end,
    minutes,
    new_symbol,
    publish,
    running,
)

START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def part(symbol, minute, place, places):
    """One of the slices of an instant, without quotes."""
    nothing = {name: [] for name in ("strike", "right", "bid", "ask", "bid_size", "ask_size",
                                     "last", "volume", "open_interest", "quote_time",
                                     "vendor_iv")}
    return ChainSlice(symbol=symbol, expiry=date(2026, 12, place), slice=place, slices=places,
                      sampled_at=START + timedelta(minutes=minute), source="recorded", **nothing)


def parts(symbol, minute, places):
    return [part(symbol, minute, place, places) for place in range(1, places + 1)]


def interleaved(*streams):
    """The streams' messages in a random order that keeps each stream's own."""
    chance, left = random.Random(3), [list(stream) for stream in streams]
    while any(left):
        stream = chance.choice([stream for stream in left if stream])
        yield stream.pop(0)


def names(batch):
    """Each instant of a batch as symbol, minute and number of slices."""
    return [(one[0].symbol, (one[0].sampled_at - START).seconds // 60,
             len(one) if is_complete(one) else -len(one)) for one in instants(batch)]


class Loop:
    """Runs the loop on a topic of its own; `seen` is what its step was given."""

    def __init__(self, bootstrap, topic, batch_size=10):
        self.bootstrap, self.topic, self.batch_size = bootstrap, topic, batch_size
        self.stop, self.seen = Stop(), []

    def publish(self, chains):
        with Producer(self.bootstrap) as producer:
            for chain in chains:
                producer.send(self.topic, chain)

    def run(self, until, step=None, awaits=awaited):
        """Until `until()` holds after a step; a watchdog stops it after 60 s."""
        self.stop = Stop()
        watchdog = threading.Timer(60, self.stop.set)
        watchdog.start()

        def stepping(batch):
            if step is not None:
                step(batch)
            self.seen += names(batch)
            if until():
                self.stop.set()

        settings = KafkaSettings(kafka_bootstrap=self.bootstrap, kafka_group=self.topic)
        try:
            with Producer(self.bootstrap) as producer:
                run_stage(Stage("test", self.topic, ChainSlice, stepping, self.batch_size, 0.005,
                                awaits), settings, producer, self.stop, Heartbeat())
        finally:
            watchdog.cancel()

    def committed(self):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.topic})
        [place] = consumer.committed([TopicPartition(self.topic, 0)], timeout=30)
        consumer.close()
        return max(0, place.offset)


@pytest.fixture
def loop(kafka_bootstrap, make_topic):
    return Loop(kafka_bootstrap, make_topic("instants", partitions=1))


@pytest.mark.parametrize("beyond", [256, 9, 0])
def test_symbols_that_share_a_partition_are_all_built_whole_and_once(loop, monkeypatch, beyond):
    monkeypatch.setattr(consume, "BEYOND", beyond)
    monkeypatch.setattr(consume, "PATIENCE", 20.0)
    few, many = (
        [one for minute in range(40) for one in parts(symbol, minute, places)]
        for symbol, places in (("FEW", 3), ("MANY", 5)))
    loop.publish(interleaved(few, many))
    loop.run(lambda: len(loop.seen) >= 80)

    for symbol, places in (("FEW", 3), ("MANY", 5)):
        assert [one for one in loop.seen if one[0] == symbol] == [
            (symbol, minute, places) for minute in range(40)]
    assert loop.committed() == 320


def test_a_complete_instant_is_not_kept_waiting(loop, monkeypatch):
    monkeypatch.setattr(consume, "PATIENCE", 3600.0)
    loop.publish([*parts("SPY", 0, 4)[:2], *parts("QQQ", 0, 4), *parts("SPY", 0, 4)[2:3]])
    loop.run(lambda: True)

    assert loop.seen == [("QQQ", 0, 4)]
    assert loop.committed() == 0
    loop.publish(parts("SPY", 0, 4)[3:])
    loop.run(lambda: ("SPY", 0, 4) in loop.seen)
    assert loop.committed() == 8


def test_slices_that_come_late_are_waited_for(loop, monkeypatch):
    monkeypatch.setattr(consume, "PATIENCE", 20.0)
    first, *rest = parts("SPY", 0, 4)
    loop.publish([first])
    late = threading.Timer(1.0, loop.publish, [rest])
    late.start()
    loop.run(lambda: True)
    late.join()

    assert loop.seen == [("SPY", 0, 4)]


def test_what_does_not_come_is_done_without(loop):
    loop.publish(parts("SPY", 0, 4)[:3])
    loop.run(lambda: True)

    assert loop.seen == [("SPY", 0, -3)]
    assert loop.committed() == 3


def test_an_instant_that_another_follows_is_not_waited_for(loop, monkeypatch):
    monkeypatch.setattr(consume, "PATIENCE", 3600.0)
    loop.publish([*parts("SPY", 0, 4)[1:], *parts("SPY", 1, 4)])
    loop.run(lambda: len(loop.seen) == 2)

    assert loop.seen == [("SPY", 0, -3), ("SPY", 1, 4)]


def test_a_message_that_can_not_be_read_leaves_its_instant_without_it(loop):
    first, second, _ = parts("SPY", 0, 3)
    loop.publish([first])
    with Producer(loop.bootstrap) as producer:
        producer.send_bytes(loop.topic, b"SPY", b"no slice", {})
    loop.publish([second])
    loop.run(lambda: True)

    assert loop.seen == [("SPY", 0, -2)]
    assert loop.committed() == 3


def test_told_to_stop_amid_an_instant_it_leaves_that_to_the_next_run(loop, monkeypatch):
    monkeypatch.setattr(consume, "PATIENCE", 20.0)
    loop.publish([*parts("SPY", 0, 3), *parts("SPY", 1, 3)[:2]])

    def stopping(batch):
        loop.stop.set()
        return awaited(batch)

    loop.run(lambda: False, awaits=stopping)
    assert loop.seen == [("SPY", 0, 3)]
    assert loop.committed() == 3
    loop.publish(parts("SPY", 1, 3)[2:])
    loop.run(lambda: len(loop.seen) == 2)
    assert loop.seen == [("SPY", 0, 3), ("SPY", 1, 3)]
    assert loop.committed() == 6


def test_what_is_held_back_is_read_again_after_a_crash(loop, monkeypatch):
    monkeypatch.setattr(consume, "BEYOND", 4)
    monkeypatch.setattr(consume, "PATIENCE", 20.0)
    few, many = (
        [one for minute in range(20) for one in parts(symbol, minute, places)]
        for symbol, places in (("FEW", 3), ("MANY", 7)))
    loop.publish(interleaved(few, many))

    def failing(batch):
        if len(loop.seen) > 15:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop.run(lambda: False, failing)
    assert 0 < loop.committed() < 200
    loop.run(lambda: {("FEW", 19, 3), ("MANY", 19, 7)} <= set(loop.seen))

    assert set(loop.seen) == {(symbol, minute, places) for minute in range(20)
                              for symbol, places in (("FEW", 3), ("MANY", 7))}
    assert loop.committed() == 200


def test_a_batch_is_tried_again_whole_while_something_is_unavailable(loop, monkeypatch):
    monkeypatch.setattr(consume, "BEYOND", 4)
    few, many = (
        [one for minute in range(10) for one in parts(symbol, minute, places)]
        for symbol, places in (("FEW", 3), ("MANY", 5)))
    loop.publish(interleaved(few, many))
    tries = []

    def away_at_first(batch):
        tries.append(names(batch))
        if len(tries) < 3:
            raise Unavailable("the database: away")

    loop.run(lambda: len(loop.seen) >= 20, away_at_first)

    assert tries[0] == tries[1] == tries[2]
    assert sorted(loop.seen) == sorted(
        (symbol, minute, places) for minute in range(10)
        for symbol, places in (("FEW", 3), ("MANY", 5)))


def test_a_restart_amid_an_instant_leaves_no_surface_in_parts(
        kafka_bootstrap, database_url, monkeypatch):
    monkeypatch.setattr(consume, "PATIENCE", 60.0)
    symbol, tables = new_symbol(), Tables(database_url)
    chains = minutes(symbol, 3)
    settings = FeaturesSettings(
        kafka_bootstrap=kafka_bootstrap, database_url=database_url, metrics_port=0,
        kafka_group=group_at_end(kafka_bootstrap, OPTION_CHAIN))
    with running(features.run, settings):
        publish(kafka_bootstrap, OPTION_CHAIN, chains[:3])
        eventually(lambda: tables.count("option_features", symbol) == 2)
        # Told to stop while it waits for the fourth.
    assert tables.count("option_features", symbol) == 2
    incomplete = metrics.INCOMPLETE_INSTANTS._value.get()
    with running(features.run, settings):
        publish(kafka_bootstrap, OPTION_CHAIN, chains[3:])
        eventually(lambda: tables.count("option_features", symbol) == len(chains))

    assert metrics.INCOMPLETE_INSTANTS._value.get() == incomplete
    assert tables.rows("SELECT count(*) FROM option_features WHERE symbol = %s GROUP BY ts",
                       symbol) == [(2,)] * 3
