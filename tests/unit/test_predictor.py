"""A step of the predictor: rows in, forecasts out, whatever becomes of the model server."""

from contextlib import contextmanager

import numpy as np
import pytest

from ml.calendar import YEAR_SECONDS
from ml.features import filtered_smile
from services.common import messages, metrics
from services.common.errors import Unavailable
from services.common.messages import Forecast
from services.predictor import step
from services.predictor.bands import Bands
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.order import in_order
from services.predictor.save import COLUMNS, table_row
from services.predictor.step import PredictorStage
from tests.integration.small_model_server import SmallModelServer
from tests.unit.predictor_rows import (
    EXPIRY,
    LATER,
    SHAPE,
    feature_row,
    minute,
    no_bands_before,
    nothing_before,
)


class Producer:
    def __init__(self):
        self.sent = []

    def send(self, topic, message):
        self.sent.append((topic, message))


class AwayDatabase:
    @contextmanager
    def transaction(self):
        raise Unavailable("the database: away")
        yield


class WrittenDatabase:
    @contextmanager
    def transaction(self):
        yield None


@pytest.fixture
def server():
    with SmallModelServer() as running:
        yield running


@pytest.fixture
def stage(server):
    with ModelClient(server.url, 5.0, 1.0, lambda: 0.0) as client:
        yield fresh(client)


def fresh(client):
    return PredictorStage(AwayDatabase(), Producer(), client, Histories(nothing_before),
                          Bands(no_bands_before), SHAPE)


def test_every_row_is_forecast_in_order_by_one_call(server, stage):
    rows = [feature_row(minute(i), 0.2 + i / 100) for i in range(15)]

    made = stage.forecast(rows)

    assert [one.made_at for one in made[::4]] == [row.ts for row in rows]
    assert [one.role for one in made[::4]] == ["baseline"] * 9 + ["champion"] * 6
    assert server.batches == [6]


def test_a_backlog_gives_the_forecasts_that_single_rows_give(server, stage):
    rows = [feature_row(minute(i), 0.2 + i % 3 / 100) for i in range(15)]
    with ModelClient(server.url, 5.0, 1.0) as client:
        alone = fresh(client)
        singly = [one for row in rows for one in alone.forecast([row])]
    together = stage.forecast(rows)

    assert [one.smile for one in together] == [one.smile for one in singly]


def test_zero_change_is_the_filtered_smile(stage):
    vols = [0.2 + i / 100 for i in range(10)]
    made = stage.forecast([feature_row(minute(i), vol) for i, vol in enumerate(vols)])

    expected = filtered_smile(np.repeat(np.array(vols)[:, None], 17, axis=1), 0.5)
    assert made[-1].role == "champion"
    assert made[-1].smile == pytest.approx(expected.tolist())


def test_without_a_server_the_baseline_goes_on_and_says_why(server, stage):
    server.status = 500
    made = stage.forecast([feature_row(minute(i)) for i in range(10)])

    assert len(made) == 40
    assert {one.role for one in made} == {"baseline"}
    assert {one.model_name for one in made} == {"filtered_persistence"}
    assert "too short" in made[0].note and "HTTP 500" in made[-1].note


def test_a_lost_server_leaves_the_baseline_its_contract_s_band(server, stage):
    stage.forecast([feature_row(minute(i)) for i in range(10)])
    server.status = 500
    made = stage.forecast([feature_row(minute(10))])

    assert (made[0].role, made[0].model_version) == ("baseline", "1")
    assert np.array(made[0].upper) - made[0].smile == pytest.approx(0.02 * made[0].band_scale)


def stood_in(reason):
    return metrics.FALLBACKS.labels(reason)._value.get()


def test_stand_ins_are_counted_by_forecasts_once_those_are_written(server, stage, monkeypatch):
    before = {reason: stood_in(reason) for reason in ("short_history", "refused")}
    server.status = 500
    rows = [feature_row(minute(i)) for i in range(10)]
    rows.append(feature_row(minute(10), tau=300.0 / YEAR_SECONDS))
    with pytest.raises(Unavailable):
        stage.step(rows)
    assert stood_in("short_history") == before["short_history"]
    monkeypatch.setattr(stage, "_database", WrittenDatabase())
    monkeypatch.setattr(step, "save", lambda cursor, made: None)
    stage.step(rows)

    assert stood_in("short_history") - before["short_history"] == 9 * 4
    assert stood_in("refused") - before["refused"] == 4 + 1  # only a minute is left of the last


def test_rows_without_a_smile_are_not_forecast(stage):
    assert stage.forecast([feature_row(minute(0), reason="too few quotes")]) == []


def test_nothing_is_published_while_the_table_can_not_be_written(stage):
    with pytest.raises(Unavailable):
        stage.step([feature_row(minute(0))])

    assert stage._producer.sent == []


def test_forecasts_fit_the_topic_and_the_table(stage):
    made = stage.forecast([feature_row(minute(0))])[0]

    assert messages.decode(messages.encode(made), Forecast) == made
    assert "schema" not in COLUMNS and len(table_row(made)) == len(COLUMNS)


def test_a_shadow_s_forecasts_stand_beside_the_champion_s(server, stage):
    server.shadow_changes = (-0.02, 0.01, 0.04)
    made = stage.forecast([feature_row(minute(i)) for i in range(10)])[-8:]

    assert [one.role for one in made] == ["champion"] * 4 + ["shadow"] * 4
    assert {one.model_name for one in made[4:]} == {"constant.shadow"}
    assert made[4].smile == pytest.approx([0.21] * 17)


def test_a_refused_model_leaves_its_anchors_in_its_place_by_name(server, stage):
    server.anchor = "har"
    stage.forecast([feature_row(minute(i)) for i in range(10)])
    server.status = 400
    made = stage.forecast([feature_row(minute(10), 0.21)])

    assert {one.model_name for one in made} == {"har"}
    assert "HTTP 400" in made[0].note


def test_what_is_read_again_begins_a_batch_of_its_own():
    rows = [feature_row(minute(i), expiry=expiry) for i, expiry in (
        (0, EXPIRY), (0, LATER), (1, EXPIRY), (1, EXPIRY), (1, LATER), (0, LATER))]

    parts = [len(part) for part in in_order(rows)]

    assert parts == [3, 2, 1]
    assert [row for part in in_order(rows) for row in part] == rows
