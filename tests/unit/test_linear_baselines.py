"""Linear baselines as numbers: in numpy, in torch, and in a contract."""

import msgspec
import numpy as np
import pytest
import torch

from ml.baselines import (
    FILTERED,
    LinearBaseline,
    all_changes,
    arrays,
    changes,
    name_of_mean,
    stacked,
)
from ml.baselines.linear import as_tuples, fresh
from ml.features import filtered_smile
from ml.models.linear import LinearChange
from ml.models.linear import fresh as fresh_in_torch
from tests.unit.small_baselines import make_baselines

WINDOW, HORIZONS = 6, 3
BASELINES = make_baselines(WINDOW, HORIZONS)


def smiles(count=5, seed=0):
    return 0.2 + 1e-3 * np.random.default_rng(seed).normal(size=(count, WINDOW, 17)).cumsum(axis=1)


def deviations(windows):
    return windows - np.stack([filtered_smile(one, 0.5) for one in windows])[:, None]


def named(name):
    return next(one for one in BASELINES if one.name == name)


def test_persistence_leads_to_the_latest_smile():
    windows = smiles()
    filtered = windows[:, -1] - deviations(windows)[:, -1]

    change = changes(named("persistence"), deviations(windows))

    assert change.shape == (5, HORIZONS, 17)
    assert filtered[:, None] + change == pytest.approx(windows[:, -1:].repeat(HORIZONS, axis=1))


def test_a_filter_of_deviations_is_the_same_filter_of_the_smiles():
    windows = smiles()
    filtered = windows[:, -1] - deviations(windows)[:, -1]
    weights = np.array(named("kalman").base[0])

    change = changes(named("kalman"), deviations(windows))

    assert filtered + change[:, 0] == pytest.approx(np.einsum("w,nwg->ng", weights, windows))


def test_an_ewma_of_the_reference_weight_predicts_no_change_even_over_gaps():
    windows = smiles(1)
    known = windows.copy()
    known[0, 2:4] = np.nan
    windows[0, 2:4] = windows[0, 1]
    against = windows - filtered_smile(known[0], 0.5)

    assert changes(named("ewma"), against) == pytest.approx(0.0, abs=1e-12)


def test_components_are_corrected_by_their_own_scores():
    loading = np.full((1, 17), 17**-0.5)
    one = LinearBaseline(name="ar", base=as_tuples(np.eye(2)[-1:]), loadings=as_tuples(loading),
                         weights=as_tuples(np.array([[[0.0, -0.5]]])))
    window = np.zeros((1, 2, 17))
    window[0, -1] = 1e-3

    assert changes(one, window)[0, 0] == pytest.approx(0.5e-3)


@pytest.mark.parametrize(("rows", "new"), [
    ([1, 2, 3, 4], [1, 1, 1, 1]),
    ([1, 1, 2, 3], [1, 0, 1, 1]),
    ([1, 2, 2, 2], [1, 0, 0, 1]),
    ([1, 1, 2, 2], [1, 0, 0, 1]),
    ([1, 2, 1, 2], [1, 1, 1, 1]),
    ([5, 5, 5, 5], [0, 0, 0, 1]),
    ([5], [1]),
])
def test_a_repeated_smile_is_no_news_and_the_newest_row_always_counts(rows, new):
    window = np.repeat(np.array(rows, float)[None, :, None], 17, axis=2)

    assert fresh(window).astype(int).tolist() == [new]
    assert fresh_in_torch(torch.from_numpy(window)).int().tolist() == [new]


@pytest.mark.parametrize("anchor", [("ewma",) * 3, (FILTERED, "ar", "har"),
                                    ("kalman", "persistence", FILTERED), (FILTERED,) * 3,
                                    ("ewma", "kalman+ar+har", "ar"), ("ewma+ar", "har", "ewma+ar")])
def test_a_module_says_in_scaled_windows_what_the_numbers_say(anchor):
    windows = smiles()
    windows[0, 3] = windows[0, 2]
    given = deviations(windows)
    linear = stacked(BASELINES, anchor, WINDOW)
    mean, scale = np.full(17, 2e-4), np.linspace(5e-4, 2e-3, 17)
    scaled = torch.from_numpy((given - mean) / scale).float()

    answer = LinearChange(linear, mean, scale)(scaled)

    assert answer.numpy() == pytest.approx(linear.changes(given), abs=1e-8)


def test_each_horizon_takes_its_own_baseline():
    given = deviations(smiles())
    together = stacked(BASELINES, ("ar", FILTERED, "ewma"), WINDOW).changes(given)

    assert together[:, 0] == pytest.approx(changes(named("ar"), given)[:, 0])
    assert together[:, 1].tolist() == np.zeros((5, 17)).tolist()
    assert together[:, 2] == pytest.approx(changes(named("ewma"), given)[:, 2])


def test_names_joined_are_the_mean_of_their_baselines():
    given = deviations(smiles())
    mean = np.mean([changes(named(name), given)[:, 1] for name in ("ewma", "ar", "har")], axis=0)

    together = stacked(BASELINES, ("ar", name_of_mean(["ewma", "ar", "har"]), FILTERED),
                       WINDOW).changes(given)

    assert together[:, 0] == pytest.approx(changes(named("ar"), given)[:, 0])
    assert together[:, 1] == pytest.approx(mean)
    assert together[:, 2].tolist() == np.zeros((5, 17)).tolist()


def test_a_name_of_no_baseline_is_refused():
    with pytest.raises(KeyError, match="lasso"):
        stacked(BASELINES, ("ewma+lasso",) * HORIZONS, WINDOW)


def test_all_changes_are_named_with_the_reference_first():
    found = all_changes(BASELINES, deviations(smiles()))

    assert list(found) == [FILTERED, *(one.name for one in BASELINES)]
    assert not found[FILTERED].any()


def test_they_survive_json():
    data = msgspec.json.encode(BASELINES)

    assert msgspec.json.decode(data, type=tuple[LinearBaseline, ...]) == BASELINES


@pytest.mark.parametrize(("broken", "sentence"), [
    ({"base": ((0.5, 0.4),)}, "sum to 1"),
    ({"base": ((1.0,), (0.5, 0.5))}, "inhomogeneous"),
    ({"base": ((1.0,),), "loadings": ((1.0,) * 17,)}, r"shape \(1, 1, 1\)"),
])
def test_numbers_that_make_no_sense_are_refused(broken, sentence):
    with pytest.raises(ValueError, match=sentence):
        LinearBaseline(name="ewma", **broken)


def test_arrays_have_the_shapes_they_promise():
    har = arrays(named("har"))

    assert (har.base.shape, har.loadings.shape, har.weights.shape) == (
        (HORIZONS, WINDOW), (1, 17), (HORIZONS, 1, WINDOW))
