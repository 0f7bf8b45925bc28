"""The predictor: forecasts, the model over HTTP, the baseline without it."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from ml.calendar import YEAR_SECONDS
from ml.features import WINDOW_FEATURES, filtered_smile
from services.common import messages
from services.common.errors import Unavailable
from services.common.messages import Forecast
from services.predictor.forecast import Case, Origin, Shape, baseline_forecasts, model_forecasts
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.reply import ModelRefused
from services.predictor.step import COLUMNS, PredictorStage, table_row
from tests.integration.small_model_server import HORIZONS, SmallModelServer
from tests.unit.predictor_rows import SHAPE, START, feature_row, minute, nothing_before

WINDOWS = np.zeros((2, 10, len(WINDOW_FEATURES)))


# --- forecasts

def case(vol=0.2, **changes):
    return Case(feature_row(START, vol, **changes), np.full(17, vol), None)


def test_a_model_s_median_is_the_smile_and_its_outer_quantiles_the_band():
    change = np.broadcast_to(np.array([-0.01, 0.005, 0.02])[None, :, None], (4, 3, 17))

    made = model_forecasts(case(), SHAPE, change, Origin("m", "7", "champion", 1.5))

    assert [one.horizon_s for one in made] == list(HORIZONS)
    assert made[0].target_at == START + timedelta(seconds=60)
    assert made[0].smile == pytest.approx([0.205] * 17)
    assert made[0].lower == pytest.approx([0.19] * 17)
    assert made[0].upper == pytest.approx([0.22] * 17)
    assert (made[0].model_name, made[0].model_version, made[0].role) == ("m", "7", "champion")
    assert made[0].note is None and not made[0].repaired and made[0].latency_ms == 1.5


def test_rows_have_a_time_that_calendars_hold_and_their_forecasts_may_be_for_later():
    last = datetime(2199, 12, 31, 23, 59, tzinfo=UTC)
    made = baseline_forecasts(Case(feature_row(last), np.full(17, 0.2), None), SHAPE,
                              Origin("b", "1", "baseline", 1.0))

    assert made[-1].target_at == last + timedelta(seconds=HORIZONS[-1])
    for made_at in (datetime(1, 1, 1, tzinfo=UTC), last + timedelta(minutes=1)):
        with pytest.raises(ValueError, match=r"`ts` .* is not from 1970"):
            feature_row(made_at)
        with pytest.raises(ValueError, match=r"`made_at` .* is not from 1970"):
            msgspec.structs.replace(made[0], made_at=made_at)


def test_a_horizon_that_does_not_end_before_the_expiry_is_not_made():
    left = case(tau=300.0 / YEAR_SECONDS)

    made = baseline_forecasts(left, SHAPE, Origin("b", "1", "baseline", 1.0))

    assert [one.horizon_s for one in made] == [60]


def test_an_impossible_smile_is_repaired_and_its_band_holds_it():
    change = np.zeros((4, 3, 17))
    change[:, :, 3] = -0.5

    made = model_forecasts(case(), SHAPE, change, Origin("m", "7", "champion", 1.0))[0]

    assert made.repaired
    assert min(made.smile) > 0
    assert all(low <= vol <= high for low, vol, high
               in zip(made.lower, made.smile, made.upper, strict=True))


def test_the_baseline_holds_the_filtered_smile_without_a_band_nobody_measured():
    made = baseline_forecasts(case(), SHAPE, Origin("b", "1", "baseline", 1.0, "why"))[0]

    assert made.smile == pytest.approx([0.2] * 17)
    assert made.lower == made.upper == [None] * 17
    assert made.note == "why"


def test_the_baseline_has_the_contract_s_band():
    shape = Shape(60.0, 10, 0.5, HORIZONS, np.full((4, 17), 0.02))

    made = baseline_forecasts(case(), shape, Origin("b", "1", "baseline", 1.0))[0]

    assert made.lower == pytest.approx([0.18] * 17)
    assert made.upper == pytest.approx([0.22] * 17)


# --- the model server over HTTP

@pytest.fixture
def server():
    with SmallModelServer() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def client(server, clock):
    with ModelClient(server.url, 5.0, 1.0, clock) as made:
        yield made


def test_the_contract_is_learnt_once(server, client):
    client.changes(WINDOWS)
    client.changes(WINDOWS)

    assert client.contract.name == "constant"
    assert server.calls == {"/contract": 1, "/forecast": 2}


def test_changes_have_a_place_for_each_window_horizon_quantile_and_point(client):
    changes = client.changes(WINDOWS)

    assert changes.change.shape == (2, 4, 3, 17)
    assert (changes.model_name, changes.model_version, changes.role) == (
        "constant", "1", "champion")


def test_after_a_failure_the_server_is_left_alone_for_a_while(server, client, clock):
    client.changes(WINDOWS)
    server.status = 503
    with pytest.raises(Unavailable, match="not ready"):
        client.changes(WINDOWS)
    server.status = 200
    with pytest.raises(Unavailable, match="not ready"):
        client.changes(WINDOWS)
    clock.now = 1.5

    assert client.changes(WINDOWS).model_version == "1"
    assert server.calls["/forecast"] == 3


def test_a_server_that_is_not_there_is_unavailable(server):
    url = server.url
    server.server_close()
    with ModelClient(url, 0.3, 1.0) as client, pytest.raises(Unavailable, match="reached"):
        client.changes(WINDOWS)


def test_a_late_server_is_unavailable(server):
    server.delay_s = 0.5
    with ModelClient(server.url, 0.1, 1.0) as client, \
            pytest.raises(Unavailable, match=r"more than 0\.1 s"):
        client.changes(WINDOWS)


@pytest.mark.parametrize("answer", [
    {"not": "a forecast"},
    {"model_name": "m", "model_version": "1", "role": "champion", "horizons_s": HORIZONS,
     "quantiles": [0.05, 0.5, 0.95], "change": [[[[0.0] * 17] * 3] * 4]},
    {"model_name": "m", "model_version": "1", "role": "champion", "horizons_s": HORIZONS,
     "quantiles": [0.05, 0.5, 0.95], "change": [[[[0.0] * 17, [0.0] * 16, [0.0] * 17]] * 4] * 2},
    {"model_name": "m", "model_version": "1", "role": "champion", "horizons_s": [60],
     "quantiles": [0.05, 0.5, 0.95], "change": [[[[0.0] * 17] * 3] * 4] * 2},
], ids=["another thing", "one window", "ragged", "other horizons"])
def test_an_answer_that_does_not_fit_is_refused(server, client, answer):
    server.answer = answer
    with pytest.raises(ModelRefused):
        client.changes(WINDOWS)


def test_a_model_of_another_grid_is_refused_by_name(server, client):
    server.grid_z = [z + 0.1 for z in server.grid_z]
    with pytest.raises(ModelRefused, match="grid"):
        client.learn()
    assert client.contract is None


def test_a_new_version_brings_its_contract(server, client):
    client.changes(WINDOWS)
    server.version = "2"

    assert client.changes(WINDOWS).model_version == "2"
    assert server.calls["/contract"] == 2


def test_a_new_version_with_another_window_is_not_given_the_old_one(server, client, clock):
    client.changes(WINDOWS)
    server.version, server.answer = "2", server.forecast(
        {"windows": WINDOWS.tolist(), "step_s": 60.0}) | {"model_version": "2"}
    server.window = 5
    with pytest.raises(ModelRefused, match="another step"):
        client.changes(WINDOWS)
    clock.now = 2.0

    assert client.learn().window == 5


# --- the step

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


@pytest.fixture
def stage(client):
    return PredictorStage(AwayDatabase(), Producer(), client, Histories(nothing_before), SHAPE)


def test_every_row_is_forecast_in_order_by_one_call(server, stage):
    rows = [feature_row(minute(i), 0.2 + i / 100) for i in range(15)]

    made = stage.forecast(rows)

    assert [one.made_at for one in made[::4]] == [row.ts for row in rows]
    assert [one.role for one in made[::4]] == ["baseline"] * 9 + ["champion"] * 6
    assert server.batches == [6]


def test_a_backlog_gives_the_forecasts_that_single_rows_give(server, stage):
    rows = [feature_row(minute(i), 0.2 + i % 3 / 100) for i in range(15)]
    with ModelClient(server.url, 5.0, 1.0) as client:
        alone = PredictorStage(AwayDatabase(), Producer(), client, Histories(nothing_before), SHAPE)
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

    assert made[0].role == "baseline"
    assert made[0].upper == pytest.approx([0.22] * 17)


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
