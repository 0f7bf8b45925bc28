"""Scores of forecasts on observed quotes, and what of them the metrics show."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ml.smile.grid import GRID_Z
from services.common import metrics
from services.monitor.rolling import Rolling, skill
from services.monitor.score import Due, Past, observed, score

MADE = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
TAU = 0.1
FORWARD = 600.0


def smile(level, slope=0.0):
    return level + slope * GRID_Z


def due(forecast, half_band=np.nan):
    return Due("SPY", date(2026, 12, 18), MADE, 300, "constant", MADE + timedelta(seconds=300),
               "champion", forecast, forecast - half_band, forecast + half_band,
               MADE + timedelta(seconds=300))


def seen(vols, z=(-1.0, 0.0, 1.0), half_spread=0.001, atm=0.2, forward=FORWARD):
    strike = forward * np.exp(np.array(z) * atm * np.sqrt(TAU))
    mid = np.array(vols)
    return observed(TAU, forward, atm, strike, mid - half_spread, mid, mid + half_spread)


def past(grid, forward=FORWARD, window=10):
    return Past.of(np.tile(grid, (window, 1)), 0.5, TAU, forward)


def test_a_forecast_that_is_right_has_no_error():
    result = score(due(smile(0.2)), seen([0.2, 0.2, 0.2]), past(smile(0.2)))

    assert result.error_bp == pytest.approx(0.0, abs=1e-9)
    assert result.quotes == 3


def test_the_error_is_the_root_mean_square_in_basis_points():
    result = score(due(smile(0.2)), seen([0.203, 0.2, 0.196]), None)

    assert result.error_bp == pytest.approx(np.sqrt((30**2 + 40**2) / 3))


def test_the_baselines_are_scored_on_the_same_quotes():
    grid = np.stack([smile(0.19)] * 9 + [smile(0.22)])
    result = score(due(smile(0.2)), seen([0.2] * 3), Past.of(grid, 0.5, TAU, FORWARD))

    assert result.persistence_bp == pytest.approx(200.0)
    # Weights 1/2, 1/4 …: 0.22 has 0.5 / (1 − 0.5¹⁰), the rest 0.19.
    filtered = 0.19 + 0.03 * 0.5 / (1 - 0.5**10)
    assert result.filtered_persistence_bp == pytest.approx((filtered - 0.2) * 1e4)
    assert result.sticky_strike_bp == pytest.approx(200.0)


def test_a_missing_row_of_the_past_only_lightens_the_filter():
    grid = np.full((10, 17), np.nan)
    grid[-1], grid[-2] = smile(0.22), smile(0.19)
    result = score(due(smile(0.2)), seen([0.2] * 3), Past.of(grid, 0.5, TAU, FORWARD))

    assert result.filtered_persistence_bp == pytest.approx((0.22 * 2 / 3 + 0.19 / 3 - 0.2) * 1e4)


def test_sticky_strike_holds_the_smile_by_strike_as_the_forward_moves():
    then = smile(0.2, -0.02)
    now = 606.0
    move = np.log(now / FORWARD) / (0.2 * np.sqrt(TAU))
    z = np.array([-1.0, 0.0, 0.5])
    quotes = seen(0.2 - 0.02 * (z + move), z, forward=now)
    result = score(due(then), quotes, past(then))

    assert result.sticky_strike_bp == pytest.approx(0.0, abs=0.01)
    assert result.persistence_bp > 10.0


def test_without_a_past_the_forecast_is_scored_alone():
    result = score(due(smile(0.2)), seen([0.21] * 3), None)

    assert result.error_bp == pytest.approx(100.0)
    assert np.isnan([result.persistence_bp, result.filtered_persistence_bp,
                     result.sticky_strike_bp]).all()


def test_coverage_is_the_share_of_mids_within_the_band():
    result = score(due(smile(0.2), half_band=0.005), seen([0.204, 0.2, 0.206]), None)

    assert result.coverage == pytest.approx(2 / 3)


def test_without_a_band_there_is_no_coverage():
    assert np.isnan(score(due(smile(0.2)), seen([0.2] * 3), None).coverage)


def test_the_half_spread_is_the_median_in_basis_points():
    assert score(due(smile(0.2)), seen([0.2] * 3), None).half_spread_bp == pytest.approx(10)


def test_quotes_off_the_grid_or_without_a_mid_do_not_count():
    result = score(due(smile(0.2)), seen([0.9, 0.2, 0.9, np.nan], z=(-3.0, 0.0, 2.0, 0.5)), None)

    assert result.quotes == 1
    assert result.error_bp == pytest.approx(0.0, abs=1e-9)


def test_no_quote_on_the_grid_is_nothing_observed():
    result = score(due(smile(0.2)), seen([0.9], z=(-3.0,)), past(smile(0.2)))

    assert result.quotes == 0
    assert np.isnan(result.error_bp)


def test_skill_is_one_less_the_ratio_of_squared_errors():
    assert skill(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx(0.5)


def test_the_baseline_has_no_skill_and_an_unknown_one_is_left_out():
    errors = np.array([1.0, 3.0, 5.0])

    assert skill(errors, errors) == 0.0
    assert skill(errors, np.array([1.0, 3.0, np.nan])) == 0.0
    assert np.isnan(skill(errors, np.full(3, np.nan)))


def gauge(metric, *labels):
    return metric.labels(*labels)._value.get()


def test_rolling_metrics_forget_the_oldest():
    rolling = Rolling(size=2)
    for error in (100.0, 3.0, 4.0):
        rolling.add("XYZ", "constant", 300, error, 2 * error, np.nan)
    rolling.publish()

    labels = "XYZ", "constant", "300"
    assert gauge(metrics.ERROR_BP, *labels) == pytest.approx(np.sqrt(12.5))
    assert gauge(metrics.SKILL, *labels) == pytest.approx(0.75)
    assert np.isnan(gauge(metrics.COVERAGE, *labels))
