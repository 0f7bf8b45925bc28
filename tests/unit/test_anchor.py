import numpy as np
import pytest

from ml.anchor import choose_anchor
from ml.baselines import members, stacked
from ml.baselines.fitting import fit_baselines
from ml.evidence import blocks, clustered_error
from ml.folds import Fold, Part
from tests.unit.test_fitting_baselines import POINTS, dataset_of, walk


def chosen(windows, change, training=1200, validation=600):
    dataset = dataset_of(windows, change)
    places = np.arange(training + validation)
    parts = [Part(some, np.ones((len(some), 2), bool))
             for some in (places[:training], places[training:])]
    fold = Fold(0, *parts, Part(places[:0], np.ones((0, 2), bool)), parts[1])
    baselines = fit_baselines(dataset, parts[0], POINTS)
    return choose_anchor(baselines, dataset, fold, POINTS)


def parts_of(anchors):
    """All baselines in the means."""
    return {one for name in anchors for one in members(name)}


def test_a_random_walk_is_anchored_on_its_latest_smile_by_whatever_name():
    windows, change = walk(1800, steps=1e-3, noise=0.0)
    dataset = dataset_of(windows, change)
    baselines = fit_baselines(dataset, Part(np.arange(1200), np.ones((1200, 2), bool)), POINTS)
    given, actual = walk(1000, steps=1e-3, noise=0.0, seed=1)

    anchor, latest = (((stacked(baselines, names, 10).changes(given) - actual) ** 2).mean()
                      for names in (chosen(windows, change), ("persistence",) * 2))

    assert anchor == pytest.approx(latest, rel=0.01)


def test_a_level_under_much_noise_is_anchored_on_what_smooths():
    assert "persistence" not in parts_of(chosen(*walk(1800, steps=1e-4, noise=1e-3)))


def test_what_trends_is_anchored_on_regressions():
    assert parts_of(chosen(*walk(1800, steps=1e-3, noise=0.0, trend=0.6))) <= {"ar", "har"}


def test_a_regression_that_only_knows_its_training_rows_is_not_taken():
    windows, change = walk(1800, steps=1e-3, noise=0.0, trend=0.6)
    windows[1200:], change[1200:] = walk(600, steps=1e-3, noise=0.0, seed=1)

    assert parts_of(chosen(windows, change)) <= {"ewma", "kalman", "persistence"}


def test_where_validation_holds_no_target_regressions_are_not_taken():
    windows, change = walk(240, steps=1e-3, noise=0.0, trend=0.6)
    change[180:, 1] = np.nan
    shorter, longer = chosen(windows, change, training=180, validation=60)

    assert parts_of([shorter]) & {"ar", "har"}
    assert parts_of([longer]) <= {"ewma", "kalman", "persistence"}


def test_of_little_history_what_can_t_be_told_apart_is_taken_together():
    _, longer = chosen(*walk(60, steps=1e-3, noise=3e-4), training=50, validation=10)

    assert len(members(longer)) > 1


@pytest.mark.parametrize("noise", [0.0, 5e-4, 1e-3, 3e-3])
def test_of_little_history_it_is_hardly_behind_the_best_filter(noise):
    """Of those that there are, as known afterwards; of walks seen through noise."""
    behind = []
    for seed in range(8):
        windows, change = walk(100, 1e-3, noise, seed)
        anchors = chosen(windows, change, training=80, validation=20)
        baselines = fit_baselines(dataset_of(windows, change),
                                  Part(np.arange(80), np.ones((80, 2), bool)), POINTS)
        given, actual = walk(1000, 1e-3, noise, 100 + seed)
        own, *filters = (
            ((stacked(baselines, names, 10).changes(given) - actual) ** 2).mean(axis=(0, 2))
            for names in (anchors, ("persistence",) * 2, ("ewma",) * 2, ("kalman",) * 2))
        behind.append(own / np.min(filters, axis=0) - 1.0)
    assert (np.mean(behind, axis=0) < 0.02).all()


def test_errors_that_repeat_within_a_block_are_not_counted_twice():
    once = np.random.default_rng(0).normal(size=200)
    alone = clustered_error(once, 1200.0 * np.arange(200), 600.0)
    tenfold = clustered_error(once.repeat(10), 1200.0 * np.arange(200).repeat(10), 600.0)

    assert alone == pytest.approx(np.sqrt((once**2).sum() * 200 / 199))
    assert tenfold == pytest.approx(10 * alone)


@pytest.mark.parametrize("steps", [5, 15])
def test_the_error_of_sums_that_overlap_is_as_large_as_it_scatters(steps):
    random, at_s, sums, errors = np.random.default_rng(steps), 60.0 * np.arange(60 * steps), [], []
    for _ in range(400):
        walk = random.normal(size=61 * steps).cumsum()
        change = walk[steps:] - walk[:-steps]
        sums.append(change.sum())
        errors.append(clustered_error(change - change.mean(), at_s, steps * 60.0))
    assert np.mean(errors) == pytest.approx(np.std(sums), rel=0.1)


def test_blocks_that_follow_each_other_add_their_products_where_these_are_positive():
    at_s = 600.0 * np.arange(3)
    assert clustered_error(np.array([1.0, 2.0, 3.0]), at_s, 600.0) == pytest.approx(
        np.sqrt((14.0 + 16.0) * 9 / 2))
    assert clustered_error(np.array([1.0, 2.0, -3.0]), at_s, 600.0) == pytest.approx(
        np.sqrt(14.0 * 9 / 2))
    assert clustered_error(np.array([1.0, 2.0, 3.0]), 2 * at_s, 600.0) == pytest.approx(
        np.sqrt(14.0 * 3 / 2))


def test_one_block_is_no_evidence():
    assert blocks(np.array([0.0, 60.0]), 1800.0)[1] == 1
    assert clustered_error(np.ones(2), np.array([0.0, 60.0]), 1800.0) == np.inf
