"""The monitor on a real database: scores by source, drift, and what it does about it."""

import contextlib
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import psutil
import psycopg2
import pytest

from ml.baselines import changes
from ml.contract import PERCENTILES, FeatureReference, to_json
from ml.drift import __main__ as drift
from ml.features import INSTANT_FEATURES, filtered_smile
from services.common import health, metrics
from services.common.database import Database
from services.common.errors import ServiceError, Unavailable
from services.common.lifecycle import Stop
from services.common.model_contract import Served
from services.monitor import main
from services.monitor.champion import Champion
from services.monitor.process import ProcessLauncher
from services.monitor.queries import Stream
from services.monitor.retraining import Asked, Outcome, Retraining
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor
from services.monitor.watch import DriftWatch
from sql.migrate import apply
from tests.integration import dashboard_rows as rows
from tests.unit.small_model import HORIZONS, WINDOW, make_contract

START = datetime(2026, 8, 10, 14, 0, tzinfo=UTC)
EXPIRY = rows.expiries(START.date())[2]
SYMBOL = rows.SYMBOL


@pytest.fixture(scope="module")
def migrated(postgres_url):
    """A migrated database of this module's own."""
    with contextlib.closing(psycopg2.connect(postgres_url)) as server:
        server.autocommit = True
        server.cursor().execute("CREATE DATABASE monitor")
    own = postgres_url.rpartition("/")[0] + "/monitor"
    apply(own)
    return own


@pytest.fixture
def url(migrated):
    """That database, emptied."""
    tables = ("option_features", "predicted_smile", "prediction_scores", "drift_checks",
              "retrainings")
    with contextlib.closing(psycopg2.connect(migrated)) as connection, connection, \
            connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)}")
    return migrated


@pytest.fixture
def database(url):
    with Database(url, "test") as opened:
        yield opened


def minutes(count, start=START):
    return [start + timedelta(minutes=place) for place in range(count)]


def write(url, instants, source="simulated", features=None, forecast=True):
    """Smiles of one expiry, and the champion's and the shadow's forecasts of each."""
    made = [rows.feature_row(at, EXPIRY, source) for at in instants]
    if features is not None:
        made = [msgspec.structs.replace(row, features=features(row.ts)) for row in made]
    forecasts = [one for row in made for role in ("champion", "shadow")
                 for one in rows.forecasts(row, role)
                 if forecast and one.horizon_s in HORIZONS]
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, \
            connection.cursor() as cursor:
        rows.insert(cursor, "option_features", made)
        rows.insert(cursor, "predicted_smile", forecasts)


def monitor(database, served=None, **settings):
    champion = Champion("http://model-server" if served else "", 60.0,
                        ask=lambda url, timeout: served)
    return Monitor(database, MonitorSettings(database_url="-", **settings), champion)


def scored(database, query="SELECT count(*) FROM prediction_scores", *values):
    return database.rows(query, values)


# --- scores

def test_a_recording_is_scored_whatever_newer_rows_its_symbol_has(url, database):
    write(url, minutes(8, START - timedelta(days=400)), "recorded")
    write(url, minutes(8), "live")
    one = monitor(database)
    while one.step():
        pass

    found = scored(database, "SELECT source, role, model_version, count(*), min(quotes) > 0 "
                             "FROM prediction_scores GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
    # Of eight minutes, seven lie a minute and three five minutes before the last.
    assert found == [(source, role, version, 10, True) for source in ("live", "recorded")
                     for role, version in (("champion", "3"), ("shadow", "4"))]
    assert set(one.clocks) == {Stream(SYMBOL, "live"), Stream(SYMBOL, "recorded")}


def test_a_forecast_is_held_against_the_champion_s_own_baselines(url, database):
    write(url, minutes(8))
    contract = make_contract()
    monitor(database, Served(contract, "3")).step()
    [(ewma, ar, filtered)] = scored(
        database, "SELECT ewma_bp, ar_bp, filtered_persistence_bp FROM prediction_scores "
                  "WHERE made_at = %s AND horizon_s = 60 AND role = 'champion'",
        START + timedelta(minutes=5))

    grid = np.array([rows.feature_row(START + timedelta(minutes=place), EXPIRY, "live").grid_vol
                     for place in range(2, 6)])
    reference = filtered_smile(grid, contract.filter_weight)
    named = {one.name: one for one in contract.baselines}
    for error, name in ((ewma, "ewma"), (ar, "ar")):
        held = reference + changes(named[name], (grid - reference)[None])[0, 0]
        assert error == pytest.approx(error_bp(held, START + timedelta(minutes=6)))
    assert filtered == pytest.approx(error_bp(reference, START + timedelta(minutes=6)))


def error_bp(held, at):
    """Root mean square over the quotes of an instant of one whose smile is held by moneyness."""
    from ml.baselines import on_grid, score_smile

    row = rows.feature_row(at, EXPIRY, "live")
    log_moneyness = np.log(np.array(row.quote_strike) / row.forward)
    kept = on_grid(log_moneyness, row.atm_vol, row.tau)
    return 1e4 * score_smile(held, row.tau, log_moneyness[kept],
                             np.array(row.quote_mid_iv)[kept])


def test_a_monitor_that_begins_anew_shows_the_same_rolling_metrics(url, database):
    write(url, minutes(30))
    made = minutes(12)
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, \
            connection.cursor() as cursor:
        cursor.execute("UPDATE predicted_smile SET model_version = '2' WHERE made_at < %s",
                       (made[-1],))
    seen = []
    for _ in range(2):
        metrics.ERROR_BP.clear()
        one = monitor(database)
        while one.step():
            pass
        seen.append({tuple(sample.labels.values()): sample.value
                     for metric in metrics.ERROR_BP.collect() for sample in metric.samples})
    [(champion,)] = scored(
        database, "SELECT sqrt(avg(error_bp ^ 2)) FROM (SELECT DISTINCT ON (floor(extract("
                  "epoch FROM made_at) / 300)) error_bp FROM prediction_scores WHERE "
                  "horizon_s = 300 AND role = 'champion' AND made_at >= %s ORDER BY floor("
                  "extract(epoch FROM made_at) / 300), made_at) s", made[-1])

    assert seen[0] == pytest.approx(seen[1]) and len(seen[0]) == 4
    assert seen[0][SYMBOL, "simulated", "champion", "smile", "300"] == pytest.approx(champion)


def test_a_model_s_forecasts_wait_until_the_champion_s_baselines_are_known(url, database):
    write(url, minutes(8))
    answers = iter([Unavailable("not yet"), SERVED])
    now = [0.0]

    def ask(url, timeout):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = Monitor(database, MonitorSettings(database_url="-"),
                  Champion("http://model-server", 60.0, clock=lambda: now[0], ask=ask))
    one.step()
    assert scored(database) == [(0,)]
    now[0] = 10.0
    one.step()

    [(count, known)] = scored(database, "SELECT count(*), count(ewma_bp) FROM prediction_scores "
                                        "WHERE made_at >= %s", START + timedelta(minutes=WINDOW))
    assert 0 < count == known
    assert scored(database) == [(20,)]


def test_without_a_contract_the_fitted_baselines_stay_unknown(url, database):
    write(url, minutes(WINDOW + 2))
    monitor(database).step()
    [(known, unknown)] = scored(database, "SELECT count(persistence_bp), count(ewma_bp) "
                                          "FROM prediction_scores")

    assert known > 0 and unknown == 0


# --- drift

NAMES = ("atm_vol", "skew", "half_spread")


def reference():
    """Every feature as likely anywhere from 0 to 1."""
    return FeatureReference(names=NAMES, quantiles=tuple(
        tuple(np.linspace(0.0, 1.0, PERCENTILES).tolist()) for _ in NAMES))


def drawn(shift):
    """Features of an instant, as the reference has them but for a shift."""
    def of(at):
        values = np.random.default_rng(int(at.timestamp())).random(len(INSTANT_FEATURES))
        return (values + shift).tolist()

    return of


class Remembers:
    """What was asked of it."""

    def __init__(self):
        self.asked = []

    def ask(self, asked):
        self.asked.append(asked)


SERVED = Served(msgspec.structs.replace(make_contract(), reference=reference(), samples=5000), "3")
STREAM = Stream(SYMBOL, "simulated")
HOUR = timedelta(hours=1)


def watched(url, database, shift, hours=4):
    """A watch that has seen the clock go on by so many hours, after a day of history."""
    write(url, [START + timedelta(minutes=5 * place) for place in range(24 * 12 + hours * 12 + 1)],
          features=drawn(shift), forecast=False)
    kept = Remembers()
    watch = DriftWatch(database, MonitorSettings(database_url="-", drift_interval_seconds=3600.0),
                       kept)
    for hour in range(hours + 1):
        watch.step({STREAM: START + timedelta(days=1) + hour * HOUR}, SERVED)
    return kept.asked


def test_features_as_in_training_are_no_drift(url, database):
    asked = watched(url, database, 0.0)
    found = scored(database, "SELECT DISTINCT kind, subject, found, psi < 0.2, samples "
                             "FROM drift_checks ORDER BY subject")

    assert asked == []
    assert found == [("feature", name, False, True, 288) for name in sorted(NAMES)]


def test_drift_that_persists_is_a_reason_to_retrain(url, database):
    asked = watched(url, database, 0.6)
    checks = scored(database, "SELECT count(DISTINCT at), bool_and(found) FROM drift_checks")

    assert checks == [(4, True)]
    assert [one.model_name for one in asked] == ["smile", "smile"]  # at the third and the fourth
    assert asked[0].source == "simulated" and "the features have drifted" in asked[0].reason
    assert "version 3 on SPY (simulated), in 3 checks" in asked[0].reason


def test_a_stream_whose_clock_stands_still_is_checked_once(url, database):
    watched(url, database, 0.6, hours=1)
    kept = Remembers()
    watch = DriftWatch(database, MonitorSettings(database_url="-", drift_interval_seconds=3600.0),
                       kept)
    for _ in range(5):
        watch.step({STREAM: START + timedelta(days=1) + HOUR}, SERVED)

    assert kept.asked == []
    assert scored(database, "SELECT count(DISTINCT at) FROM drift_checks") == [(1,)]


# --- retraining

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


def test_two_that_ask_within_the_cool_down_retrain_once(url, database):
    launchers = [FakeLauncher(), FakeLauncher()]
    for launcher in launchers:
        with Database(url, "test") as own:
            Retraining(own, launcher, 3600.0, 3600.0).ask(wanted())
    Retraining(database, launchers[1], 3600.0, 3600.0).ask(wanted("another"))
    Retraining(database, launchers[1], 1e-3, 3600.0).ask(wanted())

    assert [launcher.started for launcher in launchers] == [["smile"], ["another", "smile"]]
    assert [row[:3] for row in retrainings(database)] == [
        ("smile", "running", "job-1"), ("another", "running", "job-1"),
        ("smile", "running", "job-2")]


def test_many_that_ask_at_the_same_moment_retrain_once(url):
    launcher, together = FakeLauncher(), threading.Barrier(6)

    def ask():
        with Database(url, "test") as own:
            own.rows("SELECT 1")
            together.wait(30.0)
            Retraining(own, launcher, 3600.0, 3600.0).ask(wanted())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)

    assert launcher.started == ["smile"]


def test_the_end_of_a_retraining_is_written_down_once(database):
    launcher, now = FakeLauncher(), [0.0]
    retraining = Retraining(database, launcher, 3600.0, 3600.0, clock=lambda: now[0])
    retraining.ask(wanted())
    for outcome in (Outcome("running"), Outcome("succeeded", "version 4"), Outcome("failed")):
        now[0] += 10.0
        launcher.outcome = outcome
        retraining.step()

    assert retrainings(database) == [("smile", "succeeded", "job-1", "version 4")]


def test_one_that_takes_too_long_is_stopped_and_one_without_a_trace_is_lost(database):
    launcher, now = FakeLauncher(), [0.0]
    retraining = Retraining(database, launcher, 1e-3, 1e-3, clock=lambda: now[0])
    for outcome in (Outcome("running"), Outcome("unknown")):
        retraining.ask(wanted())
        launcher.outcome = outcome
        time.sleep(0.01)
        now[0] += 10.0
        retraining.step()

    assert [row[1] for row in retrainings(database)] == ["failed", "lost"]
    assert "took more than" in retrainings(database)[0][3]


def test_a_refusal_keeps_the_cool_down_and_a_cluster_that_is_away_does_not(database):
    launcher = FakeLauncher()
    retraining = Retraining(database, launcher, 3600.0, 3600.0)
    launcher.refusal = Unavailable("the cluster can't be reached")
    retraining.ask(wanted())
    assert retrainings(database) == []
    launcher.refusal = ServiceError("the cluster refuses")
    retraining.ask(wanted())
    launcher.refusal = None
    retraining.ask(wanted())

    assert retrainings(database) == [("smile", "failed", None, "the cluster refuses")]
    assert launcher.started == []


def test_what_may_not_be_looked_at_is_told_once_and_what_can_t_be_for_now_again(
        database, capsys):
    launcher = FakeLauncher()
    retraining = Retraining(database, launcher, 3600.0, 3600.0, clock=clock_of_steps())
    retraining.ask(wanted())
    launcher.refusal = Unavailable("too many requests")
    retraining.step()
    assert retrainings(database) == [("smile", "running", "job-1", None)]
    launcher.refusal = ServiceError("the cluster refuses, 403 Forbidden")
    for _ in range(3):
        retraining.step()

    assert retrainings(database) == [
        ("smile", "lost", "job-1", "the cluster refuses, 403 Forbidden")]
    assert capsys.readouterr().out.count("403 Forbidden") == 1


@pytest.mark.parametrize(("program", "status", "detail"), [
    ("print('epoch 1'); print('registered version 4')", "succeeded", "registered version 4"),
    ("import sys; sys.exit('too little history')", "failed", "with code 1: too little history"),
])
def test_a_process_that_trains_is_followed_to_its_end(database, program, status, detail):
    launcher = ProcessLauncher([sys.executable, "-c", program])
    with Retraining(database, launcher, 3600.0, 3600.0, clock=clock_of_steps()) as retraining:
        retraining.ask(wanted())
        deadline = time.monotonic() + 30.0
        while retrainings(database)[0][1] == "running" and time.monotonic() < deadline:
            retraining.step()
            time.sleep(0.02)

    [(_, ended, job, said)] = retrainings(database)
    assert ended == status and detail in said and ":" in job


def test_a_process_ends_with_the_monitor_and_that_is_written_down(database):
    launcher = ProcessLauncher([sys.executable, "-c", "import time; time.sleep(60)"])
    with Retraining(database, launcher, 3600.0, 3600.0) as retraining:
        retraining.ask(wanted())
        assert retrainings(database)[0][1] == "running"

    [(_, status, job, _)] = retrainings(database)
    assert status == "failed" and not psutil.pid_exists(int(job.partition(":")[2]))


def test_a_program_that_is_not_there_is_a_failure_with_its_name(database):
    Retraining(database, ProcessLauncher(["/no/such/trainer"]), 3600.0, 3600.0).ask(wanted())

    [(_, status, _, detail)] = retrainings(database)
    assert status == "failed" and "/no/such/trainer" in detail


def clock_of_steps():
    """A clock on which every look is due."""
    now = iter(range(0, 10**9, 10))
    return lambda: float(next(now))


def test_the_running_monitor_retrains_and_goes_on_scoring(url, database, monkeypatch):
    write(url, [START + timedelta(minutes=5 * place) for place in range(24 * 12)],
          features=drawn(0.6), forecast=False)
    monkeypatch.setattr("services.monitor.main.Champion",
                        lambda url, every: Champion(url, every, ask=lambda *_: SERVED))
    settings = MonitorSettings(
        database_url=url, metrics_port=0, monitor_interval_seconds=0.05,
        model_server_url="http://model-server", drift_interval_seconds=300.0, drift_checks=2,
        retrain="process", retrain_command=(sys.executable, "-c", "print('trained')"))
    stop = Stop()
    steps = iter(range(10_000))

    def beat(self):
        place = next(steps)
        write(url, [START + timedelta(days=1, minutes=place)], features=drawn(0.6))
        ended = database.rows("SELECT status FROM retrainings WHERE status = 'succeeded'")
        if (ended and place > 12) or place > 600:
            stop.set()

    monkeypatch.setattr(health.Heartbeat, "beat", beat)
    main.run(settings, stop)

    assert [row[1] for row in retrainings(database)] == ["succeeded"]
    assert scored(database)[0][0] > 0


# --- the report on demand

@pytest.fixture
def told(url, database, tmp_path, monkeypatch):
    """A day and more of drifted features, scores of it, and the contract in a file."""
    write(url, [START + timedelta(minutes=5 * place) for place in range(24 * 12 + 1)],
          features=drawn(0.6), forecast=False)
    write(url, minutes(60, START + timedelta(hours=20)), features=drawn(0.6))
    while monitor(database, SERVED).step():
        pass
    path = tmp_path / "contract.json"
    path.write_bytes(to_json(SERVED.contract))
    monkeypatch.setenv("SMILE_DATABASE_URL", url)
    return path


def test_the_report_tells_what_has_drifted_and_shows_it(told, tmp_path, capsys):
    page = tmp_path / "drift.html"

    assert drift.main(["--from-database", "--contract", str(told), "--html", str(page)]) == 0
    said, shown = capsys.readouterr().out, page.read_text()
    assert "Features against the training fold: 3 of 3 found" in said
    assert "The champion against the best baseline" in said and "+" in said
    assert shown.count("<figure>") == 3 and shown.count("class=found") >= 3
    assert "http" not in shown and "<script" not in shown


@pytest.mark.parametrize(("options", "code", "sentence"), [
    (["--symbol", "NONE"], 2, "no smile of NONE"),
    (["--contract", "/no/such.json"], 2, "/no/such.json: there is no such file"),
    (["--contract", "http://127.0.0.1:9"], 1, "model server at http://127.0.0.1:9/contract"),
    (["--html", "/no/such/folder/page.html"], 2, "can't be written"),
    (["--html", "/proc/page.html"], 2, "/proc/page.html: can't be written"),
    (["--contract", "http://server:port"], 1, "can't be reached"),
])
def test_what_the_report_lacks_is_said_in_a_sentence(told, capsys, options, code, sentence):
    given = ["--from-database", "--contract", str(told), *options]

    assert drift.main(given) == code
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


@pytest.mark.parametrize("hours", ["nan", "-5", "0", "inf", "1e12", "many"])
def test_a_span_that_is_none_is_refused(capsys, hours):
    with pytest.raises(SystemExit, match="2"):
        drift.main(["--from-database", f"--hours={hours}"])
    assert "is no number of hours above 0" in capsys.readouterr().err


def test_missing_settings_of_the_report_are_named(told, capsys, monkeypatch):
    monkeypatch.delenv("SMILE_MODEL_SERVER_URL", raising=False)
    assert drift.main(["--from-database"]) == 2
    monkeypatch.delenv("SMILE_DATABASE_URL")
    assert drift.main(["--from-database", "--contract", str(told)]) == 2
    said = capsys.readouterr().err
    assert "SMILE_MODEL_SERVER_URL is not set" in said and "SMILE_DATABASE_URL is not set" in said
