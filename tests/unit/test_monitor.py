"""Scores of forecasts on observed quotes, and what of them the metrics show."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ml.smile.grid import GRID_Z
from services.common import metrics
from services.monitor.past import Past, held_smiles
from services.monitor.rolling import Labels, Rolling, Taken, skill, skill_against_best
from services.monitor.score import BASELINES, Due, baseline_errors, observed, score
from tests.unit.small_model import make_contract

MADE = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
NEAR = date(2026, 11, 20)
TAU = 0.1
FORWARD = 600.0


def smile(level, slope=0.0):
    return level + slope * GRID_Z


def due(forecast, half_band=np.nan):
    return Due("SPY", date(2026, 12, 18), MADE, 300, "constant", MADE + timedelta(seconds=300),
               "champion", "live", "3", forecast, forecast - half_band, forecast + half_band,
               MADE + timedelta(seconds=300))


def seen(vols, z=(-1.0, 0.0, 1.0), half_spread=0.001, atm=0.2, forward=FORWARD):
    strike = forward * np.exp(np.array(z) * atm * np.sqrt(TAU))
    mid = np.array(vols)
    return observed(TAU, forward, atm, strike, mid - half_spread, mid, mid + half_spread)


def past(grid, forward=FORWARD, window=10):
    return Past.of(np.tile(grid, (window, 1)), 0.5, TAU, forward)


def test_a_forecast_that_is_right_has_no_error():
    result = score(due(smile(0.2)), seen([0.2, 0.2, 0.2]), {})

    assert result.error_bp == pytest.approx(0.0, abs=1e-9)
    assert result.quotes == 3


def test_the_error_is_the_root_mean_square_in_basis_points():
    result = score(due(smile(0.2)), seen([0.203, 0.2, 0.196]), {})

    assert result.error_bp == pytest.approx(np.sqrt((30**2 + 40**2) / 3))


def test_the_baselines_are_scored_on_the_same_quotes():
    grid = np.stack([smile(0.19)] * 9 + [smile(0.22)])
    errors = baseline_errors(Past.of(grid, 0.5, TAU, FORWARD), {"ewma": smile(0.197)},
                             seen([0.2] * 3))

    assert errors["persistence"] == pytest.approx(200.0)
    # Weights 1/2, 1/4 …: 0.22 has 0.5 / (1 − 0.5¹⁰), the rest 0.19.
    filtered = 0.19 + 0.03 * 0.5 / (1 - 0.5**10)
    assert errors["filtered_persistence"] == pytest.approx((filtered - 0.2) * 1e4)
    assert errors["sticky_strike"] == pytest.approx(200.0)
    assert errors["ewma"] == pytest.approx(30.0)


def test_a_missing_row_of_the_past_only_lightens_the_filter():
    grid = np.full((10, 17), np.nan)
    grid[-1], grid[-2] = smile(0.22), smile(0.19)
    errors = baseline_errors(Past.of(grid, 0.5, TAU, FORWARD), {}, seen([0.2] * 3))

    assert errors["filtered_persistence"] == pytest.approx((0.22 * 2 / 3 + 0.19 / 3 - 0.2) * 1e4)


def test_sticky_strike_holds_the_smile_by_strike_as_the_forward_moves():
    then = smile(0.2, -0.02)
    now = 606.0
    move = np.log(now / FORWARD) / (0.2 * np.sqrt(TAU))
    z = np.array([-1.0, 0.0, 0.5])
    errors = baseline_errors(past(then), {}, seen(0.2 - 0.02 * (z + move), z, forward=now))

    assert errors["sticky_strike"] == pytest.approx(0.0, abs=0.01)
    assert errors["persistence"] > 10.0


def test_without_a_past_the_forecast_is_scored_alone():
    errors = baseline_errors(None, {}, seen([0.21] * 3))
    result = score(due(smile(0.2)), seen([0.21] * 3), errors)

    assert result.error_bp == pytest.approx(100.0)
    assert np.isnan(result.against()).all() and len(result.against()) == len(BASELINES)


def test_coverage_is_the_share_of_mids_within_the_band():
    result = score(due(smile(0.2), half_band=0.005), seen([0.204, 0.2, 0.206]), {})

    assert result.coverage == pytest.approx(2 / 3)


def test_without_a_band_there_is_no_coverage():
    assert np.isnan(score(due(smile(0.2)), seen([0.2] * 3), {}).coverage)


def test_the_half_spread_is_the_median_in_basis_points():
    assert score(due(smile(0.2)), seen([0.2] * 3), {}).half_spread_bp == pytest.approx(10)


def test_quotes_off_the_grid_or_without_a_mid_do_not_count():
    result = score(due(smile(0.2)), seen([0.9, 0.2, 0.9, np.nan], z=(-3.0, 0.0, 2.0, 0.5)), {})

    assert result.quotes == 1
    assert result.error_bp == pytest.approx(0.0, abs=1e-9)


def test_no_quote_on_the_grid_is_nothing_observed():
    nothing = seen([0.9], z=(-3.0,))
    result = score(due(smile(0.2)), nothing, baseline_errors(past(smile(0.2)), {}, nothing))

    assert result.quotes == 0
    assert np.isnan(result.error_bp) and np.isnan(result.against()).all()


# --- the champion's own baselines

def test_fitted_baselines_hold_what_their_weights_say_of_the_window_s_smiles():
    contract = make_contract()  # its EWMA halves each older row's weight, its window is 4
    grid = np.stack([smile(level, -0.02) for level in (0.18, 0.21, 0.19, 0.22)])
    [held] = held_smiles(contract, [Past.of(grid, 0.5, TAU, FORWARD)], [300])
    weights = np.array([1, 2, 4, 8]) / 15

    assert set(held) == {"ewma", "ar", "har", "kalman"}
    assert held["ewma"] == pytest.approx(weights @ grid)
    assert held["ar"] != pytest.approx(held["ewma"])


def test_unknown_contracts_pasts_horizons_and_windows_leave_the_columns_empty():
    known, longer = past(smile(0.2), window=4), past(smile(0.2), window=5)
    silent = Past.of(np.stack([smile(0.2)] * 3 + [np.full(17, np.nan)]), 0.5, TAU, FORWARD)

    assert held_smiles(None, [known], [60]) == [{}]
    held = held_smiles(make_contract(), [None, known, longer, silent, known],
                       [60, 900, 60, 60, 60])
    assert [bool(one) for one in held] == [False, False, False, False, True]


# --- rolling metrics

def test_skill_is_one_less_the_ratio_of_squared_errors():
    assert skill(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx(0.5)


def test_the_baseline_has_no_skill_and_an_unknown_one_is_left_out():
    errors = np.array([1.0, 3.0, 5.0])

    assert skill(errors, errors) == 0.0
    assert skill(errors, np.array([1.0, 3.0, np.nan])) == 0.0
    assert np.isnan(skill(errors, np.full(3, np.nan)))


def test_skill_against_the_best_is_that_against_the_least_error():
    errors = np.array([2.0, 2.0])
    rivals = np.array([[4.0, np.nan, 1.0], [4.0, np.nan, 2.0]])

    assert skill_against_best(errors, rivals) == pytest.approx(1 - 8 / 5)
    assert np.isnan(skill_against_best(errors, rivals[:, 1:2]))


def gauge(metric, *labels):
    return metric.labels(*labels)._value.get()


def taken(minute, error, baselines=None, coverage=np.nan, version="3", expiry=NEAR):
    """A score of a forecast made so many minutes after the first; baselines miss by twice."""
    return Taken(version, expiry, MADE + timedelta(minutes=minute),
                 [error, *(baselines or [2 * error] * len(BASELINES))], coverage)


def test_rolling_metrics_forget_the_oldest_and_keep_roles_apart():
    rolling = Rolling(size=2)
    labels = Labels("XYZ", "live", "champion", "constant", "300")
    shadow = labels._replace(role="shadow")
    for place, error in enumerate((100.0, 3.0, 4.0)):
        rolling.add(labels, taken(5 * place, error))
        rolling.add(shadow, taken(
            5 * place, error, [error / 2, *[2 * error] * (len(BASELINES) - 1)], 0.9))
    rolling.publish()

    assert gauge(metrics.ERROR_BP, *labels) == pytest.approx(np.sqrt(12.5))
    assert gauge(metrics.SKILL, *labels) == pytest.approx(0.75)
    assert np.isnan(gauge(metrics.COVERAGE, *labels))
    assert gauge(metrics.SKILL, *shadow) == pytest.approx(0.75)
    assert gauge(metrics.SKILL_BEST, *shadow) == pytest.approx(1 - 4)
    assert gauge(metrics.COVERAGE, *shadow) == pytest.approx(0.9)


def test_scores_of_an_expiry_that_overlap_count_once():
    rolling, labels = Rolling(size=9), Labels("OVER", "live", "champion", "constant", "1800")
    for minute, error in ((0, 3.0), (1, 100.0), (29, 100.0), (30, 4.0)):
        rolling.add(labels, taken(minute, error))
    rolling.add(labels, taken(31, 5.0, expiry=date(2027, 1, 15)))
    rolling.publish()

    assert gauge(metrics.ERROR_BP, *labels) == pytest.approx(np.sqrt(50 / 3))


def test_a_new_version_begins_anew_and_what_is_late_of_the_old_one_is_left():
    rolling, labels = Rolling(size=9), Labels("ANEW", "live", "champion", "constant", "300")
    for minute, error, version in ((0, 100.0, "3"), (5, 100.0, "3"), (10, 2.0, "4"),
                                   (7, 100.0, "3"), (15, 2.0, "4")):
        rolling.add(labels, taken(minute, error, version=version))
    rolling.publish()

    assert gauge(metrics.ERROR_BP, *labels) == pytest.approx(2.0)


def shown(labels):
    return [metric for metric in (metrics.ERROR_BP, metrics.SKILL, metrics.SKILL_BEST,
                                  metrics.COVERAGE) if tuple(labels) in metric._metrics]


def test_a_shadow_that_has_gone_is_no_longer_shown_while_a_night_removes_nobody():
    rolling, labels = Rolling(size=9), Labels("GONE", "live", "champion", "constant", "300")
    shadow = labels._replace(role="shadow")
    for minute in (0, 5, 1000, 1005):
        rolling.add(labels, taken(minute, 2.0))
        rolling.add(shadow, taken(minute, 2.0))
        rolling.publish()
        assert len(shown(labels)) == len(shown(shadow)) == 4
    for minute in (1060, 1070):
        rolling.add(labels, taken(minute, 2.0))
        rolling.publish()

    assert shown(shadow) == [] and len(shown(labels)) == 4
