from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ml.args import DataArgs
from ml.dataset import fit_scaler, make_samples, split
from ml.errors import TrainingDataError
from ml.features import WINDOW_FEATURES, filtered_smile
from ml.history import Row, in_series
from tests.unit.smiles import make_history

ARGS = DataArgs(horizons_s=(60, 300))


def only(series, chosen):
    """The series with the chosen rows only."""
    rows = np.flatnonzero(chosen)
    arrays = {name: getattr(series, name)[rows] for name in (
        "times_s", "tau", "underlying", "forward", "atm_vol", "grid_vol", "grid_observed",
        "features")}
    lists = {name: [getattr(series, name)[row] for row in rows] for name in ("at", "day", "quotes")}
    return replace(series, **arrays, **lists)


def test_a_sample_is_window_filtered_smile_and_changes_at_each_horizon():
    series = make_history(days=1, minutes=30, expiries=1)[0]
    samples = make_samples([series], ARGS)
    first = samples.take(np.array([0]))

    assert samples.windows.shape[1:] == (10, len(WINDOW_FEATURES))
    assert first.row.tolist() == [9]
    assert first.target.tolist() == [[10, 14]]
    filtered = filtered_smile(series.grid_vol[:10], ARGS.filter_weight)
    assert first.filtered[0] == pytest.approx(filtered)
    assert first.change[0, 1] == pytest.approx(series.grid_vol[14] - filtered)


def test_a_target_beyond_the_end_is_unknown():
    samples = make_samples(make_history(days=1, minutes=30, expiries=1), ARGS)

    assert samples.target[-1].tolist() == [29, -1]
    assert np.isnan(samples.change[-1, 1]).all()


def test_nothing_after_t_changes_the_window_or_the_filtered_smile():
    series = make_history(days=1, minutes=40, expiries=1)[0]
    later = series.times_s > series.times_s[20]
    other = replace(series, grid_vol=np.where(later[:, None], 9.0, series.grid_vol),
                    forward=np.where(later, 1.0, series.forward),
                    features=np.where(later[:, None], 7.0, series.features))

    one, two = make_samples([series], ARGS), make_samples([other], ARGS)
    until = one.row <= 20
    assert np.array_equal(one.windows[until], two.windows[until])
    assert np.array_equal(one.filtered[until], two.filtered[until])
    assert not np.array_equal(one.change[until], two.change[until], equal_nan=True)


def test_points_not_within_the_quoted_strikes_are_no_target():
    series = make_history(days=1, minutes=30, expiries=1)[0]
    observed = series.grid_observed.copy()
    observed[:, :3] = False

    change = make_samples([replace(series, grid_observed=observed)], ARGS).change

    assert np.isnan(change[:, :, :3]).all()
    assert np.isfinite(change[0, :, 3:]).all()


def test_no_window_or_target_crosses_a_day():
    series = make_history(days=2, minutes=30, expiries=1)[0]
    samples = make_samples([series], ARGS)

    assert set(range(30, 39)).isdisjoint(samples.row)
    last_of_day = samples.take(samples.row == 28)
    assert last_of_day.target.tolist() == [[29, -1]]


def test_no_window_spans_a_gap_and_a_target_within_one_is_unknown():
    series = make_history(days=1, minutes=40, expiries=1)[0]
    minute = np.arange(40)
    samples = make_samples([only(series, (minute < 20) | (minute >= 23))], ARGS)

    start = series.times_s[0]
    minutes = ((samples.at_s - start) / 60).astype(int)
    assert set(range(23, 32)).isdisjoint(minutes)
    assert samples.target[minutes == 18].tolist() == [[19, 20]]
    assert samples.target[minutes == 19].tolist() == [[-1, 21]]


@pytest.mark.parametrize(("late_s", "target"), [(0, 15), (2, 15), (30, 15), (32, -1)])
def test_a_target_is_the_first_row_from_its_time_on_at_most_half_a_step_late(late_s, target):
    series = make_history(days=1, minutes=40, expiries=1)[0]
    late = np.where(np.arange(40) == 15, float(late_s), 0.0)
    samples = make_samples([replace(series, times_s=series.times_s + late)], ARGS)

    assert samples.target[samples.row == 10, 1].tolist() == [target]


def test_a_target_is_never_before_its_time_and_passes_over_rows_without_a_smile():
    series = make_history(days=1, minutes=30, expiries=1, step_s=7.0)[0]
    samples = make_samples([series], ARGS)
    known = samples.target[:, 0] >= 0
    late_s = (series.times_s[samples.target[:, 0]] - samples.at_s - 60.0)[known]
    assert late_s.min() >= 0.0 and late_s.max() < 7.0

    first, grid = samples.target[0, 0], series.grid_vol.copy()
    grid[first:first + 2] = np.nan
    assert make_samples([replace(series, grid_vol=grid)], ARGS).target[0, 0] == first + 2


def test_a_fast_feed_gives_one_sample_a_step_and_lags_of_a_step():
    series = make_history(days=1, minutes=30, expiries=1, step_s=2.0)[0]
    samples = make_samples([series], ARGS)

    assert np.diff(samples.at_s).min() == pytest.approx(60.0)
    assert samples.target[0, 0] - samples.row[0] == 30


def test_a_row_without_a_smile_is_no_target_but_may_stand_in_a_window():
    series = make_history(days=1, minutes=40, expiries=1)[0]
    grid, atm = series.grid_vol.copy(), series.atm_vol.copy()
    grid[20], atm[20] = np.nan, np.nan
    samples = make_samples([replace(series, grid_vol=grid, atm_vol=atm)], ARGS)

    assert 20 not in samples.target
    assert 20 not in samples.row
    assert 25 in samples.row
    assert np.isfinite(samples.windows).all()


def test_a_history_mostly_without_smiles_is_refused():
    series = make_history(days=1, minutes=60, expiries=1)[0]
    missing = np.arange(60) % 3 != 0
    grid = np.where(missing[:, None], np.nan, series.grid_vol)

    with pytest.raises(TrainingDataError, match="windows have too many rows without a smile"):
        make_samples([replace(series, grid_vol=grid)], DataArgs(horizons_s=(180,)))


def test_too_short_a_history_is_refused():
    with pytest.raises(TrainingDataError, match="too little history: no expiry has 10 smiles"):
        make_samples(make_history(days=1, minutes=8), ARGS)


def test_samples_come_in_time_order():
    samples = make_samples(make_history(days=2, minutes=30, expiries=3), ARGS)

    assert (np.diff(samples.at_s) >= 0).all()


def test_the_fingerprint_changes_with_any_number():
    samples = make_samples(make_history(days=1, minutes=30), ARGS)
    again = make_samples(make_history(days=1, minutes=30), ARGS)
    other = replace(samples, change=samples.change + 1e-12)

    assert samples.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(("days", "minutes", "within_day"), [(5, 60, False), (2, 200, False),
                                                             (1, 390, True)])
def test_no_target_of_a_fold_reaches_into_the_next(days, minutes, within_day):
    history = make_history(days=days, minutes=minutes, expiries=2)
    args = DataArgs(within_day=within_day)
    folds = split(make_samples(history, args), args)

    longest = max(args.horizons_s)
    assert folds.training.at_s.max() + longest <= folds.validation.at_s.min()
    assert folds.validation.at_s.max() + longest <= folds.test.at_s.min()


def test_from_three_days_on_folds_are_whole_days():
    history = make_history(days=5, minutes=120, expiries=1)
    folds = split(make_samples(history, DataArgs()), DataArgs())
    days = [sorted({history[0].day[row] for row in fold.row})
            for fold in (folds.training, folds.validation, folds.test)]

    assert [len(one) for one in days] == [3, 1, 1]
    assert days[0][-1] < days[1][0] < days[2][0]


def test_one_day_only_is_refused_unless_asked_for():
    samples = make_samples(make_history(days=1, minutes=390), DataArgs())

    with pytest.raises(TrainingDataError, match=r"one day only.*--within-day"):
        split(samples, DataArgs())


def test_a_fold_that_is_too_small_is_refused_with_its_count():
    samples = make_samples(make_history(days=3, minutes=30, expiries=2), ARGS)

    with pytest.raises(TrainingDataError, match="too little history: 40 windows for training, "
                                                "needs 100"):
        split(samples, ARGS)


def test_the_scaler_has_seen_training_rows_only():
    folds = split(make_samples(make_history(days=3, minutes=120), DataArgs()), DataArgs())
    scaler = fit_scaler(folds.training)

    columns = folds.training.windows.reshape(-1, len(WINDOW_FEATURES))
    assert scaler.mean_ == pytest.approx(columns.mean(axis=0))
    assert scaler.scale_ == pytest.approx(columns.std(axis=0))


def test_a_column_that_never_changes_is_refused_by_name():
    folds = split(make_samples(make_history(days=3, minutes=120), DataArgs()), DataArgs())
    still = folds.training.windows.copy()
    still[..., WINDOW_FEATURES.index("skew")] = 0.25

    with pytest.raises(TrainingDataError, match="skew never changes"):
        fit_scaler(replace(folds.training, windows=still))


def rows_of(series):
    return [Row(series.symbol, series.expiry, series.at[row], series.tau[row],
                series.underlying[row], series.forward[row], series.atm_vol[row],
                series.grid_vol[row], series.grid_observed[row], series.features[row],
                series.quotes[row]) for row in range(len(series.at))]


def test_rows_become_series_by_expiry_in_time_order_and_once_per_instant():
    one, two = make_history(days=1, minutes=5, expiries=2)
    rows = rows_of(two) + rows_of(one)[::-1] + rows_of(one)[2:3]

    found = in_series(rows)

    assert [series.expiry for series in found] == [one.expiry, two.expiry]
    assert found[0].at == one.at
    assert (np.diff(found[0].times_s) == timedelta(minutes=1).total_seconds()).all()
    assert np.array_equal(found[0].grid_vol, one.grid_vol)


def test_rows_without_any_smile_are_no_history():
    rows = [replace(row, atm_vol=float("nan"))
            for row in rows_of(make_history(days=1, minutes=5, expiries=1)[0])]

    with pytest.raises(TrainingDataError, match="holds no smile"):
        in_series(rows)
