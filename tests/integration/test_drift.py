"""The watch for drift and the report on demand, on a real database."""

from datetime import timedelta

import pytest

from ml.contract import to_json
from ml.drift import __main__ as drift
from services.monitor.queries import Stream
from services.monitor.settings import MonitorSettings
from services.monitor.watch import DriftWatch
from tests.integration.monitored import (
    NAMES,
    SERVED,
    START,
    SYMBOL,
    drawn,
    minutes,
    monitor,
    scored,
    write,
)

STREAM = Stream(SYMBOL, "simulated")
HOUR = timedelta(hours=1)


class Remembers:
    """What was asked of it."""

    def __init__(self):
        self.asked = []

    def ask(self, asked):
        self.asked.append(asked)


def watched(database, shift, hours=4):
    """A watch that has seen the clock go on by so many hours, after a day of history."""
    instants = [START + timedelta(minutes=5 * place) for place in range((24 + hours) * 12 + 1)]
    write(database, instants, features=drawn(shift), forecast=False)
    kept = Remembers()
    watch = DriftWatch(database, MonitorSettings(database_url="-", drift_interval_seconds=3600.0),
                       kept)
    for hour in range(hours + 1):
        watch.step({STREAM: START + timedelta(days=1) + hour * HOUR}, SERVED)
    return kept.asked


def test_features_as_in_training_are_no_drift(monitor_db):
    asked = watched(monitor_db, 0.0)
    found = scored(monitor_db, "SELECT DISTINCT kind, subject, found, psi < 0.2, samples "
                               "FROM drift_checks ORDER BY subject")

    assert asked == []
    assert found == [("feature", name, False, True, 288) for name in sorted(NAMES)]


def test_drift_that_persists_is_a_reason_to_retrain(monitor_db):
    asked = watched(monitor_db, 0.6)
    checks = scored(monitor_db, "SELECT count(DISTINCT at), bool_and(found) FROM drift_checks")

    assert checks == [(4, True)]
    assert [one.model_name for one in asked] == ["smile", "smile"]  # at the third and the fourth
    assert asked[0].source == "simulated" and "the features have drifted" in asked[0].reason
    assert "version 3 on SPY (simulated), in 3 checks" in asked[0].reason


def test_a_stream_whose_clock_stands_still_is_checked_once(monitor_db):
    watched(monitor_db, 0.6, hours=1)
    kept = Remembers()
    watch = DriftWatch(monitor_db, MonitorSettings(database_url="-", drift_interval_seconds=3600.0),
                       kept)
    for _ in range(5):
        watch.step({STREAM: START + timedelta(days=1) + HOUR}, SERVED)

    assert kept.asked == []
    assert scored(monitor_db, "SELECT count(DISTINCT at) FROM drift_checks") == [(1,)]


# --- the report on demand

@pytest.fixture
def told(monitor_url, monitor_db, tmp_path, monkeypatch):
    """A day and more of drifted features, scores of it, and the contract in a file."""
    write(monitor_db, [START + timedelta(minutes=5 * place) for place in range(24 * 12 + 1)],
          features=drawn(0.6), forecast=False)
    write(monitor_db, minutes(60, START + timedelta(hours=20)), features=drawn(0.6))
    while monitor(monitor_db, SERVED).step():
        pass
    path = tmp_path / "contract.json"
    path.write_bytes(to_json(SERVED.contract))
    monkeypatch.setenv("SMILE_DATABASE_URL", monitor_url)
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
