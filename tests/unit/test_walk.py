"""Whole folds: what a model may know, and that it is no worse for it."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from ml import args
from ml.args import KINDS
from ml.baselines import FILTERED, changes
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.features import DEVIATIONS, INSTANT_FEATURES
from ml.folds import walk_forward
from ml.forecaster import scaled
from ml.progress import Progress
from ml.walk import fit_fold, walk
from tests.unit.planted import Market, plant
from tests.unit.small_folds import QUIET, config_of, errors, judged, small


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


@pytest.mark.parametrize("kind", ["gru", "persistence", "ewma", "sticky_strike", "har"])
def test_nothing_of_the_test_part_is_looked_at(dataset, fold, gru, kind):
    altered = with_another_future(dataset, fold)

    own = gru if kind == "gru" else fit_fold(dataset, fold, small(kind), "smile", QUIET)
    other = fit_fold(altered, fold, small(kind), "smile", QUIET)

    weights, others = (one.forecaster.network.state_dict() for one in (own, other))
    assert weights
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    contract, altered_contract = (
        msgspec.structs.replace(one.forecaster.contract, data_fingerprint="")
        for one in (own, other))
    assert contract == altered_contract


def test_the_search_sees_nothing_that_any_fold_tests(monkeypatch):
    """Of two histories that are the same until the oldest fold's test part it sees the same."""
    config = small(data={"folds": 4, "validation_share": 0.2, "within_day": True})
    chosen = msgspec.structs.replace(config, fit=msgspec.structs.replace(config.fit, seed=7))
    day = plant(Market(0.3, 0.2, 2e-3), days=1, minutes=380, seed=0).series
    history = make_dataset([[day]], config.data)
    oldest, *_, newest = walk_forward(history)
    seen, fitted = [], []

    def search(data, fold, ready, *_):
        seen.append((fold, ready))
        return chosen

    monkeypatch.setattr("ml.walk.search", search)
    monkeypatch.setattr("ml.walk.fit_fold", lambda data, fold, given, *_: fitted.append(given))
    for one in (history, with_another_future(history, oldest)):
        walk(one, config, "smile", QUIET, trials=1)

    assert newest.validation.places[-1] > oldest.test.places[0]  # what it must not choose by
    (fold, ready), (again, altered) = seen
    for part in (fold.training, fold.validation):
        target = history.samples.target[part.places][part.known]
        assert target.max() < history.samples.row[oldest.test.places[0]]
    assert fold.validation.places.tolist() == again.validation.places.tolist()
    assert ready.scaler.mean_.tolist() == altered.scaler.mean_.tolist()
    assert (ready.baselines, ready.anchor) == (altered.baselines, altered.anchor)
    assert ready.points.tolist() == altered.points.tolist()
    assert len(fitted) >= 2
    assert all(one == chosen for one in fitted)


def test_a_baseline_is_not_searched(dataset, monkeypatch):
    monkeypatch.setattr("ml.walk.search", lambda *_: pytest.fail("there is nothing to search"))

    [walked] = walk(dataset, small("persistence"), "smile", QUIET, trials=1)

    assert walked.config == small("persistence")


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
    silent = msgspec.structs.replace(gru.forecaster.contract, shrinkage=(0.0, 0.0))
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
