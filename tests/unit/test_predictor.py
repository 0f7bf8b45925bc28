"""The predictor: forecasts, the model over HTTP, the baselines without it."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from ml.baselines import stacked
from ml.calendar import YEAR_SECONDS
from ml.features import WINDOW_FEATURES, filtered_smile
from ml.stand_in import StandIns
from services.common import forecast_wire as wire
from services.common import messages, metrics
from services.common.errors import Unavailable
from services.common.messages import Forecast
from services.predictor import step
from services.predictor.bands import Bands
from services.predictor.forecast import (
    Case,
    Origin,
    Shape,
    Word,
    forecasts,
    stand_in,
)
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.order import in_order
from services.predictor.reply import ModelRefused
from services.predictor.save import COLUMNS, table_row
from services.predictor.step import PredictorStage
from tests.integration.small_model_server import HORIZONS, SmallModelServer
from tests.unit.predictor_rows import (
    EXPIRY,
    LATER,
    SHAPE,
    START,
    feature_row,
    minute,
    no_bands_before,
    nothing_before,
)
from tests.unit.small_baselines import make_baselines

WINDOWS = np.zeros((2, 10, len(WINDOW_FEATURES)))
ONES = np.ones(4)


# --- forecasts

def case(vol=0.2, **changes):
    recent = np.full((10, 17), np.nan)
    recent[-1] = vol
    return Case(feature_row(START, vol, **changes), np.full(17, vol), recent, None)


def model_forecasts(case, change, scales=ONES):
    word = Word(("m",) * 4, change, Origin("7", "champion", 1.5))
    return forecasts(case, SHAPE, word, scales)


def baseline_forecasts(case, shape=SHAPE, note=None):
    origin = Origin(shape.version, "baseline", 1.0, note)
    return forecasts(case, shape, stand_in(case, shape, origin), ONES)


def changed(low, median, high):
    return np.broadcast_to(np.array([low, median, high])[None, :, None], (4, 3, 17))


def test_a_model_s_median_is_the_smile_and_its_outer_quantiles_the_band():
    made = model_forecasts(case(), changed(-0.01, 0.005, 0.02))

    assert [one.horizon_s for one in made] == list(HORIZONS)
    assert made[0].target_at == START + timedelta(seconds=60)
    assert made[0].smile == pytest.approx([0.205] * 17)
    assert made[0].lower == pytest.approx([0.19] * 17)
    assert made[0].upper == pytest.approx([0.22] * 17)
    assert (made[0].model_name, made[0].model_version, made[0].role) == ("m", "7", "champion")
    assert made[0].note is None and not made[0].repaired and made[0].latency_ms == 1.5


def test_a_scale_widens_both_sides_of_its_horizon_s_band_and_is_told():
    made = model_forecasts(case(), changed(-0.01, 0.005, 0.02), np.array([1.0, 2.0, 0.5, 1.0]))

    assert [one.band_scale for one in made] == [1.0, 2.0, 0.5, 1.0]
    assert made[1].smile == pytest.approx([0.205] * 17)
    assert made[1].lower == pytest.approx([0.175] * 17)
    assert made[1].upper == pytest.approx([0.235] * 17)
    assert made[2].lower == pytest.approx([0.1975] * 17)


def test_rows_have_a_time_that_calendars_hold_and_their_forecasts_may_be_for_later():
    last = datetime(2199, 12, 31, 23, 59, tzinfo=UTC)
    made = baseline_forecasts(Case(feature_row(last), np.full(17, 0.2), case().recent, None))

    assert made[-1].target_at == last + timedelta(seconds=HORIZONS[-1])
    for made_at in (datetime(1, 1, 1, tzinfo=UTC), last + timedelta(minutes=1)):
        with pytest.raises(ValueError, match=r"`ts` .* is not from 1970"):
            feature_row(made_at)
        with pytest.raises(ValueError, match=r"`made_at` .* is not from 1970"):
            msgspec.structs.replace(made[0], made_at=made_at)


def test_a_horizon_that_does_not_end_before_the_expiry_is_not_made():
    made = baseline_forecasts(case(tau=300.0 / YEAR_SECONDS))

    assert [one.horizon_s for one in made] == [60]


def test_an_impossible_smile_is_repaired_and_its_band_holds_it():
    change = np.zeros((4, 3, 17))
    change[:, :, 3] = -0.5

    made = model_forecasts(case(), change)[0]

    assert made.repaired
    assert min(made.smile) > 0
    assert all(low <= vol <= high for low, vol, high
               in zip(made.lower, made.smile, made.upper, strict=True))


def test_without_a_contract_the_filtered_smile_is_held_without_a_band_nobody_measured():
    made = baseline_forecasts(case(), note="why")[0]

    assert made.smile == pytest.approx([0.2] * 17)
    assert made.lower == made.upper == [None] * 17
    assert (made.model_name, made.note) == ("filtered_persistence", "why")


# --- what stands in

ANCHORS = ("kalman", "har", "filtered_persistence", "persistence")


def shape_of(baselines=None, anchor=ANCHORS):
    baselines = make_baselines(10, 4) if baselines is None else baselines
    return Shape(60.0, 10, 0.5, HORIZONS, np.full((4, 17), 0.02),
                 StandIns.of(baselines, anchor, 10), "7")


def test_the_model_s_anchors_stand_in_by_horizon_with_the_contract_s_band():
    window = np.tile(np.random.default_rng(0).normal(0.0, 0.001, (10, 1)), WINDOWS.shape[2])
    given = Case(feature_row(START), np.full(17, 0.2), case().recent, window)

    made = baseline_forecasts(given, shape_of())

    expected = 0.2 + stacked(make_baselines(10, 4), ANCHORS, 10).changes(window[None, :, :17])[0]
    assert [one.model_name for one in made] == list(ANCHORS)
    assert {(one.model_version, one.role) for one in made} == {("7", "baseline")}
    assert np.array([one.smile for one in made]) == pytest.approx(expected, abs=1e-12)
    assert made[2].smile == pytest.approx([0.2] * 17)
    assert np.array(made[0].upper) - made[0].smile == pytest.approx(0.02)


def test_of_a_short_history_the_anchors_of_what_is_known_stand_in():
    recent = np.full((10, 17), np.nan)
    recent[[3, 6, 9]] = np.array([0.2, 0.22, 0.24])[:, None]
    filtered = filtered_smile(recent, 0.5)
    given = Case(feature_row(START), filtered, recent, None)

    made = baseline_forecasts(given, shape_of(anchor=("ewma", "kalman", "persistence", "har")))

    assert [one.model_name for one in made] == ["ewma", "kalman", "persistence", "har"]
    weights = 0.5 ** np.array([9, 3, 0])
    assert made[0].smile == pytest.approx([weights @ [0.2, 0.22, 0.24] / weights.sum()] * 17)
    assert made[2].smile == pytest.approx([0.24] * 17)


def test_a_short_history_without_a_gap_is_told_as_a_window_that_began_with_its_first_smile():
    known = np.random.default_rng(0).normal(0.2, 0.001, (4, 1)) * np.ones(17)
    recent = np.concatenate([np.full((6, 17), np.nan), known])
    whole = np.concatenate([known[:1].repeat(6, axis=0), known])
    filtered = filtered_smile(recent, 0.5)
    anchors = shape_of(anchor=("har", "ar", "kalman", "ewma")).stand_ins

    of_short = anchors.of_short_history(recent, filtered)

    assert of_short.change == pytest.approx(anchors.of_window(whole - filtered).change)


def test_a_contract_without_baselines_leaves_the_filtered_smile_to_a_short_history():
    made = baseline_forecasts(case(), shape_of((), ("filtered_persistence",) * 4))

    assert {one.model_name for one in made} == {"filtered_persistence"}
    assert made[0].smile == pytest.approx([0.2] * 17)


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

    assert client.known.contract.name == "constant"
    assert server.calls == {"/contract": 1, wire.PATH: 2}


def test_changes_have_a_place_for_each_window_horizon_quantile_and_point(client):
    changes = client.changes(WINDOWS).champion

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

    assert client.changes(WINDOWS).champion.model_version == "1"
    assert server.calls[wire.PATH] == 3


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


def test_a_new_version_of_other_horizons_is_not_taken_for_the_old_one(server, client):
    client.changes(WINDOWS)
    server.answer = wire.encode(wire.Answer(champion=server.said(2, server.changes, version="2")))
    server.version, server.horizons = "2", (60, 300, 900, 3600)

    with pytest.raises(ModelRefused, match="or horizons"):
        client.changes(WINDOWS)


def said(role="champion", **others):
    fields = {"model_name": "m", "model_version": "1", "horizons_s": HORIZONS,
              "quantiles": (0.05, 0.5, 0.95), "change": wire.pack(np.zeros((2, 4, 3, 17)))}
    return wire.Said(role=role, **{**fields, **others})


def ragged(change=(2, 4, 3, 17)):
    return wire.Array(change, b"1234")


UNFIT = [said(change=wire.pack(np.zeros((1, 4, 3, 17)))), said(change=ragged()),
         said(change=wire.pack(np.full((2, 4, 3, 17), np.nan))), said(horizons_s=(60,)),
         said(role="baseline")]
NAMES = ["one window", "too few bytes", "not a number", "other horizons", "another role"]


@pytest.mark.parametrize("answer", [b"junk", msgspec.msgpack.encode({"not": "a forecast"}), *(
    wire.encode(wire.Answer(champion=one)) for one in UNFIT)],
    ids=["junk", "another thing", *NAMES])
def test_an_answer_that_does_not_fit_is_refused(server, client, answer):
    server.answer = answer
    with pytest.raises(ModelRefused):
        client.changes(WINDOWS)


# --- the shadow

def test_the_challenger_is_heard_beside_the_champion_under_a_name_of_its_own(server, client):
    server.shadow_changes = (-0.02, 0.001, 0.02)

    shadow = client.changes(WINDOWS).shadow

    assert (shadow.model_name, shadow.model_version, shadow.role) == (
        "constant.shadow", "9", "shadow")
    assert shadow.change[0, 0, :, 0] == pytest.approx([-0.02, 0.001, 0.02])


@pytest.mark.parametrize("shadow", [
    7, {"model_name": ""}, *({**msgspec.to_builtins(one, builtin_types=(bytes,)),
                              "role": "shadow"} for one in UNFIT[:4]),
    msgspec.to_builtins(said(), builtin_types=(bytes,)),
    msgspec.to_builtins(said("shadow", model_name="m" * 60), builtin_types=(bytes,))],
    ids=["a number", "another thing", *NAMES[:4], "a champion's", "too long a name"])
def test_a_shadow_that_does_not_fit_is_left_out_and_harms_no_champion(server, client, shadow):
    champion = msgspec.to_builtins(said(), builtin_types=(bytes,))
    server.answer = msgspec.msgpack.encode({"champion": champion, "shadow": shadow})

    pair = client.changes(WINDOWS)

    assert pair.shadow is None
    assert pair.champion.change.shape == (2, 4, 3, 17)


def test_a_model_of_another_grid_is_refused_by_name(server, client):
    server.grid_z = [z + 0.1 for z in server.grid_z]
    with pytest.raises(ModelRefused, match="grid"):
        client.learn()
    assert client.known is None


def test_a_new_version_brings_its_contract(server, client):
    client.changes(WINDOWS)
    server.version = "2"

    assert client.changes(WINDOWS).champion.model_version == "2"
    assert server.calls["/contract"] == 2


def test_a_new_version_with_another_window_is_not_given_the_old_one(server, client, clock):
    client.changes(WINDOWS)
    server.answer = wire.encode(wire.Answer(champion=server.said(2, server.changes, version="2")))
    server.version, server.window = "2", 5
    with pytest.raises(ModelRefused, match="another step"):
        client.changes(WINDOWS)
    clock.now = 2.0

    assert client.learn().contract.window == 5


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


class WrittenDatabase:
    @contextmanager
    def transaction(self):
        yield None


@pytest.fixture
def stage(client):
    return fresh(client)


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
