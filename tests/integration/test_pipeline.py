"""All stages on real Kafka and a real database: from chains to forecasts and their scores."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from services.common import messages
from services.common.database import Database
from services.common.messages import (
    OPTION_CHAIN,
    OPTION_FEATURES,
    PREDICTED_SMILE,
    FeatureRow,
    Forecast,
)
from services.features import main as features
from services.features.settings import FeaturesSettings
from services.monitor import main as monitor
from services.monitor.champion import Champion
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor
from services.predictor import main as predictor
from services.predictor.settings import PredictorSettings
from services.writer import main as writer
from services.writer.settings import WriterSettings
from tests.integration.pipeline import (
    CONTRACTS,
    EXPIRIES,
    START,
    eventually,
    group_at_end,
    minutes,
    new_symbol,
    of_symbol,
    publish,
    read_all,
    running,
)
from tests.integration.small_model_server import HORIZONS, SmallModelServer


@pytest.fixture
def stages(kafka_bootstrap, database_url):
    """Runs writer, features, predictor and monitor: `with stages(model_server_url): …`"""
    common = {"database_url": database_url, "metrics_port": 0}
    groups = {topic: [group_at_end(kafka_bootstrap, topic) for _ in range(2)]
              for topic in (OPTION_CHAIN, OPTION_FEATURES)}

    @contextmanager
    def start(model_server_url):
        kafka = {**common, "kafka_bootstrap": kafka_bootstrap}
        chains, others = groups[OPTION_CHAIN]
        with (running(writer.run, WriterSettings(kafka_group=chains, **kafka)),
              running(features.run, FeaturesSettings(kafka_group=others, **kafka)),
              running(predictor.run, PredictorSettings(
                  kafka_group=groups[OPTION_FEATURES][0], model_server_url=model_server_url,
                  model_timeout_seconds=5.0, **kafka)),
              running(monitor.run, MonitorSettings(
                  monitor_interval_seconds=0.2, model_server_url=model_server_url, **common))):
            yield

    return start


def due(tables, symbol):
    """Forecasts whose time has come, and how many of them have a score."""
    return tables.rows(
        "WITH now AS (SELECT max(ts) AS ts FROM option_features WHERE symbol = %s) "
        "SELECT count(*), count(s.symbol) FROM predicted_smile p "
        "LEFT JOIN prediction_scores s USING (symbol, expiry, made_at, horizon_s, model_name) "
        "WHERE p.symbol = %s AND p.target_at <= (SELECT ts FROM now)", symbol, symbol)[0]


def scored(tables, symbol, forecasts):
    """True once all forecasts are made and those that are due have their scores."""
    made = tables.count("predicted_smile", symbol)
    come, done = due(tables, symbol)
    return made == forecasts and come == done > 0


def test_chains_become_quotes_features_forecasts_and_scores(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 35)
    with SmallModelServer() as server, stages(server.url):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))
        eventually(lambda: tables.count("spy_option_chain", symbol) == len(chains) * CONTRACTS)

    assert tables.rows("SELECT reason, count(*) FROM option_features WHERE symbol = %s "
                       "GROUP BY reason", symbol) == [(None, len(chains))]
    roles = dict(tables.rows("SELECT role, count(*) FROM predicted_smile WHERE symbol = %s "
                             "GROUP BY role", symbol))
    # Nine minutes are too short a past for a window of ten.
    assert roles == {"baseline": 9 * 2 * 4, "champion": 26 * 2 * 4}
    # 34, 30, 20 and 5 of the 35 instants lie a horizon before the last one.
    assert due(tables, symbol) == (2 * 89, 2 * 89)


def test_scores_of_a_steady_smile_are_small_and_the_band_holds_it(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 15)
    with SmallModelServer() as server, stages(server.url):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))

    rows = tables.rows(
        "SELECT quotes, error_bp, persistence_bp, filtered_persistence_bp, sticky_strike_bp, "
        "ewma_bp, ar_bp, har_bp, kalman_bp, half_spread_bp, coverage, observed_at = target_at "
        "FROM prediction_scores "
        "WHERE symbol = %s AND role = 'champion'", symbol)
    assert rows
    for quotes, *errors, half_spread, coverage, on_time in rows:
        assert quotes >= 10 and on_time
        assert max(errors) < 10.0 and max(errors) - min(errors) < 1.0
        assert half_spread > 0.0
        assert coverage == 1.0


def test_topics_and_tables_tell_the_same(kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 3)
    with stages("http://127.0.0.1:9"):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))

    rows = [messages.decode(message.value(), FeatureRow)
            for message in read_all(kafka_bootstrap, OPTION_FEATURES, of_symbol(symbol))]
    forecasts = [messages.decode(message.value(), Forecast)
                 for message in read_all(kafka_bootstrap, PREDICTED_SMILE, of_symbol(symbol))]
    assert [(row.expiry, row.ts, row.grid_vol, row.quote_mid_iv) for row in rows] == tables.rows(
        "SELECT expiry, ts, grid_vol, quote_mid_iv FROM option_features WHERE symbol = %s "
        "ORDER BY ts, expiry", symbol)
    assert [(one.made_at, one.expiry, one.horizon_s, one.smile) for one in forecasts] == \
        tables.rows("SELECT made_at, expiry, horizon_s, smile FROM predicted_smile "
                    "WHERE symbol = %s ORDER BY made_at, expiry, horizon_s", symbol)


def test_without_a_model_server_the_baseline_is_forecast_and_scored(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 12)
    with stages("http://127.0.0.1:9"):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))

    made = tables.rows("SELECT DISTINCT role, model_name, note FROM predicted_smile "
                       "WHERE symbol = %s AND made_at = %s", symbol,
                       START + timedelta(minutes=11))
    assert [(role, name) for role, name, _ in made] == [("baseline", "filtered_persistence")]
    assert "model server" in made[0][2]
    errors = tables.rows("SELECT error_bp, filtered_persistence_bp FROM prediction_scores "
                         "WHERE symbol = %s", symbol)
    assert all(error == pytest.approx(baseline, abs=1e-6) for error, baseline in errors)


def test_a_shadow_s_forecasts_are_stored_published_and_scored_beside_the_champion_s(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 12)
    shadowed = 3 * len(EXPIRIES) * len(HORIZONS)  # of the last three minutes, which have a window
    with SmallModelServer() as server, stages(server.url):
        server.shadow_changes = (-0.02, 0.005, 0.03)
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS) + shadowed))

    rows = tables.rows("SELECT model_name, model_version, band_scale < 1, count(*) "
                       "FROM predicted_smile WHERE symbol = %s AND role = 'shadow' "
                       "GROUP BY 1, 2, 3 ORDER BY 3", symbol)
    published = [messages.decode(message.value(), Forecast)
                 for message in read_all(kafka_bootstrap, PREDICTED_SMILE, of_symbol(symbol))]
    # The first outcome of a minute ahead, well within the band, counts from two minutes on.
    assert rows == [("constant.shadow", "9", False, shadowed - len(EXPIRIES)),
                    ("constant.shadow", "9", True, len(EXPIRIES))]
    assert sum(one.role == "shadow" for one in published) == shadowed
    assert tables.rows("SELECT DISTINCT horizon_s FROM prediction_scores WHERE symbol = %s "
                       "AND role = 'shadow' AND quotes > 0 AND error_bp > 30", symbol) == [(60,)]


def test_a_restarted_predictor_forecasts_at_once_from_the_table_s_past(
        kafka_bootstrap, stages, tables, symbol):
    with SmallModelServer() as server:
        with stages(server.url):
            publish(kafka_bootstrap, OPTION_CHAIN, minutes(symbol, 12))
            eventually(lambda: tables.count("predicted_smile", symbol) == 12 * 2 * 4)
        with stages(server.url):
            publish(kafka_bootstrap, OPTION_CHAIN, minutes(symbol, 1, first=12))
            eventually(lambda: tables.count("predicted_smile", symbol) == 13 * 2 * 4)

    roles = tables.rows("SELECT DISTINCT role FROM predicted_smile WHERE symbol = %s "
                        "AND made_at = %s", symbol, START + timedelta(minutes=12))
    assert roles == [("champion",)]


def test_reading_all_again_adds_no_row_and_moves_no_smile(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 14)
    with SmallModelServer() as server, stages(server.url):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))
        before = state(tables, symbol)
        marker = new_symbol()
        publish(kafka_bootstrap, OPTION_CHAIN, [*chains, *minutes(marker, 1)])
        eventually(lambda: tables.count("predicted_smile", marker) == 2 * len(HORIZONS))
    after = state(tables, symbol)

    assert [key for key, _ in after] == [key for key, _ in before]
    # A fit starts where the last one ended, so that it ends within a hair's breadth.
    assert np.array([vols for _, vols in after]) == pytest.approx(
        np.array([vols for _, vols in before]), abs=1e-6)


def state(tables, symbol):
    """Every smile and forecast of a symbol, by its key."""
    return [(row[:-1], row[-1]) for query in (
        "SELECT expiry, ts, quotes_used, reason, grid_vol FROM option_features "
        "WHERE symbol = %s ORDER BY ts, expiry",
        "SELECT expiry, made_at, horizon_s, model_name, role, smile FROM predicted_smile "
        "WHERE symbol = %s ORDER BY made_at, expiry, horizon_s, model_name")
        for row in tables.rows(query, symbol)]


def test_a_forecast_that_nothing_was_observed_for_gets_an_empty_score_once(
        kafka_bootstrap, stages, tables, symbol):
    chains = minutes(symbol, 1) + minutes(symbol, 1, first=3)
    with stages("http://127.0.0.1:9"):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: tables.count("prediction_scores", symbol) == len(EXPIRIES))

    assert tables.rows("SELECT DISTINCT horizon_s, quotes, error_bp, observed_at "
                       "FROM prediction_scores WHERE symbol = %s", symbol) == [(60, 0, None, None)]


def test_a_monitor_that_begins_anew_makes_the_same_scores(
        kafka_bootstrap, stages, tables, database_url, symbol):
    chains = minutes(symbol, 12)
    with SmallModelServer() as server, stages(server.url):
        publish(kafka_bootstrap, OPTION_CHAIN, chains)
        eventually(lambda: scored(tables, symbol, len(chains) * len(HORIZONS)))
    query = ("DELETE FROM prediction_scores WHERE symbol = %s RETURNING expiry, made_at, "
             "horizon_s, model_name, observed_at, quotes, error_bp, sticky_strike_bp")
    before = sorted(tables.rows(query, symbol))
    with Database(database_url, "test") as database:
        again = Monitor(database, MonitorSettings(database_url=database_url, monitor_batch=7),
                        Champion("", 60.0))
        while again.step():
            pass

    assert sorted(tables.rows(query, symbol)) == before


@pytest.mark.parametrize("stage", ["writer", "features", "predictor", "monitor"])
def test_a_missing_setting_is_named_and_ends_the_service_with_code_2(stage):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("SMILE_")}
    ended = subprocess.run([sys.executable, "-m", f"services.{stage}"], env=environment,
                           cwd=Path(__file__).parents[2], capture_output=True, text=True,
                           timeout=60, check=False)

    assert ended.returncode == 2
    said = ended.stdout + ended.stderr
    assert "SMILE_DATABASE_URL is not set" in said or "SMILE_KAFKA_BOOTSTRAP is not set" in said
    assert "Traceback" not in said
