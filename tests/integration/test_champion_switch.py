"""The champion is switched while the predictor and others ask the real model server for forecasts.
"""

import threading
from datetime import date

import msgspec
import pytest

from ml.succession import crown
from services.common.messages import OPTION_FEATURES
from services.common.produce import Producer
from services.predictor import main as predictor
from services.predictor.settings import PredictorSettings
from tests.integration.pipeline import Tables, eventually, group_at_end, new_symbol, running
from tests.integration.real_model_server import Load, changes, register, serving, set_alias
from tests.unit.predictor_rows import feature_row, minute
from tests.unit.small_model import HORIZONS, WINDOW

EXPIRIES = (date(2026, 12, 18), date(2027, 1, 15))
ENOUGH = 25
"""Instants before and after the switch."""
PAUSE_S = 0.05
PATIENCE_S = 10.0
"""That a call may take on a busy machine."""


class Feed:
    """Rows of a symbol, a market minute every `PAUSE_S`, until it is stopped."""

    def __init__(self, bootstrap, symbol):
        self.bootstrap, self.symbol, self.stop = bootstrap, symbol, threading.Event()
        self.thread = threading.Thread(target=self.send)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join(30)

    def send(self):
        count = 0
        with Producer(self.bootstrap) as producer:
            while not self.stop.wait(PAUSE_S):
                for expiry in EXPIRIES:
                    row = feature_row(minute(count), 0.2 + 0.0001 * (count % 7), expiry=expiry)
                    producer.send(OPTION_FEATURES,
                                  msgspec.structs.replace(row, symbol=self.symbol))
                count += 1


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with version 1 as champion, and version 2 as challenger."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    for seed in (1, 2):
        register(uri, seed)
    set_alias(uri, "champion", "1")
    return uri


@pytest.fixture(scope="module")
def rows(uri, tmp_path_factory, kafka_bootstrap, database_url):
    """The forecasts stored while version 2 became champion, oldest first, by expiry."""
    symbol, tables = new_symbol(), Tables(database_url)

    def instants(version):
        return tables.value(
            "SELECT count(DISTINCT made_at) FROM predicted_smile WHERE symbol = %s "
            "AND role = 'champion' AND model_version = %s", symbol, version)

    with serving(uri, tmp_path_factory.mktemp("server")) as server:
        server.serves("1")
        server.shadows("2")
        settings = PredictorSettings(
            kafka_bootstrap=kafka_bootstrap, database_url=database_url,
            kafka_group=group_at_end(kafka_bootstrap, OPTION_FEATURES), metrics_port=0,
            model_server_url=server.url, model_timeout_seconds=PATIENCE_S, window=WINDOW,
            horizons_s=HORIZONS)
        with running(predictor.run, settings), Feed(kafka_bootstrap, symbol), \
                Load(server.url) as load:
            eventually(lambda: instants("1") >= ENOUGH)
            crown("smile", "2", uri, "better")
            eventually(lambda: instants("2") >= ENOUGH)
    assert load.failures == []
    assert {tuple(changes(seen)) for seen in load.versions} == {("1", "2")}
    return tables.rows(
        "SELECT expiry, made_at, horizon_s, model_name, model_version, role, note "
        "FROM predicted_smile WHERE symbol = %s ORDER BY expiry, made_at", symbol)


def told(rows, role, expiry):
    """(instant, version) of the forecasts of a role, for one expiry, at the shortest horizon."""
    return [(at, version) for of, at, horizon, _, version, its_role, _ in rows
            if (of, its_role, horizon) == (expiry, role, HORIZONS[0])]


@pytest.mark.parametrize("expiry", EXPIRIES)
def test_the_version_of_the_forecasts_changes_once(rows, expiry):
    assert changes([version for _, version in told(rows, "champion", expiry)]) == ["1", "2"]


def test_no_forecast_fell_back_once_there_were_rows_enough_for_a_window(rows):
    stood_in = {(at, note) for _, at, _, _, _, role, note in rows if role == "baseline"}

    assert {at for at, _ in stood_in} == {minute(count) for count in range(WINDOW - 1)}
    assert all("history is too short" in note for _, note in stood_in)


@pytest.mark.parametrize("expiry", EXPIRIES)
def test_the_challenger_was_a_shadow_until_it_was_champion(rows, expiry):
    shadow, champion = told(rows, "shadow", expiry), told(rows, "champion", expiry)

    assert {version for _, version in shadow} == {"2"}
    assert [at for at, _ in shadow] == [at for at, version in champion if version == "1"]


def test_both_are_told_apart_by_name(rows):
    names = {(role, name) for _, _, _, name, _, role, _ in rows if role != "baseline"}

    assert names == {("champion", "smile"), ("shadow", "smile.shadow")}
