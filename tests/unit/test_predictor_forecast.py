"""The predictor's forecasts of one smile: the model's, and those that stand in for them."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from ml.baselines import stacked
from ml.calendar import YEAR_SECONDS
from ml.features import WINDOW_FEATURES, filtered_smile
from ml.stand_in import StandIns
from services.predictor.forecast import (
    Case,
    Origin,
    Shape,
    Word,
    forecasts,
    stand_in,
)
from tests.integration.small_model_server import HORIZONS
from tests.unit.predictor_rows import SHAPE, START, feature_row
from tests.unit.small_baselines import make_baselines

ONES = np.ones(4)


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
    window = np.tile(np.random.default_rng(0).normal(0.0, 0.001, (10, 1)), len(WINDOW_FEATURES))
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
