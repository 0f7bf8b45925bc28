"""A forecast stored live is the one computed offline: replay, then recompute from the tables."""

from datetime import timedelta
from functools import partial

import msgspec
import numpy as np
import psycopg2
import pytest

from ml import recompute as command
from ml.offline import NO_MODEL, Models
from ml.recompute import recompute
from ml.registry import Record, load_version, register
from services.common import forecast_wire as wire
from services.common.database import Database
from services.common.messages import decode, encode
from services.features.step import FeaturesStage
from services.model_server import binary
from services.model_server.models import Pair
from services.predictor.bands import Bands
from services.predictor.forecast import BASELINE_VERSION, Shape
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.reload import load_samples
from services.predictor.reload_bands import load_bands
from services.predictor.step import PredictorStage
from tests.integration.pipeline import EXPIRIES, START, Tables, chain, new_symbol
from tests.integration.small_model_server import SmallModelServer
from tests.unit.small_model import make_forecaster, windows

EVERY_S, MINUTES = 20, 16
KINDS = {("filtered_persistence", NO_MODEL, "baseline"), ("ewma", "1", "baseline"),
         ("filtered_persistence", "1", "baseline"),
         ("smile", "1", "champion"), ("smile.shadow", "2", "shadow"), ("smile", "2", "champion")}
"""All that speak in the replay: settings, a contract's stand-ins, and two versions."""


def chains(symbol):
    """Two expiries whose level walks and jumps; a gap of one minute in the middle."""
    rng, level = np.random.default_rng(7), 0.2
    for number in range(MINUTES * 60 // EVERY_S):
        level += rng.normal(0.0, 0.0005) + 0.002 * (number == 30)
        at = START + timedelta(seconds=EVERY_S * number)
        if 24 <= number < 28:
            continue
        yield [chain(symbol, at, expiry, place, len(EXPIRIES), level)
               for place, expiry in enumerate(EXPIRIES, start=1)]


class Registered(SmallModelServer):
    """Answers with registered versions, by the model server's own code."""

    def __init__(self, uri):
        super().__init__()
        self.versions = {version: load_version("smile", version, uri) for version in ("1", "2")}
        self.pair = Pair(self.versions["1"], self.versions["2"])

    def contract(self):
        champion = self.pair.champion
        return {**msgspec.to_builtins(champion.contract), "model_version": champion.version}

    def forecast(self, request):
        return wire.decode(binary.answer(self.pair, wire.encode(request)), wire.Answer)


class Sent:
    """A producer that keeps what is sent, as it comes out of the topic."""

    def __init__(self):
        self.messages = []

    def send(self, topic, message):
        self.messages.append(decode(encode(message), type(message)))


class Replayed:
    """Stages on real tables, that chains are given to."""

    def __init__(self, url, server):
        self.database, self.server = Database(url, "test"), server
        self.restart(server.url)

    def restart(self, model_url):
        """Both stages anew."""
        self.rows = Sent()
        self.features = FeaturesStage(self.database, self.rows)
        self.model = ModelClient(model_url, 10.0, 1.0)
        self.predictor = PredictorStage(
            self.database, Sent(), self.model, Histories(partial(load_samples, self.database)),
            Bands(partial(load_bands, self.database)), Shape.plain(60.0, 10, 0.5, (60, 300, 900)))

    def play(self, instants, batch=5):
        """In batches that end in the middle of instants."""
        for instant in instants:
            self.features.step(instant)
        rows, self.rows.messages = self.rows.messages, []
        for first in range(0, len(rows), batch):
            self.predictor.step(rows[first:first + batch])


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with two versions of a model."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    for seed in (1, 2):
        register(make_forecaster(seed), windows(2), Record(), uri)
    return uri


@pytest.fixture(scope="module")
def played(database_url, uri):
    """The symbol of a replay: first without a model server, then with a restart, at last with the
    challenger promoted."""
    symbol = new_symbol()
    instants = list(chains(symbol))
    with Registered(uri) as server:
        replayed = Replayed(database_url, server)
        replayed.restart("http://127.0.0.1:9")
        replayed.play(instants[:3])
        replayed.restart(server.url)
        replayed.play(instants[3:20])
        replayed.restart(server.url)
        replayed.play(instants[20:36])
        server.pair = Pair(server.versions["2"])
        replayed.play(instants[36:])
        replayed.database.close()
    return symbol


def test_every_forecast_is_computed_anew_to_float_precision(played, database_url, uri):
    found = recompute(database_url, Models("smile", uri), played)

    assert set(found) == KINDS
    assert sum(one.forecasts for one in found.values()) == Tables(database_url).count(
        "predicted_smile", played)
    for one in found.values():
        assert one.gone == one.otherwise == 0 and one.forecasts > 5
        # A network's 32 bits round differently in a batch of another size.
        assert one.smile < 1e-9 and one.band < 1e-8
        assert one.scale == 0.0


def test_before_any_contract_is_known_the_version_is_no_model_s():
    assert NO_MODEL == BASELINE_VERSION


def test_the_scale_of_the_bands_is_among_what_is_computed_anew(played, database_url):
    scales = Tables(database_url).rows(
        "SELECT DISTINCT band_scale FROM predicted_smile WHERE symbol = %s AND role = 'champion'",
        played)

    assert len(scales) > 10


def change(url, statement, *values):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
    connection.close()


def test_a_number_that_was_changed_in_a_table_is_told(played, database_url, uri, monkeypatch,
                                                      capsys):
    moved = "UPDATE predicted_smile SET smile[5] = smile[5] + %s WHERE symbol = %s AND made_at = " \
            "(SELECT max(made_at) FROM predicted_smile WHERE symbol = %s)"
    monkeypatch.setenv("SMILE_DATABASE_URL", database_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    change(database_url, moved, 0.0012, played, played)
    try:
        assert command.main(["--symbol", played]) == 3
    finally:
        change(database_url, moved, -0.0012, played, played)

    told = capsys.readouterr()
    assert "12 bp" in told.out
    assert "differ from the same computed anew by more than rounding (1e-07)" in told.err
    assert command.main(["--symbol", played]) == 0


ANOTHER = "UPDATE predicted_smile SET model_name = %s WHERE symbol = %s AND model_name = %s AND " \
          "model_version = '1' AND role = 'baseline'"
HIDE = "UPDATE {table} SET symbol = %s WHERE symbol = %s AND {at}"
SHOW = "UPDATE {table} SET symbol = %s WHERE symbol = %s"


@pytest.fixture
def asked(database_url, uri, monkeypatch):
    monkeypatch.setenv("SMILE_DATABASE_URL", database_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)


def test_a_forecast_that_another_baseline_would_have_made_is_a_difference(
        played, database_url, asked, uri, capsys):
    """Stored as the Kalman level's, where the champion's anchor is the tuned EWMA."""
    change(database_url, ANOTHER, "kalman", played, "ewma")
    try:
        found = recompute(database_url, Models("smile", uri), played)
        assert command.main(["--symbol", played]) == 3
    finally:
        change(database_url, ANOTHER, "ewma", played, "kalman")

    kalman = found["kalman", "1", "baseline"]
    assert kalman.otherwise == kalman.forecasts > 0 and kalman.gone == 0
    told = capsys.readouterr().err
    assert "kalman 1 (baseline)" in told and "or another would have made them" in told


def test_forecasts_whose_rows_are_gone_are_counted_beside_the_others(played, database_url, uri):
    """As where old rows are dropped; before the first that is kept, the day has none at all."""
    every = recompute(database_url, Models("smile", uri), played)
    kept, hidden = START + timedelta(minutes=12), f"{played}_"
    change(database_url, HIDE.format(table="option_features", at="ts < %s"), hidden, played, kept)
    try:
        found = recompute(database_url, Models("smile", uri), played)
    finally:
        change(database_url, SHOW.format(table="option_features"), played, hidden)

    assert {kind: one.forecasts for kind, one in found.items()} == {
        kind: one.forecasts for kind, one in every.items()}
    unknown, champion = found["filtered_persistence", NO_MODEL, "baseline"], found[
        "smile", "2", "champion"]
    assert unknown.gone == unknown.forecasts > 0
    assert 0 < champion.gone < champion.forecasts
    assert champion.smile < 1e-9 and champion.otherwise == 0


def test_where_all_rows_are_gone_nothing_is_shown_and_that_is_an_error(
        played, database_url, asked, capsys):
    """One instant is left, of which there is no forecast."""
    hidden = f"{played}_"
    change(database_url, HIDE.format(table="option_features", at="ts > %s"), hidden, played, START)
    change(database_url, HIDE.format(table="predicted_smile", at="made_at <= %s"), hidden, played,
           START)
    try:
        assert command.main(["--symbol", played]) == 2
    finally:
        for table in ("option_features", "predicted_smile"):
            change(database_url, SHOW.format(table=table), played, hidden)

    assert "can be computed anew: the rows of option_features" in capsys.readouterr().err
    assert command.main(["--symbol", played]) == 0
