"""Walking forward: what is promised of every fold, for any history and any settings."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml import folds
from ml.args import DataArgs
from ml.calendar import session_day
from ml.dataset import Dataset, Observations, Samples, make_dataset
from ml.errors import TrainingDataError
from ml.features import DEVIATIONS, WINDOW_FEATURES
from ml.folds import MINIMUM, Fold, Part, fit_scaler, walk_forward
from ml.steps import TOLERANCE
from tests.unit.smiles import make_history

FIRST_OPEN = datetime(2026, 8, 3, 13, 30, tzinfo=UTC)


def hollow(at_s, target, args):
    """A dataset of samples at these times, with everything but times and targets left empty."""
    count, horizons = target.shape
    nothing = np.empty(0)
    samples = Samples(at_s, np.empty((count, 1, 0)), np.empty((count, 0)),
                      np.empty((count, horizons, 0)), np.zeros(count, int), np.zeros(count, int),
                      target)
    rows = Observations(nothing, nothing, nothing, nothing, nothing, np.zeros(1, int), nothing,
                        nothing, nothing)
    return Dataset(samples, rows, (), args)


@st.composite
def histories(draw):
    """Samples of a few days at random minutes, some targets unknown, and settings."""
    days, minutes = draw(st.integers(1, 9)), draw(st.integers(1, 390))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    opens = [(FIRST_OPEN + timedelta(days=day)).timestamp() for day in range(days)]
    shares = st.floats(0.05, 0.49)
    args = DataArgs(
        horizons_s=draw(st.sampled_from([(60,), (60, 300), (60, 300, 900, 1800), (3600,)])),
        folds=draw(st.integers(1, 6)), test_share=draw(shares), validation_share=draw(shares),
        calibration_share=draw(shares), embargo_s=draw(st.sampled_from([None, 0.0, 120.0, 2000.0])),
        within_day=days == 1)
    expiries = draw(st.integers(1, 12))
    grid = np.concatenate([opened + 60.0 * np.arange(minutes) for opened in opens])
    at_s = np.sort(np.repeat(grid, expiries)[random.random(len(grid) * expiries) < 0.9])
    target = np.where(random.random((len(at_s), len(args.horizons_s))) < 0.8, 0, -1)
    return hollow(at_s, target, args)


def parts(fold):
    return fold.training, fold.validation, fold.calibration, fold.test


def walked(dataset):
    """Its folds; none where it is refused."""
    try:
        return walk_forward(dataset)
    except TrainingDataError as refusal:
        assert "too little history" in str(refusal)
        return []


@settings(max_examples=40, deadline=None)
@given(histories())
@example(hollow(np.empty(0), np.empty((0, 1), int), DataArgs(horizons_s=(60,), within_day=True)))
@example(hollow(np.full(200, FIRST_OPEN.timestamp()), np.zeros((200, 1), int),
                DataArgs(horizons_s=(60,), within_day=True)))
def test_no_target_of_a_part_is_due_after_a_later_part_begins(dataset):
    args, at_s = dataset.args, dataset.samples.at_s
    due = at_s[:, None] + np.array(args.horizons_s) + TOLERANCE * args.step_s
    for fold in walked(dataset):
        for place, part in enumerate(parts(fold)[:3]):
            begins = min(at_s[later.places[0]] for later in parts(fold)[place + 1:])
            assert due[part.places][part.known].max() <= begins


@settings(max_examples=40, deadline=None)
@given(histories())
def test_the_next_part_begins_a_horizon_and_the_embargo_after_the_last_origin_used(dataset):
    args, at_s = dataset.args, dataset.samples.at_s
    for fold in walked(dataset):
        for part, following in pairwise(parts(fold)):
            for place, horizon_s in enumerate(args.horizons_s):
                used = part.places[part.known[:, place]]
                if len(used):
                    apart = at_s[following.places[0]] - at_s[used[-1]]
                    assert apart >= max(horizon_s, args.embargo_s or 0.0)


@settings(max_examples=40, deadline=None)
@given(histories())
def test_parts_follow_each_other_and_tests_never_overlap(dataset):
    at_s, tests = dataset.samples.at_s, []
    found = walked(dataset)
    for fold in found:
        times = [at_s[part.places] for part in parts(fold)]
        for before, after in pairwise(times):
            assert before.max() < after.min()
        tests.append(times[-1])
    for before, after in pairwise(tests):
        assert before.max() < after.min()
    assert [fold.number for fold in found] == list(range(len(found)))
    assert len(found) <= dataset.args.folds


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_part_has_enough_samples_each_with_a_known_horizon(dataset):
    known = dataset.samples.target >= 0
    for fold in walked(dataset):
        for part, least in zip(parts(fold), MINIMUM.values(), strict=True):
            assert len(part) >= least
            assert part.known.any(axis=1).all()
            assert not (part.known & ~known[part.places]).any()


@settings(max_examples=40, deadline=None)
@given(histories())
def test_the_newest_fold_tests_the_newest_samples_with_every_target_they_have(dataset):
    known = dataset.samples.target >= 0
    if found := walked(dataset):
        test = found[-1].test
        assert test.places[-1] == np.flatnonzero(known.any(axis=1))[-1]
        assert (test.known == known[test.places]).all()


@settings(max_examples=40, deadline=None)
@given(histories())
def test_of_several_days_none_is_in_a_test_and_in_what_it_is_judged_by(dataset):
    at_s = dataset.samples.at_s
    day = np.array([session_day(datetime.fromtimestamp(at, UTC)) for at in at_s.tolist()])
    if len(set(day)) == 1:
        return
    for fold in walked(dataset):
        seen = np.concatenate([part.places for part in parts(fold)[:3]])
        assert set(day[seen]).isdisjoint(day[fold.test.places])


def made(days, minutes, expiries=2, **args):
    dataset = make_dataset([make_history(days=days, minutes=minutes, expiries=expiries)],
                           DataArgs(**args))
    return dataset


def test_training_expands_and_the_default_is_four_folds():
    found = walk_forward(made(1, 390, within_day=True))

    assert len(found) == 4
    assert all(len(one.training) < len(other.training)
               for one, other in pairwise(found))
    assert {int(fold.training.places[0]) for fold in found} == {0}


def test_three_days_before_a_test_are_split_between_days():
    dataset = made(5, 60, folds=1, test_share=0.2)
    fold, = walk_forward(dataset)
    days = [{session_day(datetime.fromtimestamp(at, UTC)).day
             for at in dataset.samples.at_s[part.places].tolist()} for part in parts(fold)]

    assert days == [{3, 4}, {5}, {6}, {7}]


def test_folds_that_would_be_too_small_are_left_out_the_oldest_first():
    dataset = made(1, 150, within_day=True)
    found = walk_forward(dataset)

    assert 1 <= len(found) < 4
    assert found[-1].test.places[-1] == len(dataset.samples) - 1


def test_one_day_is_refused_unless_it_may_be_split():
    with pytest.raises(TrainingDataError, match=r"one day only.*--within-day"):
        walk_forward(made(1, 390))


def test_a_part_that_is_too_small_is_refused_with_its_count():
    with pytest.raises(TrainingDataError, match=r"too little history: \d+ windows for training, "
                                                r"needs 100; 60 in all"):
        walk_forward(made(3, 20))


def test_changes_are_unknown_where_a_horizon_is_purged():
    dataset = made(1, 390, within_day=True)
    part = walk_forward(dataset)[-1].validation
    changes = part.changes(dataset.samples)

    assert changes.shape == (len(part), 4, 17)
    assert (~part.known).any()
    assert np.isnan(changes[~part.known]).all()
    assert np.array_equal(changes[part.known], dataset.samples.change[part.places][part.known],
                          equal_nan=True)


def test_a_part_is_read_in_pieces():
    dataset = made(1, 390, within_day=True)
    part = walk_forward(dataset)[0].training
    pieces = list(part.chunks(100))

    assert [len(piece) for piece in pieces[:-1]] == [100] * (len(pieces) - 1)
    for name in ("windows", "changes"):
        whole = getattr(part, name)(dataset.samples)
        assert np.array_equal(
            np.concatenate([getattr(piece, name)(dataset.samples) for piece in pieces]), whole,
            equal_nan=True)


def split(dataset) -> Fold:
    return walk_forward(dataset)[-1]


def test_the_scaler_has_seen_training_rows_only(monkeypatch):
    monkeypatch.setattr(folds, "CHUNK", 50)
    dataset = made(3, 120)
    training = split(dataset).training
    scaler = fit_scaler(dataset, training)

    columns = training.windows(dataset.samples).reshape(-1, len(WINDOW_FEATURES))
    moving = np.ptp(columns, axis=0) > 0
    assert scaler.mean_ == pytest.approx(columns.mean(axis=0))
    assert scaler.scale_[moving] == pytest.approx(columns.std(axis=0)[moving])


def frozen(dataset, *columns):
    """The dataset with these columns of its windows constant."""
    windows = dataset.samples.windows.copy()
    for column in columns:
        windows[..., column] = 0.1
    return replace(dataset, samples=replace(dataset.samples, windows=windows))


def test_a_column_that_never_changes_is_scaled_to_zero_and_told_once(caplog):
    folds._tell.cache_clear()
    skew = WINDOW_FEATURES.index("skew")
    dataset = frozen(made(3, 120), skew)
    training = split(dataset).training
    with caplog.at_level(logging.WARNING):
        scaler = fit_scaler(dataset, training)
        fit_scaler(dataset, training)

    assert scaler.scale_[skew] == 1.0
    scaled = scaler.transform(training.windows(dataset.samples)[0])
    assert scaled[:, skew] == pytest.approx(np.zeros(10), abs=1e-12)
    assert len(caplog.messages) == 1 and "skew" in caplog.messages[0]


def test_a_smile_that_never_changes_is_refused_by_name():
    dataset = frozen(made(3, 120), DEVIATIONS)

    with pytest.raises(TrainingDataError, match=r"nothing to learn from: deviation_z-2\.50, .*"
                                                "never changes"):
        fit_scaler(dataset, split(dataset).training)


def test_an_empty_part_has_no_pieces():
    assert list(Part(np.empty(0, int), np.empty((0, 2), bool)).chunks()) == []
