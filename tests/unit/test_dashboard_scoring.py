"""Errors, skill and its interval from sums over bins of time."""

import numpy as np
import pandas as pd
import pytest

from dashboard import scoring


def bins(count: int, model: float, filtered: float, role: str = "champion",
         horizon_s: int = 60, forecasts: int = 10) -> pd.DataFrame:
    """`count` five-minute bins of `forecasts` forecasts with these errors in bp."""
    return pd.DataFrame({
        "horizon_s": horizon_s, "role": role, "model_name": role,
        "at": pd.date_range("2025-12-16T15:00Z", periods=count, freq="300s"),
        "forecasts": forecasts, "quotes": 40 * forecasts, "model_sq": forecasts * model**2,
        "persistence_sq": forecasts * 9.0, "filtered_sq": forecasts * filtered**2,
        "strike_sq": forecasts * 16.0, "strike_count": forecasts, "covered": 36.0 * forecasts,
        "banded": 40.0 * forecasts, "half_spread_bp": 6.9})


def test_errors_are_root_mean_squares_and_skill_compares_with_filtered_persistence():
    [score] = scoring.summary(bins(12, model=1.8, filtered=2.0))
    assert score.error_bp == pytest.approx(1.8)
    assert (score.persistence_bp, score.filtered_bp, score.strike_bp) == pytest.approx((3, 2, 4))
    assert score.skill == pytest.approx(1 - 0.81)
    assert score.coverage == pytest.approx(0.9)
    assert (score.forecasts, score.blocks) == (120, 12)


def test_bins_count_by_their_forecasts():
    few, many = bins(1, 3.0, 2.0, forecasts=1), bins(1, 1.0, 2.0, forecasts=99)
    [score] = scoring.summary(pd.concat([few, many]))
    assert score.error_bp == pytest.approx(np.sqrt((9 + 99) / 100))


def test_there_is_no_interval_below_the_least_number_of_blocks():
    [few] = scoring.summary(bins(scoring.LEAST_BLOCKS - 1, 1.0, 2.0))
    [enough] = scoring.summary(bins(scoring.LEAST_BLOCKS, 1.0, 2.0))
    assert np.isnan(few.skill_low) and np.isfinite(enough.skill_low)


def test_a_block_is_never_shorter_than_the_horizon():
    assert len(scoring.blocks(bins(12, 1.0, 2.0), horizon_s=60)) == 12
    assert len(scoring.blocks(bins(12, 1.0, 2.0), horizon_s=1800)) == 2


def test_the_interval_holds_zero_for_a_model_that_is_the_baseline_with_noise():
    noise = np.random.default_rng(3)
    filtered = 4.0 + noise.random(200)
    low, high = scoring.skill_interval(filtered * (1 + noise.normal(0, 0.3, 200)), filtered)
    assert low < 0 < high
    assert scoring.skill_interval(0.9 * filtered, filtered) == pytest.approx((0.1, 0.1))


def test_the_interval_is_the_same_on_every_refresh():
    squares = np.random.default_rng(5).random((2, 50))
    assert scoring.skill_interval(*squares) == scoring.skill_interval(*squares)


def test_champion_and_stand_in_are_scored_apart():
    both = pd.concat([bins(9, 1.0, 2.0), bins(9, 2.0, 2.0, role="baseline")])
    assert [(score.role, score.skill) for score in scoring.summary(both)] == [
        ("baseline", pytest.approx(0.0)), ("champion", pytest.approx(0.75))]
    assert scoring.leading_role(both) == "champion"
    assert scoring.leading_role(both[both["role"] == "baseline"]) == "baseline"


def test_forecasts_without_a_band_leave_coverage_unknown():
    unbanded = bins(9, 1.0, 2.0).assign(covered=np.nan, banded=np.nan)
    [score] = scoring.summary(unbanded)
    assert np.isnan(score.coverage)


def test_error_over_time_has_the_model_and_two_baselines():
    table = scoring.over_time(bins(3, 1.0, 2.0))
    errors = table.groupby("series")["error_bp"].first()
    assert dict(errors) == pytest.approx({"Model": 1, "Filtered persistence": 2, "Persistence": 3})
    assert len(table) == 9
