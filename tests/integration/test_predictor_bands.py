"""The predictor's bands on real tables: the same whenever it started and whatever its batches."""

from contextlib import ExitStack
from datetime import date, timedelta
from functools import partial

import msgspec
import numpy as np
import pytest

from services.common.database import Database, upsert
from services.common.errors import Unavailable
from services.common.messages import FeatureRow
from services.predictor.bands import Bands
from services.predictor.forecast import Shape
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.reload import load_samples
from services.predictor.reload_bands import load_bands
from services.predictor.step import PredictorStage
from tests.integration.pipeline import Tables, new_symbol
from tests.integration.small_model_server import HORIZONS, SmallModelServer
from tests.unit.predictor_rows import START, feature_row

EXPIRIES = (date(2026, 12, 18), date(2027, 1, 15), date(2027, 2, 19))
SHAPE = Shape.plain(60.0, 10, 0.5, HORIZONS)
KEY = ("symbol", "expiry", "ts")
COLUMNS = tuple(name for name in FeatureRow.__struct_fields__ if name != "schema")


class Silent:
    """A producer that nobody hears."""

    def send(self, topic, message):
        """Forget the message."""


@pytest.fixture
def server():
    with SmallModelServer(changes=(-0.002, 0.0, 0.002)) as running:
        running.shadow_changes = (-0.001, 0.0002, 0.004)
        yield running


@pytest.fixture
def database(database_url):
    with Database(database_url, "test") as made:
        yield made


def rows_of(symbol, minutes=45, every_s=30, start=START, seed=0):
    """Rows of expiries whose level walks; of the last expiry some have no smile, some are late."""
    rng = np.random.default_rng(seed)
    made, vol = [], 0.2
    for at_s in range(0, minutes * 60, every_s):
        vol += rng.normal(0.0, 0.0006)
        for place, expiry in enumerate(EXPIRIES):
            if place == 2 and rng.random() < 0.3:
                continue
            row = feature_row(start + timedelta(seconds=at_s), vol + 0.01 * place, expiry=expiry,
                              reason="too few quotes" if rng.random() < 0.1 else None,
                              mids=(vol + 0.01 * place + rng.normal(0.0, 0.002, 5)).tolist())
            made.append(msgspec.structs.replace(row, symbol=symbol))
    return made


def store(database, rows):
    """Write the rows where the features stage does, before the predictor sees them."""
    values = [tuple(_value(getattr(row, name)) for name in COLUMNS) for row in rows]
    with database.transaction() as cursor:
        upsert(cursor, "option_features", KEY, COLUMNS, values)


def _value(value):
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def stage_on(database, client):
    return PredictorStage(database, Silent(), client, Histories(partial(load_samples, database)),
                          Bands(partial(load_bands, database)), SHAPE)


def batches(rows, seed):
    """The rows in batches of 1 to 30, wherever an instant ends."""
    rng, first = np.random.default_rng(seed), 0
    while first < len(rows):
        size = int(rng.integers(1, 31))
        yield rows[first:first + size]
        first += size


def forecasts(tables, symbol):
    """Every forecast of a symbol: its key without the symbol, then all that is computed."""
    return tables.rows("SELECT expiry, made_at, horizon_s, model_name, role, band_scale, smile, "
                       "lower, upper FROM predicted_smile WHERE symbol = %s "
                       "ORDER BY made_at, expiry, horizon_s, model_name", symbol)


def play(database, server, symbol, parts, renew=lambda place: False):
    """Let a stage have the batches; a new one takes over before those that `renew` tells."""
    with ModelClient(server.url, 5.0, 1.0) as client:
        stage = stage_on(database, client)
        for place, part in enumerate(parts):
            if renew(place):
                stage = stage_on(database, client)
            store(database, part)
            stage.step(part)
    return forecasts(Tables(database._url), symbol)


def test_a_restart_before_any_batch_changes_no_number(database, server):
    steady, restarted = new_symbol(), new_symbol()
    one = play(database, server, steady, [rows_of(steady)])
    again = play(database, server, restarted, batches(rows_of(restarted), 1), lambda place: True)

    assert again == one
    scales = {(role, horizon): {row[5] for row in one if row[4] == role and row[2] == horizon}
              for role in ("champion", "shadow") for horizon in HORIZONS}
    # 45 minutes hold outcomes of every horizon.
    assert all(len(found) > 3 for found in scales.values()), scales


def test_the_shadow_s_bands_learn_from_its_own_misses(database, server):
    symbol = new_symbol()
    made = play(database, server, symbol, [rows_of(symbol)])

    last = {row[4]: row[5] for row in made if row[2] == 60}
    assert last["shadow"] != last["champion"]


def test_rows_read_again_are_forecast_as_before(database, server):
    symbol = new_symbol()
    rows = rows_of(symbol, minutes=30)
    before = play(database, server, symbol, [rows])

    assert play(database, server, symbol, [rows[100:] + rows[70:]]) == before


SCORE = """
INSERT INTO prediction_scores (symbol, expiry, made_at, horizon_s, model_name, target_at, role,
                               source, model_version, quotes)
SELECT symbol, expiry, made_at, horizon_s, model_name, target_at, role, source, model_version, 5
FROM predicted_smile WHERE symbol = %s"""


def test_rows_read_again_while_the_model_is_away_have_the_stand_in_s_forecast_only(
        database, server):
    symbol = new_symbol()
    rows = rows_of(symbol, minutes=20)
    made = play(database, server, symbol, [rows])
    with database.transaction() as cursor:
        cursor.execute(SCORE, (symbol,))
    server.status = 503
    again = play(database, server, symbol, [rows[-30:]])

    own = [row for row in again if row[4] != "shadow"]
    assert [row[:3] for row in own] == [row[:3] for row in made if row[4] != "shadow"]
    replaced = {row[:4] for row in made} - {row[:4] for row in again}
    assert len(replaced) > 40 and "constant" in {name for *_, name in replaced}
    assert {row[4] for row in own if row[1] > rows[-30].ts} == {"baseline"}
    scores = database.rows("SELECT expiry, made_at, horizon_s, model_name FROM prediction_scores "
                           "WHERE symbol = %s", (symbol,))
    assert set(scores) == {row[:4] for row in made} - replaced


def test_a_model_that_is_back_replaces_its_stand_in_and_the_past_is_as_if_never_away(
        database, server):
    steady, stumbling = new_symbol(), new_symbol()
    expected = play(database, server, steady, [rows_of(steady, 25)])
    rows = rows_of(stumbling, 25)
    play(database, server, stumbling, [rows[:80]])
    server.status = 503
    play(database, server, stumbling, [rows[60:80]])
    server.status = 200

    assert play(database, server, stumbling, [rows[60:]], lambda place: True) == expected


def test_a_scale_is_carried_over_a_night_and_what_was_observed_after_it_counts(database, server):
    carried, anew = new_symbol(), new_symbol()
    night = START + timedelta(days=3)
    for symbol, parts in ((anew, 1), (carried, 2)):
        days = [rows_of(symbol, 40, seed=3), rows_of(symbol, 5, start=night, seed=4)][-parts:]
        made = play(database, server, symbol, days, renew=lambda place: True)
        first = {row[2]: row[5] for row in made if row[1] == night}
        assert all((scale == 1.0) is (symbol == anew) for scale in first.values()), first
    last = {row[2]: row[5] for row in forecasts(Tables(database._url), carried)
            if row[1] < night and row[4] != "shadow"}
    assert all(abs(np.log(last[horizon] / value)) < 0.5 for horizon, value in first.items())


def test_a_scale_is_not_carried_over_from_another_source(database, server):
    symbol = new_symbol()
    simulated = rows_of(symbol, 20)
    live = [msgspec.structs.replace(row, source="live")
            for row in rows_of(symbol, 1, start=START + timedelta(minutes=20))]
    made = play(database, server, symbol, [simulated, live])

    assert {row[5] for row in made if row[1] >= live[0].ts} == {1.0}


def test_a_batch_that_failed_is_tried_again_with_the_same_result(database, server):
    steady, stumbling = new_symbol(), new_symbol()
    one = play(database, server, steady, [rows_of(steady, 20)])
    with ModelClient(server.url, 5.0, 1.0) as client:
        stage = stage_on(database, client)
        for place, part in enumerate(batches(rows_of(stumbling, 20), 5)):
            store(database, part)
            if place % 3 == 0:
                stage.forecast(part)  # as far as a transaction that then fails
            stage.step(part)

    assert forecasts(Tables(database._url), stumbling) == one


def test_tables_that_are_away_are_waited_for(database, server):
    class Away:
        def rows(self, sql, values=()):
            raise Unavailable("the database: away")

    with pytest.raises(Unavailable), ExitStack() as stack:
        client = stack.enter_context(ModelClient(server.url, 5.0, 1.0))
        stage_on(Away(), client).forecast(rows_of(new_symbol(), 1))
