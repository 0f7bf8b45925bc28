"""Drift, a training by the default command, the gate, the registry, the server: the whole circle.

A noisy market whose spreads widen after the third day, held by a champion that follows every
quote. The filter that a newly trained model finds is better by far, which the gate sees.
"""

from datetime import date

import msgspec
import numpy as np
import pytest

from ml import registry
from ml.args import load, of_kind
from ml.dataset import make_dataset
from ml.features import INSTANT_FEATURES, WINDOW_FEATURES
from ml.progress import Progress
from ml.quiet_mlflow import MlflowClient
from ml.stored import days_from_database
from ml.walk import walk
from services.common import metrics
from services.monitor import main, retraining
from services.monitor.settings import MonitorSettings
from tests.integration import dashboard_rows
from tests.integration.pipeline import eventually, running
from tests.integration.real_model_server import serving, set_alias
from tests.unit.predictor_rows import feature_row
from tests.unit.smiles import DAYS, make_history

MINUTES = 90
WIDER = 2e-3
"""In volatility; three times the half-spread of before."""
PATIENCE_S = 400.0
"""Training takes half a minute, but the monitor lets it yield to all else on the machine."""
FAST = ("--folds=1", "--epochs=2")


def rows_of(series):
    """The features stage's rows of one expiry."""
    for place, at in enumerate(series.at):
        quotes, forward = series.quotes[place], float(series.forward[place])
        plain = feature_row(at, float(series.atm_vol[place]), tau=float(series.tau[place]),
                            expiry=series.expiry)
        yield msgspec.structs.replace(
            plain, underlying=forward, forward=forward, grid_vol=series.grid_vol[place].tolist(),
            features=drifted(at.date(), series.features[place]).tolist(),
            quote_strike=(forward * np.exp(quotes.log_moneyness)).tolist(),
            quote_bid_iv=(quotes.mid_iv - quotes.half_spread).tolist(),
            quote_mid_iv=quotes.mid_iv.tolist(),
            quote_ask_iv=(quotes.mid_iv + quotes.half_spread).tolist())


def drifted(day: date, features):
    """Spreads and the term structure are not what they were, from the fourth day on."""
    moved = features.copy()
    if day >= DAYS[3]:
        for name in ("half_spread", "term_slope"):
            moved[INSTANT_FEATURES.index(name)] += WIDER
    return moved


@pytest.fixture(scope="module")
def history():
    """Rows by day. Six expiries, so that a day's samples are enough to tell drift from."""
    series = make_history(days=5, minutes=MINUTES, expiries=6, noise=2e-3, seed=1)
    rows = [row for one in series for row in rows_of(one)]
    return [[row for row in rows if row.ts.date() == day] for day in DAYS]


@pytest.fixture
def uri(tmp_path, monkeypatch, monitor_url):
    """The registry; it and the database are all that the trainer is told by its environment."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("SMILE_DATABASE_URL", monitor_url)
    return uri


def write(database, rows):
    with database.transaction() as cursor:
        dashboard_rows.insert(cursor, "option_features", rows)


def crown_one_that_holds_every_quote(uri, url):
    """Version 1, by the stored history."""
    config = load(of_kind("persistence"), {"data": {"folds": 1}})
    dataset = make_dataset(days_from_database(url), config.data)
    [walked] = walk(dataset, config, "smile", Progress())
    registry.register(walked.forecaster, dataset.samples.windows[:2], registry.Record(), uri)
    set_alias(uri, "champion", "1")


def looked():
    """Seconds that a monitor of this process has spent on its tables."""
    return metrics.STEP_SECONDS.labels("monitor")._sum.get()


def test_drift_that_persists_ends_in_a_better_model_that_is_served(
        uri, monitor_url, monitor_db, history, tmp_path, monkeypatch):
    monkeypatch.setattr(retraining, "LOOK_EVERY_S", 0.5)
    write(monitor_db, [row for day in history[:3] for row in day])
    crown_one_that_holds_every_quote(uri, monitor_url)
    before = looked()
    with serving(uri, tmp_path) as server:
        server.serves("1")
        settings = MonitorSettings(
            database_url=monitor_url, metrics_port=0, monitor_interval_seconds=0.2,
            model_server_url=server.url, drift_checks=2, retrain="process", retrain_options=FAST)
        with running(main.run, settings):
            eventually(lambda: looked() > before)
            for count, day in enumerate(history[3:], start=1):
                write(monitor_db, day)
                eventually(lambda count=count: monitor_db.rows(
                    "SELECT count(DISTINCT at) FROM drift_checks") == [(count,)])
            ((reason, status, said),) = eventually(lambda: monitor_db.rows(
                "SELECT reason, status, detail FROM retrainings WHERE ended_at IS NOT NULL"),
                seconds=PATIENCE_S)
        server.serves("2")
        answer = server.ask(np.zeros((1, 10, len(WINDOW_FEATURES))).tolist()).json()

    assert "version 1 on SPY (simulated), in 2 checks after one another" in reason
    assert status == "succeeded" and "passed: better than the champion" in said
    assert registry.find_alias("smile", "champion", uri) == answer["model_version"] == "2"
    trained = MlflowClient(uri).get_run(MlflowClient(uri).get_model_version("smile", "2").run_id)
    assert trained.data.params["model.kind"] == "gru"
