from dataclasses import replace

import numpy as np
import pytest
import torch

from ml import args
from ml.batches import Batches
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.features import WINDOW_FEATURES
from ml.fit import fit, pinball
from ml.folds import Part, walk_forward
from ml.models.linear import LinearChange
from ml.models.scale import ChangeScale
from ml.progress import Progress
from ml.ridge import ridge, sums
from ml.search import CHOICES, draw, search
from ml.targets import Reader, fit_unit, target_shape, used_columns
from ml.walk import prepare
from tests.unit.smiles import make_history


def quick(**fit_args):
    return args.load(None, {"model": {"kind": "gru", "hidden": 8},
                            "fit": {"epochs": 3, "batch": 64, **fit_args},
                            "data": {"horizons_s": [60, 300], "folds": 1}})


@pytest.fixture(scope="module")
def dataset():
    return make_dataset([make_history(days=4, minutes=130, expiries=1, pull=0.1)],
                        quick().data)


@pytest.fixture(scope="module")
def fold(dataset):
    return walk_forward(dataset)[-1]


@pytest.fixture(scope="module")
def ready(dataset, fold):
    return prepare(dataset, fold, quick())


def fitted(dataset, fold, ready, config, advance=None):
    return fit(dataset.samples, fold, ready.scaler, ready.linear, config, advance)


def test_the_same_seed_gives_the_same_model_to_the_last_bit(dataset, fold, ready):
    learnable = replace(fold, validation=fold.training)
    found = [fitted(dataset, learnable, ready, quick()) for _ in range(2)]
    one, two = (each.network.state_dict() for each in found)

    assert found[0].epoch > 0
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_seed_gives_another(dataset, fold, ready):
    one, two = (fitted(dataset, fold, ready, quick(seed=seed)).network.state_dict()
                for seed in (0, 1))

    assert not torch.equal(one["network.layers.weight_ih_l0"], two["network.layers.weight_ih_l0"])


def test_training_stops_when_validation_no_longer_improves(dataset, fold, ready):
    calls = []

    found = fitted(dataset, fold, ready, quick(epochs=60, patience=2, learning_rate=1e-2),
                   lambda *at: calls.append(at))

    assert len(calls) == found.epoch + 2 < 60


def test_a_loss_that_is_not_a_number_is_refused_by_name(dataset, fold, ready, monkeypatch):
    monkeypatch.setattr("ml.fit.pinball", lambda *args: torch.tensor(float("nan")))

    with pytest.raises(TrainingDataError, match="loss is not a number"):
        fitted(dataset, fold, ready, quick())


def test_a_window_that_is_not_a_number_is_refused_by_its_column(dataset, fold, ready):
    broken = dataset.samples.take(np.arange(len(dataset.samples)))
    broken.windows[fold.training.places[5], 2, WINDOW_FEATURES.index("skew")] = np.nan

    with pytest.raises(TrainingDataError, match="not numbers: skew"):
        fit(broken, fold, ready.scaler, ready.linear, quick())


def test_data_too_large_to_keep_gives_the_same_batches(dataset, fold, ready, monkeypatch):
    kept = Batches(dataset.samples, fold.training, ready.scaler)
    monkeypatch.setattr("ml.batches.KEPT_BYTES", 0)
    read = Batches(dataset.samples, fold.training, ready.scaler)
    places = torch.tensor([1, 5, 7])

    for one, other in zip(kept.take(places), read.take(places), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


def test_the_unit_follows_how_large_changes_are(dataset, fold, ready):
    batches = Batches(dataset.samples, fold.training, ready.scaler)
    anchor = LinearChange(ready.linear, ready.scaler.mean_, ready.scaler.scale_)
    unit = fit_unit(anchor, batches, ready.scaler)
    missed = np.concatenate([missed for _, missed in Reader(anchor, unit)(batches)])

    assert isinstance(unit, ChangeScale)
    assert np.sqrt(np.nanmean(missed**2, axis=(0, 2))) == pytest.approx([1.0, 1.0], abs=0.05)
    shape = unit(batches.take(torch.arange(4))[0])
    assert (shape[:, 1] > shape[:, 0]).all(), "five minutes move more than one"


def test_restless_windows_have_a_larger_unit():
    """Half of the windows move ten times as much as the others, before and after."""
    config = quick().data
    calm, wild = (make_history(days=4, minutes=100, expiries=1, seed=seed)[0] for seed in (0, 1))
    grid = 0.18 + (calm.grid_vol - 0.18) * 0.1
    calm = type(calm)(**{name: getattr(calm, name) for name in calm.__dataclass_fields__}
                      | {"grid_vol": grid, "expiry": wild.expiry.replace(day=1, month=9)})
    both = make_dataset([[calm, wild]], config)
    fold = walk_forward(both)[-1]
    ready = prepare(both, fold, quick())
    batches = Batches(both.samples, fold.training, ready.scaler)
    anchor = LinearChange(ready.linear, ready.scaler.mean_, ready.scaler.scale_)

    unit = torch.cat([fit_unit(anchor, batches, ready.scaler)(windows)
                      for windows, _ in batches.pieces()]).mean(dim=(1, 2)).numpy()

    is_calm = both.samples.key[fold.training.places] == 0
    assert np.median(unit[~is_calm]) > 5 * np.median(unit[is_calm])


def test_points_never_observed_take_their_horizons_size():
    change = np.full((4, 1, 17), np.nan)
    change[:, 0, :2] = [[3.0, 4.0]] * 4

    shape = target_shape(iter([change]))

    assert shape[0, :2] == pytest.approx([3.0, 4.0])
    assert shape[0, 5] == pytest.approx(np.sqrt(12.5))


def test_constant_columns_and_those_left_out_are_not_seen(ready):
    used = used_columns(ready.scaler, ("skew",))

    assert not used[WINDOW_FEATURES.index("skew")]
    assert not used[WINDOW_FEATURES.index("term_slope")], "constant in this history"
    assert used[WINDOW_FEATURES.index("forward_return")]


def regression(count, seed, signal):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 5))
    change = random.normal(size=(count, 1, 17)) + signal * rows[:, 1, None, None]
    return rows, change


@pytest.mark.parametrize(("signal", "least", "most"), [(1.0, 0.9, 1.1), (0.0, -0.05, 0.05)])
def test_the_ridge_regression_finds_what_is_there_and_nothing_else(signal, least, most):
    blocks = [sums([regression(200, seed, signal)]) for seed in range(5)]

    found = ridge(blocks, sums([regression(200, 9, signal)]))

    assert found.shape == (1, 5, 17)
    assert least < found[0, 1].mean() < most
    assert np.abs(np.delete(found[0], 1, axis=0)).mean() < 0.05


def test_the_ridge_regression_passes_over_unknown_changes():
    rows, change = regression(400, 0, 1.0)
    holed = change.copy()
    holed[::2, 0, :9] = np.nan
    only = sums([(rows[1::2], change[1::2])])[0][0, 0]

    assert sums([(rows, holed)])[0][0, 0] == pytest.approx(only)


def test_the_search_keeps_what_validation_likes_best(dataset, fold, ready):
    config, told = quick(), []
    progress = Progress(quiet=True)
    progress.say = told.append

    kept = search(dataset, fold, ready, config, 2, progress)

    losses = [fitted(dataset, fold, ready, one).validation_loss for one in (config, kept)]
    assert losses[1] <= losses[0]
    assert len([line for line in told if line.startswith("search: trial")]) == 2


def test_draws_stay_within_the_choices_and_follow_the_seed():
    one, two = (draw(quick(), np.random.default_rng(3)) for _ in range(2))

    assert one == two != quick()
    assert all(getattr(getattr(one, group), name) in values
               for group, choices in CHOICES.items() for name, values in choices.items())


def test_a_trial_that_cannot_be_trained_is_out(dataset, fold, ready, monkeypatch):
    drawn = quick(learning_rate=0.5)
    monkeypatch.setattr("ml.search.draw", lambda config, random: drawn)
    real = fit

    def failing(samples, fold, scaler, linear, config):
        if config is drawn:
            raise TrainingDataError("the loss is not a number")
        return real(samples, fold, scaler, linear, config)

    monkeypatch.setattr("ml.search.fit", failing)

    assert search(dataset, fold, ready, quick(), 1, Progress(quiet=True)) == quick()


def test_parts_are_cut_in_time(dataset, fold, ready):
    batches = Batches(dataset.samples, fold.training, ready.scaler)

    assert sum(len(one) for one in batches.split(50)) == len(fold.training)
    assert isinstance(fold.training, Part)


def test_pinball_is_half_the_absolute_error_at_the_median():
    quantiles = torch.full((1, 1, 1, 2), 1.0)

    assert pinball(quantiles, torch.tensor([[[3.0, 0.0]]]), (0.5,)) == pytest.approx(0.75)


def test_pinball_weighs_the_sides_by_the_level():
    quantiles = torch.zeros((1, 1, 1, 1))

    assert pinball(quantiles, torch.full((1, 1, 1), 2.0), (0.95,)) == pytest.approx(1.9)
    assert pinball(quantiles, torch.full((1, 1, 1), -2.0), (0.95,)) == pytest.approx(0.1)


def test_pinball_passes_over_unknown_changes():
    change = torch.tensor([[[2.0, float("nan")]]])

    assert pinball(torch.zeros((1, 1, 1, 2)), change, (0.5,)) == pytest.approx(1.0)
