"""Readiness: a stage needs a place in its group and what its step needs, a monitor its tables."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest

from services.common.consume import Stage, run_stage
from services.common.errors import Unavailable
from services.common.health import HealthServer, Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.messages import Forecast
from services.common.produce import Producer
from services.common.settings import KafkaSettings
from services.monitor import main as monitor
from services.monitor.settings import MonitorSettings

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
MakeTopic = Callable[..., str]
Step = Callable[[list[Forecast]], None]
NOWHERE = "127.0.0.1:1"


@contextmanager
def running(bootstrap: str, topic: str,
            step: Step = lambda batch: None) -> Iterator[Heartbeat]:
    """The heartbeat of a stage that consumes in a thread."""
    stop, heartbeat = Stop(), Heartbeat()
    settings = KafkaSettings(kafka_bootstrap=bootstrap, kafka_group=f"group-{topic}")
    stage = Stage("test", topic, Forecast, step)

    def run() -> None:
        with Producer(bootstrap) as producer:
            run_stage(stage, settings, producer, stop, heartbeat)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield heartbeat
    finally:
        stop.set()
        thread.join(60)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_a_stage_waits_for_brokers_that_are_not_there() -> None:
    with running(NOWHERE, "nowhere") as heartbeat:
        assert within(10, lambda: heartbeat.waiting == "the brokers")


def test_a_member_without_a_partition_is_ready_too(kafka_bootstrap: str,
                                                   make_topic: MakeTopic) -> None:
    topic = make_topic(partitions=1)
    with running(kafka_bootstrap, topic) as first:
        assert within(30, lambda: not first.waiting)
        with running(kafka_bootstrap, topic) as second:
            assert within(5, lambda: second.waiting == "the brokers")
            assert within(30, lambda: not second.waiting)


def test_a_step_that_can_t_work_makes_it_unready_until_it_can(kafka_bootstrap: str,
                                                              make_topic: MakeTopic) -> None:
    topic, away = make_topic(), threading.Event()
    away.set()

    def step(batch: list[Forecast]) -> None:
        if away.is_set():
            raise Unavailable("the database: gone for lunch")

    with Producer(kafka_bootstrap) as producer:
        producer.send(topic, Forecast(
            symbol="SPY", expiry=date(2026, 12, 18), made_at=NOW, horizon_s=60, target_at=NOW,
            model_name="m", model_version="1", role="champion", source="simulated", forward=600.0,
            smile=[0.2], lower=[None], upper=[0.3], repaired=False, latency_ms=1.0))
    with running(kafka_bootstrap, topic, step) as heartbeat:
        assert within(30, lambda: heartbeat.waiting == "the database: gone for lunch")
        away.clear()
        assert within(30, lambda: not heartbeat.waiting)


def test_a_monitor_is_ready_once_it_has_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Heartbeat] = []

    def note(port: int, heartbeat: Heartbeat) -> HealthServer:
        served.append(heartbeat)
        return serve(port, heartbeat)

    monkeypatch.setattr(monitor, "serve", note)
    stop = Stop()
    settings = MonitorSettings(database_url="postgresql://me@127.0.0.1:1/smile", metrics_port=0)
    thread = threading.Thread(target=monitor.run, args=(settings, stop))
    thread.start()
    try:
        assert within(10, lambda: bool(served) and "the database" in served[0].waiting)
    finally:
        stop.set()
        thread.join(30)
