"""The whole GOOG half day, from the recording through every stage, as separate processes.

The symbol is renamed, for the tests share topics and tables; all else is as it was quoted.
"""

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ml.history import days_from_quotes
from ml.quotes.format import read_quotes, write_quotes
from ml.quotes.lean import import_lean
from services.common import messages
from services.common.messages import OPTION_CHAIN, OPTION_FEATURES, ChainSlice
from tests.integration.pipeline import (
    Tables,
    eventually,
    group_at_end,
    new_symbol,
    of_symbol,
    read_all,
)
from tests.integration.small_model_server import HORIZONS, SmallModelServer

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
MANY = 100
"""Of 211 minutes: an expiry with so many smiles is expected at every horizon."""


class Played:
    """The recording, and what the pipeline made of it."""

    def __init__(self, file, symbol, bootstrap, tables):
        self.file, self.symbol, self.bootstrap, self.tables = file, symbol, bootstrap, tables

    def rows(self, sql):
        return self.tables.rows(sql, self.symbol)


@pytest.fixture(scope="module")
def played(shared_data, tmp_path_factory, kafka_bootstrap, database_url):
    """The half day after it has gone through ingest, writer, features, predictor, monitor."""
    folder = shared_data / "lean_goog_2015-12-24"
    if not folder.is_dir():
        pytest.skip(f"no recording: {folder} is not there")
    work = tmp_path_factory.mktemp("half-day")
    quotes = import_lean(folder).assign(symbol=new_symbol())
    write_quotes(quotes, work / "quotes.parquet")
    played = Played(work / "quotes.parquet", quotes["symbol"].iat[0], kafka_bootstrap,
                    Tables(database_url))
    chains = len(quotes[["ts", "expiry"]].drop_duplicates())
    with SmallModelServer() as server, ExitStack() as stack:
        environment = {"SMILE_KAFKA_BOOTSTRAP": kafka_bootstrap, "SMILE_METRICS_PORT": "0",
                       "SMILE_DATABASE_URL": database_url, "SMILE_MODEL_SERVER_URL": server.url,
                       "SMILE_MODEL_TIMEOUT_SECONDS": "10", "SMILE_SOURCE": "recording",
                       "SMILE_RECORDING": str(played.file), "SMILE_SPEED": "0"}
        for name, topic in (("writer", OPTION_CHAIN), ("features", OPTION_CHAIN),
                            ("predictor", OPTION_FEATURES), ("monitor", OPTION_CHAIN)):
            group = group_at_end(kafka_bootstrap, topic)
            stack.enter_context(service(name, work, {**environment, "SMILE_KAFKA_GROUP": group}))
        assert ingest(work, environment) == 0, (work / "ingest.log").read_text()
        eventually(lambda: progress(played) == (len(quotes), chains, 0, 0), PATIENCE_S)
    return played


class service:
    """A stage as a process; told to stop at the end, it must have ended well."""

    def __init__(self, name, folder, environment):
        self.name, self.log = name, folder / f"{name}.log"
        self.environment = environment

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}"], cwd=ROOT, stdout=log,
                stderr=log, env={**os.environ, **self.environment})
        return self

    def __exit__(self, *error):
        self.process.terminate()
        code = self.process.wait(60)
        assert code == 0, f"{self.name} ended with {code}: {self.log.read_text()[-2000:]}"


def ingest(folder, environment):
    """Play the recording to its end; the exit code."""
    with (folder / "ingest.log").open("wb") as log:
        return subprocess.run([sys.executable, "-m", "services.ingest"], cwd=ROOT, stdout=log,
                              stderr=log, env={**os.environ, **environment}, check=False,
                              timeout=PATIENCE_S).returncode


def progress(played):
    """Quotes and chains in the tables; forecasts and scores that are still to come."""
    quotes = played.tables.count("spy_option_chain", played.symbol)
    chains = played.tables.count("option_features", played.symbol)
    return quotes, chains, len(forecasts_missing(played)), len(scores_missing(played))


def forecasts_missing(played):
    """Smiles, by expiry and time, that lack a forecast at a horizon before the expiry."""
    return played.rows(
        "SELECT f.expiry, f.ts, h.s FROM option_features f "
        f"CROSS JOIN unnest(ARRAY{list(HORIZONS)}) AS h (s) "
        "LEFT JOIN predicted_smile p ON p.symbol = f.symbol AND p.expiry = f.expiry "
        "AND p.made_at = f.ts AND p.horizon_s = h.s "
        "WHERE f.symbol = %s AND f.reason IS NULL AND h.s < f.tau * 365 * 86400 "
        "AND p.symbol IS NULL")


def scores_missing(played):
    """Forecasts that could be scored, or known to be never observed, and are not."""
    return played.rows(
        "WITH market AS (SELECT symbol, max(ts) AS clock FROM option_features "
        "WHERE symbol = %s GROUP BY symbol) "
        "SELECT p.expiry, p.made_at, p.horizon_s FROM predicted_smile p "
        "JOIN market USING (symbol) LEFT JOIN prediction_scores s "
        "USING (symbol, expiry, made_at, horizon_s, model_name) "
        "WHERE p.target_at < market.clock - interval '30 s' AND s.symbol IS NULL")


def digest(quotes):
    """Count and checksum of quotes in any order; one doubled or changed changes them."""
    lines = sorted(map(repr, quotes))
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()


def quote(expiry, strike, right, at, bid, ask):
    nothing = float("nan")
    return (expiry.isoformat(), float(strike), right, at.timestamp(),
            nothing if bid is None else float(bid), nothing if ask is None else float(ask))


@pytest.fixture(scope="module")
def recorded(played):
    """Digest of the recording's quotes."""
    frame = read_quotes(played.file)
    columns = (frame[name] for name in ("expiry", "strike", "right", "ts", "bid", "ask"))
    return digest(quote(*values) for values in zip(*columns, strict=True))


def test_every_quote_of_the_recording_is_in_the_topic_once(played, recorded):
    chains = (messages.decode(message.value(), ChainSlice) for message in
              read_all(played.bootstrap, OPTION_CHAIN, of_symbol(played.symbol)))

    assert recorded == digest(
        quote(chain.expiry, strike, right, chain.sampled_at, bid, ask) for chain in chains
        for strike, right, bid, ask
        in zip(chain.strike, chain.right, chain.bid, chain.ask, strict=True))


def test_every_quote_of_the_recording_is_in_the_table_once(played, recorded):
    rows = played.rows('SELECT expiry, strike, "right", sampled_at, bid, ask '
                       "FROM spy_option_chain WHERE symbol = %s")

    assert recorded == digest(quote(*row) for row in rows)


def test_streaming_makes_the_smiles_that_the_trainer_makes_of_the_file(played):
    offline = {(series.expiry, at): vols
               for day in days_from_quotes([played.file]) for series in day
               for at, vols in zip(series.at, series.grid_vol, strict=True)}
    streamed = {(expiry, at): vols for expiry, at, vols in played.rows(
        "SELECT expiry, ts, grid_vol FROM option_features WHERE symbol = %s")}

    assert streamed.keys() == offline.keys()
    order = sorted(offline)
    smiles = np.array([offline[key] for key in order])
    assert np.isfinite(smiles).all(axis=1).sum() > 1000
    assert np.array([streamed[key] for key in order], dtype=float) == pytest.approx(
        smiles, abs=1e-6, nan_ok=True)


def test_a_chain_without_a_smile_says_why(played):
    assert played.rows("SELECT count(*) FROM option_features WHERE symbol = %s "
                       "AND reason IS NULL AND (forward IS NULL OR atm_vol IS NULL)") == [(0,)]
    assert played.rows("SELECT count(*) FROM option_features WHERE symbol = %s "
                       "AND reason IS NOT NULL AND length(reason) < 5") == [(0,)]


def test_every_smile_is_forecast_at_every_horizon_before_its_expiry(played):
    assert forecasts_missing(played) == []
    roles = dict(played.rows("SELECT role, count(*) FROM predicted_smile WHERE symbol = %s "
                             "GROUP BY role"))
    assert roles["champion"] > 1000


def test_every_forecast_is_scored_on_the_first_smile_in_time_or_known_as_unobserved(played):
    assert scores_missing(played) == []
    assert played.rows(
        "SELECT s.expiry, s.made_at, s.horizon_s FROM prediction_scores s "
        "LEFT JOIN LATERAL (SELECT min(f.ts) AS ts FROM option_features f "
        "WHERE f.symbol = s.symbol AND f.expiry = s.expiry AND f.reason IS NULL "
        "AND f.ts BETWEEN s.target_at AND s.target_at + interval '30 s') o ON true "
        "WHERE s.symbol = %s AND o.ts IS DISTINCT FROM s.observed_at") == []


def test_every_expiry_with_many_smiles_has_scores_at_every_horizon(played):
    many = played.rows("SELECT expiry FROM option_features WHERE symbol = %s AND reason IS NULL "
                       f"GROUP BY expiry HAVING count(*) >= {MANY}")
    scored = played.rows(
        "SELECT DISTINCT expiry, horizon_s FROM prediction_scores WHERE symbol = %s "
        "AND quotes > 0 AND error_bp IS NOT NULL AND filtered_persistence_bp IS NOT NULL "
        "AND sticky_strike_bp IS NOT NULL AND persistence_bp IS NOT NULL")

    assert len(many) >= 8
    assert {(expiry, horizon) for (expiry,) in many for horizon in HORIZONS} <= set(scored)


def test_a_model_without_a_change_scores_as_the_baseline(played):
    errors = np.array(played.rows(
        "SELECT error_bp, filtered_persistence_bp FROM prediction_scores WHERE symbol = %s "
        "AND role = 'champion' AND quotes > 0"))

    assert len(errors) > 500
    assert np.abs(errors[:, 0] - errors[:, 1]).max() < 1e-6


def test_what_a_model_forecast_is_held_against_every_baseline(played):
    [(scored, known, least)] = played.rows(
        "SELECT count(*), count(ewma_bp + ar_bp + har_bp + kalman_bp + sticky_strike_bp), "
        "min(least(ewma_bp, kalman_bp)) FROM prediction_scores "
        "WHERE symbol = %s AND role = 'champion' AND quotes > 0")
    assert scored == known > 1000
    assert least > 0.0
