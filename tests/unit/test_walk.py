"""Whole folds: what a model may know, and that it is no worse for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml import args
from ml.args import KINDS
from ml.baselines import FILTERED, all_changes, changes
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.evaluation.significance import diebold_mariano
from ml.features import DEVIATIONS, INSTANT_FEATURES, WINDOW_FEATURES
from ml.folds import walk_forward
from ml.forecaster import scaled
from ml.progress import Progress
from ml.walk import fit_fold, walk
from tests.unit.planted import RANDOM_WALK, Market, plant

QUIET = Progress(quiet=True)
HORIZONS = (60, 300)


def config_of(kind="gru", **groups):
    return args.load(args.of_kind(kind), {
        **groups, "data": {"horizons_s": HORIZONS, "folds": 1, **groups.get("data", {})}})


def small(kind="gru", **groups):
    network = {"hidden": 8} if kind in args.NETWORKS else {}
    return config_of(kind, **{**groups, "model": network, "fit": {"epochs": 3, "batch": 64}})


def errors(change, actual):
    """Mean squared error by sample and horizon, (n, H); NaN where unknown."""
    return ((change - actual) ** 2).mean(axis=2)


def judged(dataset, walked):
    """Squared errors on the test part (n, H): the model's, and each baseline's by name."""
    test = walked.fold.test
    windows, actual = test.windows(dataset.samples), test.changes(dataset.samples)
    own = all_changes(walked.forecaster.contract.baselines, windows[:, :, DEVIATIONS])
    model = errors(walked.forecaster.predict(windows)[:, :, 1], actual)
    return model, {name: errors(change, actual) for name, change in own.items()}


@pytest.fixture(scope="module")
def dataset():
    return make_dataset([[plant(Market(0.3, 0.2, 2e-3), days=4, minutes=130, seed=0).series]],
                        small().data)


@pytest.fixture(scope="module")
def fold(dataset):
    return walk_forward(dataset)[-1]


@pytest.fixture(scope="module")
def gru(dataset, fold):
    return fit_fold(dataset, fold, small(), "smile", QUIET)


def test_most_of_what_can_be_forecast_is():
    """The level answers to the last return, a slope reverts: a share of it known, and attained."""
    planted = plant(Market(answer=0.2, pull=0.1, slope_vol=3e-3), days=20, minutes=240, seed=0)
    config = config_of()
    dataset = make_dataset([[planted.series]], config.data)
    walked = fit_fold(dataset, walk_forward(dataset)[-1], config, "smile", QUIET)
    model, baselines = judged(dataset, walked)
    test = walked.fold.test
    best = errors(planted.best(dataset, test), test.changes(dataset.samples))
    rival = np.min([np.nanmean(loss, axis=0) for loss in baselines.values()], axis=0)
    attained, attainable = (1.0 - np.nanmean(loss, axis=0) / rival for loss in (model, best))
    assert (attainable > 0.05).all()
    assert (attained > 0.6 * attainable).all(), f"{attained} of {attainable}"


def test_nobody_wins_on_a_random_walk():
    """Of 20 markets without anything to forecast, no more are won at 5 % than chance allows: by
    the model, and by its network believed wholly, without the weight that silences it."""
    wins, decided, skill = np.zeros((2, 2)), np.zeros((2, 2)), []
    for seed in range(20):
        market = plant(RANDOM_WALK, days=3, minutes=150, seed=seed)
        dataset = make_dataset([[market.series]], small().data)
        walked = fit_fold(dataset, walk_forward(dataset)[-1], small(), "smile", QUIET)
        tests, behind = zip(*(against_anchor(dataset, one) for one in (walked, believed(walked))),
                            strict=True)
        won = [[test.statistic < 0.0 and test.p_value < 0.05 for test in one] for one in tests]
        wins += won
        decided += [[np.isfinite(test.p_value) for test in one] for one in tests]
        skill.append(behind)

    assert (decided[1] >= 12).all()  # in most markets the network says something at all
    assert (wins <= 3).all()  # of 20 at 5 %, four or more by chance: 1.6 %
    assert (np.mean(skill, axis=0) < 0.01).all()


def test_a_look_at_the_next_minute_would_win_on_random_walks():
    """What the test above would miss, if it could not fail."""
    for seed in range(4):
        market = plant(RANDOM_WALK, days=3, minutes=150, seed=seed)
        dataset = leaking(make_dataset([[market.series]], small().data))
        walked = fit_fold(dataset, walk_forward(dataset)[-1], small(), "smile", QUIET)
        (minute, _), (skill, _) = against_anchor(dataset, walked)

        assert minute.statistic < 0.0
        assert minute.p_value < 0.05
        assert skill > 0.01


def leaking(dataset):
    """The level's next change, under as much noise again, in place of the windows' last return."""
    column = WINDOW_FEATURES.index("scaled_return")
    windows, change = np.array(dataset.samples.windows), np.asarray(dataset.samples.change)
    ahead = change[:, 0].mean(axis=1)
    noise = np.random.default_rng(0).normal(0.0, np.nanstd(ahead), len(ahead))
    scale = windows[:, -1, column].std() / np.nanstd(ahead)
    windows[:, -1, column] = np.nan_to_num(ahead + noise) * scale
    return replace(dataset, samples=replace(dataset.samples, windows=windows))


def believed(walked):
    """The same network, its weight against the anchor 1 at both horizons."""
    own = walked.forecaster
    contract = replace_fields(own.contract, {"shrinkage": (1.0, 1.0)})
    return replace(walked, forecaster=type(own)(own.network, own.scaler, contract))


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


def test_shuffled_targets_cannot_be_forecast(dataset, fold):
    order = np.random.default_rng(0).permutation(len(dataset.samples))
    shuffled = replace(dataset, samples=replace(
        dataset.samples, change=dataset.samples.change[order],
        target=dataset.samples.target[order]))

    walked = fit_fold(shuffled, walk_forward(shuffled)[-1], small(), "smile", QUIET)

    model, baselines = judged(shuffled, walked)
    for place, anchor in enumerate(walked.forecaster.contract.anchor):
        behind = (baselines[anchor] - model)[:, place]
        behind = behind[np.isfinite(behind)]
        error = behind.std() / np.sqrt(len(behind))
        assert abs(behind.mean()) <= 3.0 * error


def test_nothing_of_the_test_part_is_looked_at(dataset, fold, gru):
    altered = with_another_future(dataset, fold)

    other = fit_fold(altered, fold, small(), "smile", QUIET)

    weights, others = (one.fitted.network.state_dict() for one in (gru, other))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    without = {"data_fingerprint": ""}
    assert replace_fields(other.forecaster.contract, without) == replace_fields(
        gru.forecaster.contract, without)


def with_another_future(dataset, fold):
    """Windows, smiles, targets and quotes from the test part's first instant on are others."""
    samples = {name: np.array(getattr(dataset.samples, name))
               for name in ("windows", "filtered", "change", "target")}
    tested = fold.test.places[0]
    for name in ("windows", "filtered", "change"):
        samples[name][tested:] = 7.0
    samples["target"][tested:] = samples["target"][tested:].max()
    seen = dataset.observations
    begin = int(np.searchsorted(seen.at_s, dataset.samples.at_s[tested]))
    rows = {name: np.array(getattr(seen, name)) for name in ("tau", "forward", "atm_vol",
                                                             "grid_vol")}
    quotes = {name: np.array(getattr(seen, name)) for name in ("log_moneyness", "mid_iv",
                                                               "half_spread")}
    for values, first in ((rows, begin), (quotes, seen.starts[begin])):
        for column in values.values():
            column[first:] *= 1.5
    return replace(dataset, samples=replace(dataset.samples, **samples),
                   observations=replace(seen, **rows, **quotes))


def replace_fields(contract, values):
    return type(contract)(**{name: getattr(contract, name)
                             for name in contract.__struct_fields__} | values)


def test_the_contract_tells_where_the_model_comes_from(dataset, fold, gru):
    contract = gru.forecaster.contract
    begins = dataset.samples.at_s[fold.test.places[0]]

    assert contract.trained_from.timestamp() == dataset.samples.at_s[0] - 9 * 60.0
    assert contract.trained_until.timestamp() <= begins
    assert contract.samples == len(fold.training)
    assert contract.data_fingerprint == dataset.fingerprint()
    assert [one.name for one in contract.baselines] == list(args.BASELINES)
    assert np.array(contract.band_fallback).shape == (2, 17)
    assert set(contract.reference.names) <= set(INSTANT_FEATURES)
    assert (np.diff(contract.reference.quantiles, axis=1) >= 0).all()


def test_bands_hold_about_what_they_promise(dataset, gru):
    test = gru.fold.test
    change, actual = gru.forecaster.predict(test.windows(dataset.samples)), \
        test.changes(dataset.samples)
    inside = (change[:, :, 0] <= actual) & (actual <= change[:, :, 2])

    assert inside[np.isfinite(actual)].mean() == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize("kind", ["ewma", "ar", "sticky_strike"])
def test_a_baseline_is_served_as_it_is(dataset, fold, kind):
    walked = fit_fold(dataset, fold, small(kind), "smile", QUIET)
    windows = fold.test.windows(dataset.samples)
    [own] = [one for one in walked.forecaster.contract.baselines if one.name == kind]

    lower, median, upper = np.moveaxis(walked.forecaster.predict(windows), 2, 0)

    assert walked.fitted is None
    assert median == pytest.approx(changes(own, windows[:, :, DEVIATIONS]), abs=1e-8)
    assert (lower < median).all() and (median < upper).all()
    assert set(walked.forecaster.contract.anchor) <= {kind, FILTERED}


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_trained_and_exported_and_answers_any_batch(dataset, fold, kind):
    forecaster = fit_fold(dataset, fold, small(kind), "smile", QUIET).forecaster
    windows = torch.from_numpy(scaled(forecaster.scaler, dataset.samples.windows[:32]))
    dynamic = ({0: torch.export.Dim.AUTO},)

    exported = torch.export.export(forecaster.network, (windows[:4],),
                                   dynamic_shapes=dynamic).module()

    for batch in (1, 32):
        torch.testing.assert_close(exported(windows[:batch]), forecaster.network(windows[:batch]))


def test_silence_is_the_anchor_to_the_last_bit(dataset, gru):
    silent = replace_fields(gru.forecaster.contract, {"shrinkage": (0.0, 0.0)})
    forecaster = type(gru.forecaster)(gru.forecaster.network, gru.forecaster.scaler, silent)
    windows = dataset.samples.windows[:8]

    median = forecaster.predict(windows)[:, :, 1]

    assert median == pytest.approx(forecaster.anchor.changes(windows[:, :, DEVIATIONS]), abs=1e-15)


def test_every_fold_is_walked_and_told(dataset):
    told = []
    progress = Progress(quiet=True)
    progress.say = told.append
    two = replace(dataset, args=small(data={"folds": 2}).data)

    walked = walk(two, small(data={"folds": 2}), "smile", progress, trials=1)

    assert [one.fold.number for one in walked] == list(range(len(walked)))
    assert sum("to learn from" in line for line in told) == len(walked)
    assert any(line.startswith("search: kept") for line in told)


def test_a_model_that_answers_with_no_number_is_refused(dataset, fold, monkeypatch):
    monkeypatch.setattr("ml.stacking.raw",
                        lambda network, scaler, windows: np.full((len(windows), 2, 3, 17), np.nan))

    with pytest.raises(TrainingDataError, match="not numbers"):
        fit_fold(dataset, fold, small(), "smile", QUIET)


def test_a_horizon_that_training_never_sees_is_refused_by_name(dataset, fold):
    known = fold.training.known.copy()
    known[:, 1] = False
    blind = replace(fold, training=replace(fold.training, known=known))

    with pytest.raises(TrainingDataError, match="no target 300 s ahead was observed"):
        fit_fold(dataset, blind, small(), "smile", QUIET)


@pytest.mark.parametrize("kind", ["gru", "ewma"])
def test_a_horizon_whose_targets_lie_beyond_the_quotes_is_refused_by_name(dataset, fold, kind):
    change = dataset.samples.change.copy()
    change[fold.training.places, 1] = np.nan
    unseen = replace(dataset, samples=replace(dataset.samples, change=change))

    with pytest.raises(TrainingDataError, match="no target 300 s ahead was observed"):
        fit_fold(unseen, fold, small(kind), "smile", QUIET)
