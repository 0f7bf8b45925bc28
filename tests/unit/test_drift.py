"""Drift: told from chance by how many independent samples there are."""

import numpy as np
import pytest
from scipy.stats import ks_1samp

from ml.contract import PERCENTILES
from ml.drift.findings import (
    Errors,
    column,
    feature_findings,
    persistent,
    reasons,
    residual_finding,
    skill_finding,
)
from ml.drift.statistics import (
    chance_limit,
    effective_count,
    kolmogorov_smirnov,
    ks_p_value,
    psi,
    shift,
)
from ml.features import INSTANT_FEATURES
from tests.unit.small_model import make_contract

LEVELS = np.linspace(0.0, 1.0, PERCENTILES)
UNIFORM = LEVELS.copy()
"""Quantiles of a reference that is as likely anywhere from 0 to 1."""


def random(seed=0):
    return np.random.default_rng(seed)


def persistent_series(count, kept, seed):
    """An AR(1) of unit variance."""
    noise, series = random(seed).normal(size=count), np.empty(count)
    series[0] = noise[0]
    for place in range(1, count):
        series[place] = kept * series[place - 1] + noise[place] * np.sqrt(1 - kept**2)
    return series


# --- statistics

def test_the_index_of_values_all_in_one_bin_is_what_its_formula_says():
    assert psi(UNIFORM, np.full(1000, 0.95)) == pytest.approx(
        0.9 * np.log(10) + 9 * 0.0995 * np.log(200))


def test_the_index_of_values_like_the_reference_is_small():
    assert 0.0 <= psi(UNIFORM, random().random(2000)) < 0.02


def test_a_reference_of_one_number_is_met_by_that_number():
    one = np.full(PERCENTILES, 3.0)

    assert psi(one, np.full(50, 3.0)) == 0.0
    assert kolmogorov_smirnov(one, np.full(50, 3.0)) == 0.0
    assert psi(one, np.full(50, 4.0)) > 1.0


def test_an_atom_that_both_have_is_no_distance():
    half_zero = np.maximum(LEVELS - 0.5, 0.0)  # 0 in half of all cases, then uniform to 0.5
    values = np.maximum(random().random(4000) - 0.5, 0.0)

    assert kolmogorov_smirnov(half_zero, values) < 0.03
    assert kolmogorov_smirnov(half_zero, np.zeros(100)) == pytest.approx(0.5)


def test_the_distance_is_scipy_s():
    values = random().random(300) ** 1.5

    found = ks_1samp(values, lambda x: x)
    assert kolmogorov_smirnov(UNIFORM, values) == pytest.approx(found.statistic)
    assert ks_p_value(found.statistic, 300) == pytest.approx(found.pvalue, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_repeated_values_are_worth_what_was_repeated(seed):
    values = random(seed).normal(size=400)

    assert effective_count(np.repeat(values, 5)) == pytest.approx(400, rel=0.35)
    assert effective_count(values) > 250


def test_a_number_that_never_changes_carries_no_noise():
    assert effective_count(np.full(50, 0.3)) == 50.0


@pytest.mark.parametrize("kept", [0.0, 0.9, 0.98])
def test_no_drift_is_seen_where_there_is_none_however_persistent(kept):
    quantiles = np.quantile(random(99).normal(size=20_000), LEVELS)
    found = [shift(quantiles, 20_000, persistent_series(600, kept, seed), np.arange(600.0)).found
             for seed in range(60)]

    assert sum(bool(one) for one in found) <= 3


def test_a_shift_of_half_a_deviation_is_seen_in_a_day_of_independent_values():
    quantiles = np.quantile(random(99).normal(size=20_000), LEVELS)
    moved = shift(quantiles, 20_000, random().normal(0.7, 1.0, 400), np.arange(400.0))

    assert moved.found is True and moved.psi > moved.psi_limit and moved.p_value < 0.01


def test_values_beyond_all_of_the_reference_are_drift_however_few_they_are_worth():
    moved = shift(UNIFORM, 1000, 2.0 + persistent_series(300, 0.999, 0) * 0.01,
                  np.arange(300.0))

    assert moved.found is True and moved.outside == 1.0


def test_expiries_of_one_instant_count_as_one():
    at_s = np.repeat(np.arange(60.0), 20)
    values = np.repeat(random().random(60), 20)
    told = shift(UNIFORM, 1000, values, at_s)

    assert told.samples == 1200 and told.effective <= 60


def test_too_few_samples_tell_nothing():
    few = shift(UNIFORM, 1000, np.full(99, 5.0), np.arange(99.0))
    worth_little = shift(UNIFORM, 1000, 0.5 + persistent_series(300, 0.9999, 1) * 0.01,
                         np.arange(300.0))

    assert few.found is None and np.isnan(few.psi)
    assert worth_little.found is None and worth_little.effective < 8


def test_what_is_unknown_is_left_out():
    values = np.concatenate([random().random(300), np.full(300, np.nan)])

    assert shift(UNIFORM, 1000, values, np.arange(600.0)).samples == 300


def test_the_limit_is_the_usual_one_or_what_chance_reaches():
    assert chance_limit(1e6, 1e6) == 0.25
    assert chance_limit(20.0, 1e9) == pytest.approx(21.666 / 20, rel=1e-3)


# --- findings

def test_features_are_looked_up_by_name_and_those_that_tell_the_time_left_out():
    contract = make_contract()  # its reference: a skew between −0.1 and 0.1
    features = np.full((200, len(INSTANT_FEATURES)), np.nan)
    features[:, INSTANT_FEATURES.index("skew")] = 0.3
    [found] = feature_findings(contract, np.arange(200.0), features)

    assert (found.kind, found.subject, found.found) == ("feature", "skew", True)


def test_a_window_s_logarithms_are_taken_of_the_instant_s_features():
    features = np.full((3, len(INSTANT_FEATURES)), np.nan)
    features[:, INSTANT_FEATURES.index("atm_vol")] = [0.2, -1.0, np.nan]
    features[:, INSTANT_FEATURES.index("quote_age_s")] = [0.0, 1.0, 3.0]

    assert column("log_atm_vol", features) == pytest.approx([np.log(0.2), np.nan, np.nan],
                                                            nan_ok=True)
    assert column("log_quote_age", features) == pytest.approx(np.log([1.0, 2.0, 4.0]))
    assert column("forward_return", features) is None


def errors(level, baselines, blocks=40, seed=0):
    """Blocks of ten forecasts whose errors are about `level` bp, and those of the baselines."""
    noise = np.exp(0.2 * random(seed).normal(size=blocks))
    squares = 10 * (level * noise) ** 2
    return Errors(np.arange(blocks) * 300.0, np.full(blocks, 10.0), squares,
                  np.column_stack([10 * (one * noise) ** 2 for one in baselines]))


def test_greater_errors_than_in_the_first_day_are_found_and_smaller_ones_are_not():
    then = errors(5.0, [5.0])

    assert residual_finding(60, then, errors(9.0, [9.0], seed=1)).found is True
    assert residual_finding(60, then, errors(5.0, [5.0], seed=1)).found is False
    assert residual_finding(60, then, errors(2.0, [2.0], seed=1)).found is False
    assert residual_finding(60, None, errors(9.0, [9.0])).found is None


def test_skill_is_lost_to_the_best_baseline_not_to_any():
    lost = skill_finding(60, errors(5.0, [6.0, 4.0]))
    kept = skill_finding(60, errors(5.0, [6.0, 5.0]))

    assert (lost.found, kept.found) == (True, False)
    assert lost.skill == pytest.approx(1 - 25 / 16) and kept.skill == 0.0


def test_skill_that_may_be_chance_is_not_lost():
    now = errors(5.0, [5.0], blocks=12)
    wild = Errors(now.at_s, now.forecasts, now.model * np.exp(random(3).normal(size=12)),
                  now.baselines)

    assert skill_finding(60, wild).found is False


def test_a_model_as_good_as_any_baseline_seldom_loses_to_the_luckiest_of_seven():
    lost = 0
    for seed in range(200):
        draw = random(seed)
        squares = np.exp(0.5 * draw.normal(size=(78, 1)) + 0.1 * draw.normal(size=(78, 8)))
        one = Errors(np.arange(78.0), np.ones(78), squares[:, 0], squares[:, 1:])
        lost += bool(skill_finding(60, one).found)

    assert lost <= 16  # 10 of 200 on average at the level of 5 %


def test_a_loss_that_is_sure_but_small_is_tolerated():
    assert skill_finding(60, errors(5.01, [5.0])).found is False
    assert skill_finding(60, errors(5.03, [5.0])).found is True


def test_a_baseline_is_a_rival_on_the_blocks_that_have_it():
    now = errors(5.0, [6.0, 4.0])
    now.baselines[3, 1] = np.nan
    few = errors(5.0, [6.0, 4.0])
    few.baselines[7:, 1] = np.nan

    assert skill_finding(60, now).found is True
    assert skill_finding(60, now).skill == pytest.approx(1 - 25 / 16)
    assert skill_finding(60, few).found is False
    assert skill_finding(60, Errors(now.at_s[:5], now.forecasts[:5], now.model[:5],
                                    now.baselines[:5])).found is None


def test_a_kind_counts_when_enough_of_what_could_be_told_was_found():
    findings = [("feature", True), ("feature", False), ("feature", None), ("skill", False),
                ("residual", None)]

    assert reasons(findings, 0.5) == {"feature"}
    assert reasons(findings, 0.6) == frozenset()


def test_only_what_each_of_the_last_checks_had_persists():
    both, one, none = frozenset({"feature", "skill"}), frozenset({"skill"}), frozenset()

    assert persistent([none, both, one, both], 3) == {"skill"}
    assert persistent([both, both, none], 2) == frozenset()
    assert persistent([both, both], 3) == frozenset()
