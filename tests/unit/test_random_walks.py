"""Where nothing can be forecast no network wins, and where the future is leaked to it each does.

The networks but one are small, with 8 hidden units, and learn fast, for twenty epochs at most. Each
market has three days of 150 minutes, the last of which is the test.
"""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from ml.dataset import make_dataset
from ml.evaluation.significance import diebold_mariano
from ml.features import WINDOW_FEATURES
from ml.folds import walk_forward
from ml.walk import fit_fold
from tests.unit.planted import RANDOM_WALK, plant
from tests.unit.small_folds import HORIZONS, QUIET, config_of, judged, small

LEVEL = 0.05
"""Of one-sided tests that a forecast is better than its anchor."""


def test_the_gru_does_not_win_on_random_walks():
    """Of 26 markets no more are won at 5 % than chance allows, at either horizon: by the GRU's
    network believed wholly, and by the model. Of the model that shows little, for its weight
    silences it in all but a few of them."""
    wins, decided, skill = tried("gru", range(26))

    assert (decided["network"] >= 15).all()  # in most markets it says something at all
    for one in ("network", "model"):
        assert (wins[one] <= 3).all()  # of 26 at 5 %, four or more by chance: 3.9 %
        assert (skill[one] < 0.01).all()


@pytest.mark.parametrize(("kind", "first"), [("lstm", 20), ("mlp", 40), ("transformer", 60)])
def test_neither_does_any_other_network(kind, first):
    wins, decided, skill = tried(kind, range(first, first + 20))

    assert (decided["network"] >= 12).all()
    for one in ("network", "model"):
        assert (wins[one] <= 3).all()  # of 20 at 5 %, four or more by chance: 1.6 %
        assert (skill[one] < 0.01).all()


def test_neither_does_the_gru_as_it_is_configured_by_default():
    wins, decided, skill = tried("gru", range(100, 110), config_of("gru"))

    assert (decided["network"] >= 6).all()
    for one in ("network", "model"):
        assert (wins[one] <= 2).all()
        assert (skill[one] < 0.01).all()


@pytest.mark.parametrize(("kind", "seeds"), [
    ("gru", [0, 1, 2]), ("lstm", [4]), ("mlp", [5]), ("transformer", [6])])
def test_a_look_at_the_next_minute_would_win_on_random_walks(kind, seeds):
    """What the tests above would miss, if they could not fail."""
    for seed in seeds:
        dataset = leaking(random_walk(kind, seed))
        walked = fit_fold(dataset, walk_forward(dataset)[-1], learner(kind), "smile", QUIET)
        (minute, _), (skill, _) = against_anchor(dataset, walked)

        assert won(minute)
        assert skill > 0.01


def learner(kind):
    """It learns ten times as fast as by default: else what the networks say is in so short a time
    hardly more than the ridge regression that they share."""
    config = small(kind)
    return msgspec.structs.replace(config, fit=msgspec.structs.replace(
        config.fit, epochs=20, learning_rate=1e-2))


def random_walk(kind, seed):
    market = plant(RANDOM_WALK, days=3, minutes=150, seed=seed)
    return make_dataset([[market.series]], learner(kind).data)


def tried(kind, seeds, config=None):
    """By horizon (2,), of the model and of its network: markets won, markets in which there is a
    test at all, and mean R² against the anchor."""
    tests, skill = {"network": [], "model": []}, {"network": [], "model": []}
    for seed in seeds:
        dataset = random_walk(kind, seed)
        walked = fit_fold(dataset, walk_forward(dataset)[-1], config or learner(kind), "smile",
                          QUIET)
        for name, one in (("model", walked), ("network", believed(walked))):
            found, behind = against_anchor(dataset, one)
            tests[name].append(found)
            skill[name].append(behind)

    def count(told):
        return {name: np.sum([[told(one) for one in row] for row in rows], axis=0)
                for name, rows in tests.items()}

    return count(won), count(lambda one: np.isfinite(one.p_value)), {
        name: np.mean(rows, axis=0) for name, rows in skill.items()}


def won(test):
    """Whether a two-sided test says, at a one-sided level, that the first forecast is better."""
    return test.statistic < 0.0 and test.p_value / 2.0 < LEVEL


def believed(walked):
    """The same network, its weight against the anchor 1 at both horizons."""
    own = walked.forecaster
    contract = msgspec.structs.replace(own.contract, shrinkage=(1.0, 1.0))
    return replace(walked, forecaster=type(own)(own.network, own.scaler, contract))


def leaking(dataset):
    """The level's next change, under as much noise again, in place of the windows' last return."""
    column = WINDOW_FEATURES.index("scaled_return")
    windows, change = np.array(dataset.samples.windows), np.asarray(dataset.samples.change)
    ahead = change[:, 0].mean(axis=1)
    noise = np.random.default_rng(0).normal(0.0, np.nanstd(ahead), len(ahead))
    scale = windows[:, -1, column].std() / np.nanstd(ahead)
    windows[:, -1, column] = np.nan_to_num(ahead + noise) * scale
    return replace(dataset, samples=replace(dataset.samples, windows=windows))


def against_anchor(dataset, walked):
    """By horizon, the test of the model's errors against its anchor's, and their R²."""
    model, baselines = judged(dataset, walked)
    at_s = dataset.samples.at_s[walked.fold.test.places]
    tests, behind = [], []
    for place, (horizon_s, anchor) in enumerate(zip(HORIZONS, walked.forecaster.contract.anchor,
                                                    strict=True)):
        loss, rival = model[:, place], baselines[anchor][:, place]
        if np.allclose(loss, rival, rtol=1e-5, atol=0.0, equal_nan=True):
            rival = loss  # the same forecast but for rounding, and that is no evidence
        tests.append(diebold_mariano(loss, rival, at_s, float(horizon_s), 60.0))
        behind.append(1.0 - np.nanmean(loss) / np.nanmean(rival))
    return tests, behind
