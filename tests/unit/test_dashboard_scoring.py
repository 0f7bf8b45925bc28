"""Errors, skill and its interval from sums over bins of time."""

import numpy as np
import pandas as pd
import pytest

from dashboard import scoring


def bins(count: int, model: float, filtered: float, role: str = "champion",
         horizon_s: int = 60, forecasts: int = 10, version: str = "3") -> pd.DataFrame:
    """`count` five-minute bins of `forecasts` forecasts with these errors in bp.

    Persistence errs by 3 bp, sticky strike by 4, EWMA by 1.9 in each; the others are unknown.
    """
    errors = {"filtered": filtered, "persistence": 3.0, "strike": 4.0, "ewma": 1.9}
    return pd.DataFrame({
        "horizon_s": horizon_s, "role": role, "model_name": role,
        "model_version": version,
        "at": pd.date_range("2025-12-16T15:00Z", periods=count, freq="300s"),
        "forecasts": forecasts, "quotes": 40 * forecasts, "model_sq": forecasts * model**2,
        "covered": 36.0 * forecasts, "banded": 40.0 * forecasts, "half_spread_bp": 6.9,
        **{f"{name}_sq": forecasts * errors[name]**2 if name in errors else np.nan
           for name in scoring.BASELINES},
        **{f"{name}_count": forecasts * (name in errors) for name in scoring.BASELINES},
        **{f"{name}_model_sq": forecasts * model**2 if name in errors else np.nan
           for name in scoring.BASELINES}})


def test_errors_are_root_mean_squares_and_skill_compares_with_filtered_persistence():
    [score] = scoring.summary(bins(12, model=1.8, filtered=2.0))
    assert score.error_bp == pytest.approx(1.8)
    known = {name: error for name, error in score.baselines_bp.items() if np.isfinite(error)}
    assert known == pytest.approx({"filtered": 2, "persistence": 3, "strike": 4, "ewma": 1.9})
    assert score.skill.value == pytest.approx(1 - 0.81)
    assert score.coverage == pytest.approx(0.9)
    assert (score.forecasts, score.blocks) == (120, 12)


def test_the_best_baseline_is_the_one_that_leaves_least_skill_on_the_same_forecasts():
    [score] = scoring.summary(bins(12, model=1.8, filtered=2.0))
    assert (score.best, score.best_skill.value) == ("ewma", pytest.approx(1 - (1.8 / 1.9)**2))
    assert score.best_skill.certain and score.best_skill.low > 0


def test_a_baseline_known_for_few_forecasts_is_not_the_best_one():
    few = bins(12, model=1.8, filtered=2.0).assign(ewma_count=4)
    [score] = scoring.summary(few)
    assert score.best == "filtered"
    assert score.best_skill == score.skill


def test_an_error_of_other_forecasts_does_not_stand_beside_the_models():
    [score] = scoring.summary(bins(12, model=1.8, filtered=2.0).assign(ewma_count=8))
    assert np.isnan(score.baselines_bp["ewma"])
    assert score.baselines_bp["filtered"] == pytest.approx(2.0)


def test_a_skill_reads_with_its_interval_where_there_is_one():
    assert str(scoring.Skill(0.041, 0.01, 0.073)) == "+4.1 % (+1.0 … +7.3)"
    assert str(scoring.Skill(-0.02, np.nan, np.nan)) == "-2.0 %"
    assert not scoring.Skill(0.041, -0.01, 0.073).certain


def test_bins_count_by_their_forecasts():
    few, many = bins(1, 3.0, 2.0, forecasts=1), bins(1, 1.0, 2.0, forecasts=99)
    [score] = scoring.summary(pd.concat([few, many]))
    assert score.error_bp == pytest.approx(np.sqrt((9 + 99) / 100))


def test_there_is_no_interval_below_the_least_number_of_blocks():
    [few] = scoring.summary(bins(scoring.LEAST_BLOCKS - 1, 1.0, 2.0))
    [enough] = scoring.summary(bins(scoring.LEAST_BLOCKS, 1.0, 2.0))
    assert np.isnan(few.skill.low) and np.isfinite(enough.skill.low)


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


def test_champion_shadow_and_stand_in_are_scored_apart_and_in_this_order():
    parts = [bins(9, 2.0, 2.0, role="baseline"), bins(9, 1.0, 2.0, role="shadow"),
             bins(9, 1.0, 2.0)]
    all_three = pd.concat(parts)
    assert [(score.role, score.skill.value) for score in scoring.summary(all_three)] == [
        ("champion", pytest.approx(0.75)), ("shadow", pytest.approx(0.75)),
        ("baseline", pytest.approx(0.0))]
    assert scoring.leading_role({"champion", "baseline", "shadow"}) == "champion"
    assert scoring.leading_role({"baseline", "shadow"}) == "baseline"
    assert scoring.leading_role({"shadow"}) == "shadow"


def test_a_version_that_took_over_leads_and_the_line_goes_on():
    before, after = bins(2, 2.0, 2.0), bins(2, 1.0, 2.0, version="10")
    after["at"] += pd.Timedelta(minutes=5)
    scores = scoring.summary(pd.concat([before, after]))
    line = scoring.over_time(pd.concat([before, after]))

    assert [(score.version, score.error_bp) for score in scores] == [("10", 1.0), ("3", 2.0)]
    assert scoring.leading(scores) == scores[:1]
    assert line[line["series"] == "Model"]["error_bp"].tolist() == pytest.approx(
        [2.0, np.sqrt(2.5), 1.0])


def test_forecasts_without_a_band_leave_coverage_unknown():
    unbanded = bins(9, 1.0, 2.0).assign(covered=np.nan, banded=np.nan)
    [score] = scoring.summary(unbanded)
    assert np.isnan(score.coverage)


def test_error_over_time_has_the_model_and_two_baselines():
    table = scoring.over_time(bins(3, 1.0, 2.0))
    errors = table.groupby("series")["error_bp"].first()
    assert dict(errors) == pytest.approx({"Model": 1, "Filtered persistence": 2, "Persistence": 3})
    assert len(table) == 9


def test_error_over_time_has_a_shadow_where_there_is_one():
    table = scoring.over_time(pd.concat([bins(3, 1.0, 2.0), bins(3, 1.5, 2.0, role="shadow")]))
    errors = table.groupby("series")["error_bp"].first()
    assert (errors["Model"], errors["Shadow"]) == pytest.approx((1.0, 1.5))
