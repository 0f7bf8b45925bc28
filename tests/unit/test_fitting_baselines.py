import numpy as np
import pytest

from ml.args import DataArgs
from ml.baselines import BASELINES, changes
from ml.baselines.components import components, lags
from ml.baselines.filters import ewma_row, kalman_log_likelihood, kalman_rows
from ml.baselines.fitting import fit_baselines
from ml.baselines.linear import fresh
from ml.dataset import Dataset, Observations, Samples
from ml.folds import Part

ARGS = DataArgs(horizons_s=(60, 300))
POINTS = np.ones(17)


def dataset_of(windows, change, filtered=None):
    """A dataset of deviations (N, W, 17) and changes (N, H, 17), a minute apart."""
    count = len(windows)
    empty = np.empty(0)
    samples = Samples(
        at_s=60.0 * np.arange(count), windows=windows, filtered=np.full((count, 17), 0.2),
        change=change, key=np.zeros(count, int), row=np.zeros(count, int),
        target=np.zeros(change.shape[:2], int))
    seen = Observations(empty, empty, empty, empty, np.empty((0, 17)), np.zeros(1, int), empty,
                        empty, empty)
    return Dataset(samples, seen, (), ARGS)


def part_of(dataset, until=None):
    places = np.arange(len(dataset.samples))[:until]
    return Part(places, np.ones((len(places), 2), bool))


def walk(count, steps, noise, seed=0, trend=0.0):
    """Windows of a level seen with noise, and its change 1 and 5 rows on.

    A share `trend` of each step is the one before it again.
    """
    random = np.random.default_rng(seed)
    moves = steps * random.normal(size=count + 20)
    for row in range(1, len(moves)):
        moves[row] += trend * moves[row - 1]
    level = moves.cumsum()
    shape = np.linspace(1.0, 0.6, 17)
    seen = level[:, None] * shape + noise * random.normal(size=(len(level), 17))
    rows = np.arange(10, 10 + count)
    windows = np.stack([seen[row - 9:row + 1] for row in rows])
    filtered = np.einsum("w,nwg->ng", ewma_row(0.5, 10), windows)
    change = np.stack([level[rows + ahead, None] * shape - filtered for ahead in (1, 5)], axis=1)
    return windows - filtered[:, None], change


def fitted(windows, change, until=None):
    dataset = dataset_of(windows, change)
    return {one.name: one for one in fit_baselines(dataset, part_of(dataset, until), POINTS)}


def loss(baseline, windows, change):
    return float(np.nanmean((changes(baseline, windows) - change) ** 2))


@pytest.fixture(scope="module")
def noisy():
    return walk(1500, steps=1e-3, noise=1e-3)


def test_all_are_fitted_in_their_order(noisy):
    assert tuple(fitted(*noisy)) == BASELINES


def test_the_kalman_gain_of_a_noisy_random_walk_is_found(noisy):
    newest = fitted(*noisy)["kalman"].base[0][-1]

    # q/r = mean over points of shape² is 0.65: steady gain of P = (q + √(q² + 4 q r)) / 2
    ratio = float(np.mean(np.linspace(1.0, 0.6, 17) ** 2))
    predicted = (ratio + np.sqrt(ratio**2 + 4 * ratio)) / 2
    assert newest == pytest.approx(predicted / (1 + predicted), abs=0.06)


def test_the_ewma_of_a_random_walk_in_noise_beats_the_latest_smile(noisy):
    found = fitted(*noisy)
    fresh_walk = walk(1500, steps=1e-3, noise=1e-3, seed=1)

    assert loss(found["ewma"], *fresh_walk) < 0.9 * loss(found["persistence"], *fresh_walk)


def test_a_horizon_that_little_is_known_of_takes_the_average_of_the_one_before():
    base = fitted(*walk(100, steps=1e-3, noise=5e-4, seed=2))["ewma"].base
    assert base[1] == base[0]


def test_without_noise_the_ewma_is_the_latest_smile():
    assert fitted(*walk(800, steps=1e-3, noise=0.0))["ewma"].base[0][-1] > 0.9


@pytest.mark.parametrize("name", ["ar", "har"])
def test_what_trends_is_forecast_by_regressions_and_by_no_filter(name):
    found = fitted(*walk(3000, steps=1e-3, noise=0.0, trend=0.5))
    unseen = walk(1500, steps=1e-3, noise=0.0, trend=0.5, seed=1)

    assert loss(found[name], *unseen) < 0.95 * loss(found["ewma"], *unseen)


@pytest.mark.parametrize("name", ["ar", "har"])
def test_a_random_walk_leaves_regressions_nothing_to_say(name):
    found = fitted(*walk(1500, steps=1e-3, noise=0.0))
    unseen = walk(1500, steps=1e-3, noise=0.0, seed=1)

    assert loss(found[name], *unseen) < 1.02 * loss(found["ewma"], *unseen)


def test_nothing_but_the_parts_rows_is_looked_at(noisy):
    windows, change = (values.copy() for values in noisy)
    windows[1000:], change[1000:] = np.nan, 7.0

    assert fitted(windows, change, until=1000) == fitted(*noisy, until=1000)


def test_unknown_changes_are_passed_over(noisy):
    windows, change = noisy[0], noisy[1].copy()
    change[::3, 1], change[:, 0, :4] = np.nan, np.nan

    found = fitted(windows, change)

    assert all(np.isfinite(changes(one, windows)).all() for one in found.values())
    assert loss(found["ewma"], *noisy) < loss(found["persistence"], *noisy)


def test_a_window_of_one_row_is_enough():
    windows, change = walk(300, steps=1e-3, noise=1e-3)

    found = fitted(windows[:, -1:] * 0.0, change)

    assert {one.base for one in found.values()} == {((1.0,), (1.0,))}


def test_steps_of_the_kalman_filter_are_those_of_its_recursion():
    rows = kalman_rows(0.5, 4)
    level, uncertainty, seen = 1.0, 1.0, [1.0, 2.0, 0.0, 3.0]
    for value in seen[1:]:
        gain = (uncertainty + 0.5) / (uncertainty + 1.5)
        level, uncertainty = level + gain * (value - level), gain
    assert rows.sum(axis=1) == pytest.approx(1.0)
    assert rows[-1] @ seen == pytest.approx(level)


def test_the_likelihood_is_that_of_the_joint_normal_up_to_a_constant():
    """Differences of a window's rows are normal with a known covariance, whatever the level."""
    window = np.random.default_rng(0).normal(size=5).cumsum()

    def direct(ratio):
        covariance = ratio * np.minimum.outer(np.arange(5), np.arange(5)) + np.eye(5)
        differ = np.diff(np.eye(5), axis=0)
        inner = differ @ covariance @ differ.T
        power = differ @ window @ np.linalg.solve(inner, differ @ window)
        return -0.5 * (np.linalg.slogdet(inner)[1] + 4 * np.log(power))

    def filtered(ratio):
        return kalman_log_likelihood(ratio, np.outer(window, window)[None], 1, np.ones(1))

    assert filtered(2.0) - filtered(0.1) == pytest.approx(direct(2.0) - direct(0.1))


def test_components_are_orthonormal_and_their_signs_fixed():
    rows = np.random.default_rng(0).normal(size=(200, 17)) * np.linspace(3, 1, 17)

    loadings = components(rows.T @ rows)

    assert loadings @ loadings.T == pytest.approx(np.eye(3), abs=1e-9)
    assert loadings == pytest.approx(components(rows.T @ rows))
    assert (loadings.max(axis=1) >= -loadings.min(axis=1)).all()


def test_har_looks_at_the_latest_and_at_means_of_five_and_all():
    assert lags("har", 10) @ np.arange(10.0) == pytest.approx([9.0, 7.0, 4.5])
    assert lags("har", 3) @ np.arange(3.0) == pytest.approx([2.0, 1.0, 1.0])


def test_windows_with_gaps_are_left_out_of_the_likelihood(noisy):
    windows, change = (values.copy() for values in noisy)
    windows[::2, 5] = windows[::2, 4]
    assert not fresh(windows)[::2].all()

    half = fitted(windows[1::2], change[1::2])["kalman"]

    assert fitted(windows, change)["kalman"] == half


def test_a_few_restless_windows_do_not_decide_alone(noisy):
    windows, change = (values.copy() for values in noisy)
    trending = walk(1500, steps=1e-3, noise=0.0, trend=0.8, seed=2)
    windows[::50], change[::50] = 20 * trending[0][::50], 20 * trending[1][::50]

    newest = [fitted(*one)["ewma"].base[0][-1] for one in ((windows, change), noisy)]

    assert newest[0] == pytest.approx(newest[1], abs=0.1)
