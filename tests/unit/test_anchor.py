import numpy as np

from ml.anchor import FILTERS, choose_anchor
from ml.baselines import FILTERED
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


def test_a_random_walk_is_anchored_on_the_tuned_ewma():
    assert chosen(*walk(1800, steps=1e-3, noise=0.0)) == ("ewma", "ewma")


def test_what_trends_is_anchored_on_a_regression():
    assert set(chosen(*walk(1800, steps=1e-3, noise=0.0, trend=0.6))) <= {"ar", "har"}


def test_a_regression_that_only_knows_its_training_rows_is_not_chosen():
    windows, change = walk(1800, steps=1e-3, noise=0.0, trend=0.6)
    windows[1200:], change[1200:] = walk(600, steps=1e-3, noise=0.0, seed=1)

    assert set(chosen(windows, change)) <= {"ewma", "kalman", "persistence", FILTERED}


def test_without_enough_evidence_it_is_the_filter_of_the_horizon_before():
    windows, change = walk(120, steps=1e-3, noise=0.0)
    assert chosen(windows, change, training=90, validation=30) == ("ewma", "ewma")


def test_a_regression_is_not_handed_on_to_a_horizon_without_evidence():
    few = walk(120, steps=1e-3, noise=0.0, trend=0.6)
    assert chosen(*few, training=90, validation=30)[1] in FILTERS


def test_without_any_evidence_it_is_the_reference():
    few = walk(25, steps=1e-3, noise=0.0)
    assert chosen(*few, training=20, validation=5) == (FILTERED, FILTERED)


def test_errors_that_repeat_within_a_block_are_not_counted_twice():
    once = np.random.default_rng(0).normal(size=200)
    alone = clustered_error(once, 600.0 * np.arange(200), 600.0)
    tenfold = clustered_error(once.repeat(10), 60.0 * np.arange(2000), 600.0)

    assert tenfold == 10 * alone
    assert clustered_error(once.repeat(10), 60.0 * np.arange(2000), 60.0) < tenfold


def test_one_block_is_no_evidence():
    assert blocks(np.array([0.0, 60.0]), 1800.0)[1] == 1
    assert clustered_error(np.ones(2), np.array([0.0, 60.0]), 1800.0) == np.inf
