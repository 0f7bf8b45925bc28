"""Tests and intervals of a difference between forecasts."""

import numpy as np
import pytest

from ml.evaluation.significance import (
    block_bootstrap,
    by_step,
    diebold_mariano,
    r2_interval,
    sessions,
)

STEP = 60.0
DAY = 86_400.0


def clock(minutes: int, days: int = 1) -> np.ndarray:
    return np.concatenate([day * DAY + STEP * np.arange(minutes) for day in range(days)])


def overlapping(random: np.random.Generator, steps: int, minutes: int, days: int) -> np.ndarray:
    """Errors of forecasts `steps` ahead, made every step: sums of the shocks still to come."""
    shocks = random.standard_normal((days, minutes + steps - 1))
    return np.concatenate([np.convolve(day, np.ones(steps), "valid") for day in shocks])


def test_days_apart_are_a_t_test_of_the_mean():
    found = diebold_mariano(np.array([1.0, 2.0, 3.0, 6.0]), np.zeros(4), DAY * np.arange(4), 60.0,
                            STEP)
    assert (found.mean, found.steps) == (3.0, 4)
    assert found.error == pytest.approx(np.sqrt(3.5 / 3.0))
    assert found.statistic == pytest.approx(2.777, abs=1e-3)
    assert found.p_value == pytest.approx(0.0691, abs=1e-4)


def test_overlap_and_correction_are_those_computed_by_hand():
    # Squares 12, neighbours' products 6 − 5 = 1 counted twice, over Harvey, Leybourne and
    # Newbold's (12 + 1 − 4 + 2/12)/12 = 110/144.
    loss = 2.0 + np.tile([-1.0, -1.0, 1.0, 1.0], 3)
    found = diebold_mariano(loss, np.zeros(12), clock(12), 2 * STEP, STEP)
    assert found.error == pytest.approx(np.sqrt(14.0 * 144 / 110) / 12)


@pytest.mark.parametrize(("minutes", "steps", "days"), [(200, 1, 1), (200, 5, 1), (390, 30, 3)])
def test_equal_forecasts_are_told_apart_no_oftener_than_the_level(minutes, steps, days):
    random, at_s = np.random.default_rng(steps), clock(minutes, days)
    values = []
    for _ in range(150):
        shared, one, other = (overlapping(random, steps, minutes, days) for _ in range(3))
        found = diebold_mariano((shared + 0.3 * one)**2, (shared + 0.3 * other)**2, at_s,
                                steps * STEP, STEP)
        values.append(found.p_value)
    assert np.mean(np.array(values) < 0.1) < 0.18


def test_a_worse_forecast_is_told_apart():
    random, at_s = np.random.default_rng(0), clock(390)
    error = overlapping(random, 5, 390, 1)
    worse = error + 0.7 * overlapping(random, 5, 390, 1)
    found = diebold_mariano(error**2, worse**2, at_s, 5 * STEP, STEP)
    assert found.mean < 0
    assert found.p_value < 0.05


@pytest.mark.parametrize("offsets", [(0.0, 30.0), (0.0, 14.0, 26.0, 48.0)])
def test_instants_within_a_step_do_not_shorten_the_horizon_that_is_counted(offsets):
    random, values, fine = np.random.default_rng(3), [], 390 * 30  # shocks come every 2 s
    for _ in range(150):
        walk = random.standard_normal((2, fine + 450)).cumsum(axis=1)
        at_s, loss = [], []
        for day, level in enumerate(walk):
            places = (clock(390)[:, None] / 2.0 + np.array(offsets) / 2.0).astype(int).ravel()
            at_s.append(day * DAY + 2.0 * places)
            loss.append(level[places + 450] - level[places])
        found = diebold_mariano(np.concatenate(loss), np.zeros(2 * len(loss[0])),
                                np.concatenate(at_s), 900.0, STEP)
        values.append(found.p_value)
    assert np.mean(np.array(values) < 0.05) < 0.1


def test_forecasts_just_before_and_after_a_step_begins_share_their_horizon():
    # 59 s and 61 s after: of different steps, though the horizon is one step only.
    level = np.array([1.0, -2.0, 4.0])
    first = 59.0 + 4 * STEP * np.arange(3)
    alone = diebold_mariano(level, np.zeros(3), first, STEP, STEP)
    near = diebold_mariano(level.repeat(2), np.zeros(6), np.sort([*first, *(first + 2.0)]), STEP,
                           STEP)
    assert near.steps == 6
    assert near.error == pytest.approx(alone.error)


def test_losses_of_one_step_count_once():
    random, at_s = np.random.default_rng(0), clock(100)
    loss = random.standard_normal(100)
    once = diebold_mariano(loss, np.zeros(100), at_s, 60.0, STEP)
    thrice = diebold_mariano(np.repeat(loss, 3), np.zeros(300), np.repeat(at_s, 3), 60.0, STEP)
    assert thrice.p_value == pytest.approx(once.p_value)
    assert thrice.steps == once.steps


def test_two_instants_within_a_step_both_count():
    at_s = np.sort(np.concatenate([clock(50), clock(50) + 1.0]))
    found = diebold_mariano(np.arange(100.0), np.zeros(100), at_s, 60.0, STEP)
    assert found.steps == 50
    assert found.mean == pytest.approx(49.5)


def test_the_mean_is_of_forecasts_not_of_instants():
    # Better at 80 instants of one forecast, worse at 20 of twelve.
    random, weight = np.random.default_rng(0), np.where(np.arange(100) % 5 == 0, 12.0, 1.0)
    rival = random.uniform(0.9, 1.1, 100)
    loss = np.where(weight == 1.0, 0.8, 1.25) * rival
    found = diebold_mariano(loss, rival, clock(100), STEP, STEP, weight)
    assert found.mean == pytest.approx(np.average(loss - rival, weights=weight))
    assert found.statistic > 0.0 > 1.0 - (weight @ loss) / (weight @ rival)


def test_a_weight_is_as_many_forecasts_of_one_loss():
    random, at_s = np.random.default_rng(0), clock(100)
    loss, weight = random.standard_normal(100), random.integers(1, 5, 100)
    short = diebold_mariano(loss, np.zeros(100), at_s, 60.0, STEP, weight.astype(float))
    long = diebold_mariano(loss.repeat(weight), np.zeros(weight.sum()), at_s.repeat(weight), 60.0,
                           STEP)
    assert long.p_value == pytest.approx(short.p_value)
    assert long.mean == pytest.approx(short.mean)


def test_lags_grow_with_the_cube_root_of_the_steps():
    # Of 64 steps four count at once: as many as of a horizon of four steps.
    loss = np.random.default_rng(0).standard_normal(64)
    short, long = (diebold_mariano(loss, np.zeros(64), clock(64), steps * STEP, STEP)
                   for steps in (1, 4))
    assert short.error == pytest.approx(long.error)


def test_unknown_losses_are_left_out():
    loss = np.array([1.0, np.nan, 2.0, 3.0, 6.0])
    found = diebold_mariano(loss, np.zeros(5), DAY * np.arange(5), 60.0, STEP)
    assert (found.mean, found.steps) == (3.0, 4)


@pytest.mark.parametrize("minutes", [0, 1, 60])
def test_too_few_independent_instants_have_no_p_value(minutes):
    random = np.random.default_rng(0)
    found = diebold_mariano(random.random(minutes), np.zeros(minutes), clock(minutes), 1800.0,
                            STEP)
    assert np.isnan(found.p_value)
    assert found.steps == minutes


def test_equal_losses_have_no_p_value():
    assert np.isnan(diebold_mariano(np.ones(50), np.ones(50), clock(50), 60.0, STEP).p_value)


def test_days_do_not_share_covariances():
    random = np.random.default_rng(0)
    level = np.repeat(random.standard_normal(40), 5)
    near = diebold_mariano(level, np.zeros(200), clock(200), 300.0, STEP)
    apart = diebold_mariano(level, np.zeros(200), clock(1, 200), 300.0, STEP)
    assert near.error > 1.8 * apart.error


def test_a_constant_ratio_has_an_interval_of_no_width():
    loss = np.random.default_rng(0).random(200)
    found = r2_interval(0.9 * loss, loss, clock(200), 300.0)
    assert (found.lower, found.upper) == pytest.approx((0.1, 0.1))


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    random, at_s, held = np.random.default_rng(1), clock(390, 2), []
    for _ in range(80):
        one, other = (overlapping(random, 5, 390, 2)**2 for _ in range(2))
        found = r2_interval(one, other, at_s, 5 * STEP)
        held.append(found.lower <= 0.0 <= found.upper)
    assert 0.78 <= np.mean(held) <= 0.98


def test_too_few_blocks_have_no_interval():
    loss = np.random.default_rng(0).random(60)
    assert np.isnan(r2_interval(loss, loss, clock(60), 1800.0).lower)


def test_a_day_shorter_than_a_block_is_a_block():
    loss = np.tile(np.arange(10.0), 30)
    found = block_bootstrap(loss[:, None], clock(10, 30), 600.0, lambda sums: sums[:, 0])
    assert (found.lower, found.upper) == (1350.0, 1350.0)


def test_a_step_has_the_sum_of_its_values():
    at_s, values = np.array([125.0, 60.0, 179.0]), np.array([[1.0], [5.0], [3.0]])
    steps, sums = by_step(at_s, values, STEP)
    assert steps.tolist() == [1, 2]
    assert sums.tolist() == [[5.0], [4.0]]


def test_sessions_are_nights_apart():
    assert sessions(np.array([0.0, 3600.0, DAY, DAY + 60])).tolist() == [0, 0, 1, 1]
