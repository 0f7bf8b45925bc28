"""Permutation importance of two samples, whose columns can only be swapped."""

from types import SimpleNamespace

import numpy as np
import pytest

from ml.evaluation.importance import importance
from ml.features import WINDOW_FEATURES
from ml.folds import Part
from tests.unit.judged import Walked

HORIZONS = (60, 300)
SWAPPING = next(seed for seed in range(99)
                if np.random.default_rng(seed).permutation(2).tolist() == [1, 0])
LISTENED = WINDOW_FEATURES.index("scaled_return")


@pytest.fixture(scope="module")
def found():
    """By group and horizon, of a model that says 10 bp times the last return, ± 5 bp.

    At the first horizon it is right, at the second half of what it says comes.
    """
    windows = np.zeros((2, 3, len(WINDOW_FEATURES)))
    windows[:, -1, LISTENED] = 1.0, -1.0
    change = np.array([1e-3, -1e-3])[:, None, None] * np.array([1.0, 0.5])[:, None] * np.ones(17)
    dataset = SimpleNamespace(samples=SimpleNamespace(windows=windows, change=change))
    contract = SimpleNamespace(horizons_s=HORIZONS, feature_names=WINDOW_FEATURES,
                               quantiles=(0.05, 0.5, 0.95))

    def say(given):
        middle = 1e-3 * given[:, -1, LISTENED]
        return np.tile((middle[:, None] + np.array([-5e-4, 0.0, 5e-4]))[:, None, :, None],
                       (1, len(HORIZONS), 1, 17))

    test = Part(np.arange(2), np.ones((2, 2), bool))
    walked = Walked(SimpleNamespace(test=test), SimpleNamespace(contract=contract, predict=say))
    return {(one.group, one.horizon_s): one for one in importance([walked], dataset, SWAPPING)}


def test_a_swap_costs_what_the_wrong_sign_costs(found):
    # Off by 0 bp before, by 20 bp after it, of a change of 10 bp.
    assert found["returns", 60].r2_lost == pytest.approx((20**2 - 0) / 10**2)
    # Off by 5 bp, by 15 bp, of a change of 5 bp.
    assert found["returns", 300].r2_lost == pytest.approx((15**2 - 5**2) / 5**2)


def test_so_does_the_band(found):
    # Lower end, median and upper end of a change above the forecast; bp.
    before, after = 0.05 * 5 + 0.0 + 0.05 * 5, 0.05 * 25 + 0.5 * 20 + 0.95 * 15
    assert found["returns", 60].pinball_lost == pytest.approx(after / before - 1.0)
    # Half of 10 bp came: it lies on the lower end; swapped it is 15 bp above the median.
    before, after = 0.0 + 0.5 * 5 + 0.05 * 10, 0.05 * 20 + 0.5 * 15 + 0.95 * 10
    assert found["returns", 300].pinball_lost == pytest.approx(after / before - 1.0)
    assert found["returns", 300].pinball_lost == pytest.approx(5.0)


def test_what_it_does_not_listen_to_costs_nothing(found):
    others = [one for (group, _), one in found.items() if group != "returns"]
    assert len(others) == 2 * 6
    assert all((one.r2_lost, one.pinball_lost) == (0.0, 0.0) for one in others)
