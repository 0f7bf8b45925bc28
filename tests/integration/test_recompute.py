"""A forecast stored live is the one computed offline: replay, then recompute from the tables."""

from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import psycopg2
import pytest

from ml import recompute as command
from ml.offline import Models
from ml.recompute import recompute
from services.common.messages import OPTION_CHAIN, OPTION_FEATURES
from services.features import main as features
from services.features.settings import FeaturesSettings
from services.predictor import main as predictor
from services.predictor.settings import PredictorSettings
from tests.integration.pipeline import (
    EXPIRIES,
    START,
    Tables,
    chain,
    eventually,
    group_at_end,
    new_symbol,
    publish,
    running,
)
from tests.integration.real_model_server import drop_alias, register, serving, set_alias

EVERY_S, MINUTES = 20, 16
KINDS = {("filtered_persistence", "0", "baseline"), ("ewma", "1", "baseline"),
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


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with a champion and a challenger."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    for seed in (1, 2):
        register(uri, seed)
    set_alias(uri, "champion", "1")
    return uri


@pytest.fixture(scope="module")
def played(kafka_bootstrap, database_url, uri, tmp_path_factory):
    """The symbol of a replay: first without a model server, then with a restart of the predictor,
    at last with the challenger promoted."""
    symbol, tables = new_symbol(), Tables(database_url)
    instants = list(chains(symbol))
    groups = {topic: group_at_end(kafka_bootstrap, topic)
              for topic in (OPTION_CHAIN, OPTION_FEATURES)}
    common = {"kafka_bootstrap": kafka_bootstrap, "database_url": database_url, "metrics_port": 0}

    @contextmanager
    def stages(url):
        with (running(features.run, FeaturesSettings(kafka_group=groups[OPTION_CHAIN], **common)),
              running(predictor.run, PredictorSettings(
                  kafka_group=groups[OPTION_FEATURES], model_server_url=url,
                  model_timeout_seconds=10.0, horizons_s=(60, 300, 900), **common))):
            yield

    def play(first, end):
        publish(kafka_bootstrap, OPTION_CHAIN, [one for all in instants[first:end] for one in all])
        eventually(lambda: tables.value(
            "SELECT count(DISTINCT (expiry, made_at)) FROM predicted_smile WHERE symbol = %s",
            symbol) == len(EXPIRIES) * end)

    with serving(uri, tmp_path_factory.mktemp("server")) as server:
        server.serves("1")
        server.shadows("2")
        with stages("http://127.0.0.1:9"):
            play(0, 3)
        for first, end in ((3, 20), (20, 32)):
            with stages(server.url):
                play(first, end)
        with stages(server.url):
            set_alias(uri, "champion", "2")
            drop_alias(uri, "challenger")
            server.serves("2")
            play(32, len(instants))
    return symbol


def test_every_forecast_is_computed_anew_to_float_precision(played, database_url, uri):
    found = recompute(database_url, Models("smile", uri), played)

    assert set(found) == KINDS
    assert sum(one.forecasts for one in found.values()) == Tables(database_url).count(
        "predicted_smile", played)
    for one in found.values():
        assert one.missing == 0 and one.forecasts > 5
        # A network's 32 bits round differently in a batch of another size.
        assert one.smile < 1e-9 and one.band < 1e-8
        assert one.scale == 0.0


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
        assert command.main(["--symbol", played]) == 0
    finally:
        change(database_url, moved, -0.0012, played, played)

    assert "12 bp" in capsys.readouterr().out
