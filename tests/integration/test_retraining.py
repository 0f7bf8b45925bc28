"""Retrainings on a real database: asked for once, followed to their end, by a running monitor."""

import sys
import threading
import time
from datetime import timedelta

import psutil
import pytest

from services.common import health
from services.common.database import Database
from services.common.errors import ServiceError, Unavailable
from services.common.lifecycle import Stop
from services.monitor import main
from services.monitor.champion import Champion
from services.monitor.process import ProcessLauncher
from services.monitor.retraining import Asked, Outcome, Retraining
from services.monitor.settings import MonitorSettings
from tests.integration.monitored import SERVED, START, drawn, scored, write


class FakeLauncher:
    """Starts nothing; says what it is told to."""

    name = "process"

    def __init__(self):
        self.started, self.outcome, self.refusal, self.closed = [], Outcome("running"), None, False

    def start(self, asked, requested_at):
        if self.refusal is not None:
            raise self.refusal
        self.started.append(asked.model_name)
        return f"job-{len(self.started)}"

    def look(self, job):
        if self.refusal is not None:
            raise self.refusal
        return self.outcome

    def stop(self, job):
        self.outcome = Outcome("failed", "stopped")

    def close(self):
        self.closed = True


def wanted(name="smile"):
    return Asked(name, "live", "drift")


def retrainings(database):
    return scored(database, "SELECT model_name, status, job, detail FROM retrainings "
                            "ORDER BY requested_at")


def test_two_that_ask_within_the_cool_down_retrain_once(monitor_url, monitor_db):
    launchers = [FakeLauncher(), FakeLauncher()]
    for launcher in launchers:
        with Database(monitor_url, "test") as own:
            Retraining(own, launcher, 3600.0, 3600.0).ask(wanted())
    Retraining(monitor_db, launchers[1], 3600.0, 3600.0).ask(wanted("another"))
    Retraining(monitor_db, launchers[1], 1e-3, 3600.0).ask(wanted())

    assert [launcher.started for launcher in launchers] == [["smile"], ["another", "smile"]]
    assert [row[:3] for row in retrainings(monitor_db)] == [
        ("smile", "running", "job-1"), ("another", "running", "job-1"),
        ("smile", "running", "job-2")]


def test_many_that_ask_at_the_same_moment_retrain_once(monitor_url):
    launcher, together = FakeLauncher(), threading.Barrier(6)

    def ask():
        with Database(monitor_url, "test") as own:
            own.rows("SELECT 1")
            together.wait(30.0)
            Retraining(own, launcher, 3600.0, 3600.0).ask(wanted())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)

    assert launcher.started == ["smile"]


def test_the_end_of_a_retraining_is_written_down_once(monitor_db):
    launcher, now = FakeLauncher(), [0.0]
    retraining = Retraining(monitor_db, launcher, 3600.0, 3600.0, clock=lambda: now[0])
    retraining.ask(wanted())
    for outcome in (Outcome("running"), Outcome("succeeded", "version 4"), Outcome("failed")):
        now[0] += 10.0
        launcher.outcome = outcome
        retraining.step()

    assert retrainings(monitor_db) == [("smile", "succeeded", "job-1", "version 4")]


def test_one_that_takes_too_long_is_stopped_and_one_without_a_trace_is_lost(monitor_db):
    launcher, now = FakeLauncher(), [0.0]
    retraining = Retraining(monitor_db, launcher, 1e-3, 1e-3, clock=lambda: now[0])
    for outcome in (Outcome("running"), Outcome("unknown")):
        retraining.ask(wanted())
        launcher.outcome = outcome
        time.sleep(0.01)
        now[0] += 10.0
        retraining.step()

    assert [row[1] for row in retrainings(monitor_db)] == ["failed", "lost"]
    assert "took more than" in retrainings(monitor_db)[0][3]


def test_a_refusal_keeps_the_cool_down_and_a_cluster_that_is_away_does_not(monitor_db):
    launcher = FakeLauncher()
    retraining = Retraining(monitor_db, launcher, 3600.0, 3600.0)
    launcher.refusal = Unavailable("the cluster can't be reached")
    retraining.ask(wanted())
    assert retrainings(monitor_db) == []
    launcher.refusal = ServiceError("the cluster refuses")
    retraining.ask(wanted())
    launcher.refusal = None
    retraining.ask(wanted())

    assert retrainings(monitor_db) == [("smile", "failed", None, "the cluster refuses")]
    assert launcher.started == []


def test_what_may_not_be_looked_at_is_told_once_and_what_can_t_be_for_now_again(
        monitor_db, capsys):
    launcher = FakeLauncher()
    retraining = Retraining(monitor_db, launcher, 3600.0, 3600.0, clock=clock_of_steps())
    retraining.ask(wanted())
    launcher.refusal = Unavailable("too many requests")
    retraining.step()
    assert retrainings(monitor_db) == [("smile", "running", "job-1", None)]
    launcher.refusal = ServiceError("the cluster refuses, 403 Forbidden")
    for _ in range(3):
        retraining.step()

    assert retrainings(monitor_db) == [
        ("smile", "lost", "job-1", "the cluster refuses, 403 Forbidden")]
    assert capsys.readouterr().out.count("403 Forbidden") == 1


@pytest.mark.parametrize(("program", "status", "detail"), [
    ("print('epoch 1'); print('registered version 4')", "succeeded", "registered version 4"),
    ("import sys; sys.exit('too little history')", "failed", "with code 1: too little history"),
])
def test_a_process_that_trains_is_followed_to_its_end(monitor_db, program, status, detail):
    launcher = ProcessLauncher([sys.executable, "-c", program])
    with Retraining(monitor_db, launcher, 3600.0, 3600.0, clock=clock_of_steps()) as retraining:
        retraining.ask(wanted())
        deadline = time.monotonic() + 30.0
        while retrainings(monitor_db)[0][1] == "running" and time.monotonic() < deadline:
            retraining.step()
            time.sleep(0.02)

    [(_, ended, job, said)] = retrainings(monitor_db)
    assert ended == status and detail in said and ":" in job


def test_a_process_ends_with_the_monitor_and_that_is_written_down(monitor_db):
    launcher = ProcessLauncher([sys.executable, "-c", "import time; time.sleep(60)"])
    with Retraining(monitor_db, launcher, 3600.0, 3600.0) as retraining:
        retraining.ask(wanted())
        assert retrainings(monitor_db)[0][1] == "running"

    [(_, status, job, _)] = retrainings(monitor_db)
    assert status == "failed" and not psutil.pid_exists(int(job.partition(":")[2]))


def test_a_program_that_is_not_there_is_a_failure_with_its_name(monitor_db):
    Retraining(monitor_db, ProcessLauncher(["/no/such/trainer"]), 3600.0, 3600.0).ask(wanted())

    [(_, status, _, detail)] = retrainings(monitor_db)
    assert status == "failed" and "/no/such/trainer" in detail


def clock_of_steps():
    """A clock on which every look is due."""
    now = iter(range(0, 10**9, 10))
    return lambda: float(next(now))


def test_the_running_monitor_retrains_and_goes_on_scoring(monitor_url, monitor_db, monkeypatch):
    write(monitor_db, [START + timedelta(minutes=5 * place) for place in range(24 * 12)],
          features=drawn(0.6), forecast=False)
    monkeypatch.setattr("services.monitor.main.Champion",
                        lambda url, every: Champion(url, every, ask=lambda *_: SERVED))
    settings = MonitorSettings(
        database_url=monitor_url, metrics_port=0, monitor_interval_seconds=0.05,
        model_server_url="http://model-server", drift_interval_seconds=300.0, drift_checks=2,
        retrain="process", retrain_command=(sys.executable, "-c", "print('trained')"))
    stop = Stop()
    steps = iter(range(10_000))

    def beat(self):
        place = next(steps)
        write(monitor_db, [START + timedelta(days=1, minutes=place)], features=drawn(0.6))
        ended = monitor_db.rows("SELECT status FROM retrainings WHERE status = 'succeeded'")
        if (ended and place > 12) or place > 600:
            stop.set()

    monkeypatch.setattr(health.Heartbeat, "beat", beat)
    main.run(settings, stop)

    assert [row[1] for row in retrainings(monitor_db)] == ["succeeded"]
    assert scored(monitor_db)[0][0] > 0
