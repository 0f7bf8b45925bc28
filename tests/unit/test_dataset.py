"""Samples cut out of made-up histories: what they hold, and what they never cross."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.features import DEVIATIONS, INSTANT_FEATURES, WINDOW_FEATURES, filtered_smile
from tests.unit.smiles import DAYS, make_history

ARGS = DataArgs(horizons_s=(60, 300))


def only(series, chosen):
    """The series with the chosen rows only."""
    rows = np.flatnonzero(chosen)
    arrays = {name: getattr(series, name)[rows] for name in (
        "times_s", "tau", "underlying", "forward", "atm_vol", "grid_vol", "grid_observed",
        "features")}
    lists = {name: [getattr(series, name)[row] for row in rows] for name in ("at", "day", "quotes")}
    return replace(series, **arrays, **lists)


def by_day(history):
    """The same history as a list of series for each day."""
    days = sorted({day for series in history for day in series.day})
    return [[only(series, np.array(series.day) == day) for series in history] for day in days]


class Cut:
    """The samples of one series, their places as rows of it."""

    def __init__(self, series, args=ARGS):
        self.dataset = make_dataset([[series]], args)
        self.samples = self.dataset.samples
        at_s = self.dataset.observations.at_s
        self.row = np.searchsorted(series.times_s, at_s[self.samples.row])
        target = np.searchsorted(series.times_s, at_s[self.samples.target])
        self.target = np.where(self.samples.target >= 0, target, -1)


def one_series(minutes=30, days=1, **options):
    return make_history(days=days, minutes=minutes, expiries=1, **options)[0]


def test_a_sample_is_window_filtered_smile_and_changes_at_each_horizon():
    series = one_series()
    cut = Cut(series)

    assert cut.samples.windows.shape[1:] == (10, len(WINDOW_FEATURES))
    assert cut.row[0] == 9
    assert cut.target[0].tolist() == [10, 14]
    filtered = filtered_smile(series.grid_vol[:10], ARGS.filter_weight)
    assert cut.samples.filtered[0] == pytest.approx(filtered)
    assert cut.samples.change[0, 1] == pytest.approx(series.grid_vol[14] - filtered)
    assert cut.samples.windows[0, :, DEVIATIONS] == pytest.approx(series.grid_vol[:10] - filtered)


def test_observations_are_the_rows_that_samples_are_made_at_and_aimed_at():
    series = one_series()
    dataset = Cut(series).dataset
    observed = dataset.observations

    assert observed.at_s.tolist() == series.times_s[9:].tolist()
    for place, row in enumerate(range(9, 30)):
        assert observed.tau[place] == series.tau[row]
        assert observed.forward[place] == series.forward[row]
        assert observed.atm_vol[place] == series.atm_vol[row]
        assert observed.grid_vol[place].tolist() == series.grid_vol[row].tolist()
        quotes = series.quotes[row]
        for found, expected in zip(observed.quotes(place), (
                quotes.log_moneyness, quotes.mid_iv, quotes.half_spread), strict=True):
            assert found.tolist() == expected.tolist()


def test_samples_name_their_expiry_and_come_in_time_order():
    history = make_history(days=2, minutes=30, expiries=3)
    dataset = make_dataset([history], ARGS)

    assert dataset.keys == tuple((series.symbol, series.expiry) for series in history)
    assert (np.diff(dataset.samples.at_s) >= 0).all()
    for place in range(0, len(dataset.samples), 7):
        series = history[dataset.samples.key[place]]
        row = dataset.samples.row[place]
        assert dataset.observations.at_s[row] == dataset.samples.at_s[place]
        at = int(np.searchsorted(series.times_s, dataset.samples.at_s[place]))
        assert dataset.observations.atm_vol[row] == series.atm_vol[at]


def test_a_target_beyond_the_end_is_unknown():
    cut = Cut(one_series())

    assert cut.target[-1].tolist() == [29, -1]
    assert np.isnan(cut.samples.change[-1, 1]).all()


def test_nothing_after_t_changes_the_window_or_the_filtered_smile():
    series = one_series(minutes=40)
    later = series.times_s > series.times_s[20]
    other = replace(series, grid_vol=np.where(later[:, None], 9.0, series.grid_vol),
                    forward=np.where(later, 1.0, series.forward),
                    features=np.where(later[:, None], 7.0, series.features))

    one, two = Cut(series), Cut(other)
    until = one.row <= 20
    assert np.array_equal(one.samples.windows[until], two.samples.windows[until])
    assert np.array_equal(one.samples.filtered[until], two.samples.filtered[until])
    assert not np.array_equal(one.samples.change[until], two.samples.change[until],
                              equal_nan=True)


def test_points_not_within_the_quoted_strikes_are_no_target():
    series = one_series()
    observed = series.grid_observed.copy()
    observed[:, :3] = False

    change = Cut(replace(series, grid_observed=observed)).samples.change

    assert np.isnan(change[:, :, :3]).all()
    assert np.isfinite(change[0, :, 3:]).all()


def test_no_window_or_target_crosses_a_day():
    cut = Cut(one_series(days=2))

    assert set(range(30, 39)).isdisjoint(cut.row)
    assert cut.target[cut.row == 28].tolist() == [[29, -1]]


def test_no_window_spans_a_gap_and_a_target_within_one_is_unknown():
    series = one_series(minutes=40)
    minute = np.arange(40)
    samples = (cut := Cut(only(series, (minute < 20) | (minute >= 23)))).samples

    minutes = ((samples.at_s - series.times_s[0]) / 60).astype(int)
    assert set(range(23, 32)).isdisjoint(minutes)
    assert cut.target[minutes == 18].tolist() == [[19, 20]]
    assert cut.target[minutes == 19].tolist() == [[-1, 21]]


FULL = make_history(days=2, minutes=30, expiries=1, step_s=10.0)[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0), st.integers(0, 25), st.integers(0, 5))
def test_whatever_rows_there_are_no_window_or_target_crosses_a_day_or_a_gap(
        seed, share, gap_minute, gap_minutes):
    """The window's `log_tau` is made to tell the time of each of its rows."""
    random = np.random.default_rng(seed)
    minute = np.arange(len(FULL.at)) % 180 / 6
    outside = (minute < gap_minute) | (minute >= gap_minute + gap_minutes)
    features = FULL.features.copy()
    features[:, INSTANT_FEATURES.index("log_tau")] = FULL.times_s - FULL.times_s[0]
    series = only(replace(FULL, features=features), outside & (random.random(len(minute)) < share))
    args = DataArgs(window=4, horizons_s=(60, 120))
    try:
        dataset = make_dataset([[series]], args)
    except TrainingDataError:
        return
    samples = dataset.samples
    day = dict(zip(series.times_s.tolist(), series.day, strict=True))
    clock = samples.windows[:, :, WINDOW_FEATURES.index("log_tau")] + FULL.times_s[0]
    behind = samples.at_s[:, None] - 60.0 * np.arange(3, -1, -1) - clock
    assert (behind >= -1e-3).all() and (behind < 30.0).all()
    known, aims = samples.target >= 0, dataset.observations.at_s[samples.target]
    late = (aims - samples.at_s[:, None] - [60.0, 120.0])[known]
    assert known.any(axis=1).all()
    assert (late >= 0.0).all() and (late <= 30.0).all()
    for place, at in enumerate(samples.at_s.tolist()):
        seen = [round(clock[place, 0], 3), *aims[place][known[place]].tolist()]
        assert {day[one] for one in seen} == {day[at]}


@pytest.mark.parametrize(("late_s", "target"), [(0, 15), (2, 15), (30, 15), (32, -1)])
def test_a_target_is_the_first_row_from_its_time_on_at_most_half_a_step_late(late_s, target):
    series = one_series(minutes=40)
    late = np.where(np.arange(40) == 15, float(late_s), 0.0)
    cut = Cut(replace(series, times_s=series.times_s + late))

    assert cut.target[cut.row == 10, 1].tolist() == [target]


def test_a_target_is_never_before_its_time_and_passes_over_rows_without_a_smile():
    series = one_series(step_s=7.0)
    cut = Cut(series)
    known = cut.target[:, 0] >= 0
    late_s = (series.times_s[cut.target[:, 0]] - cut.samples.at_s - 60.0)[known]
    assert late_s.min() >= 0.0 and late_s.max() < 7.0

    first, grid = cut.target[0, 0], series.grid_vol.copy()
    grid[first:first + 2] = np.nan
    assert Cut(replace(series, grid_vol=grid)).target[0, 0] == first + 2


def test_a_fast_feed_gives_one_sample_a_step_and_lags_of_a_step():
    cut = Cut(one_series(step_s=2.0))

    assert np.diff(cut.samples.at_s).min() == pytest.approx(60.0)
    assert cut.target[0, 0] - cut.row[0] == 30


def test_expiries_that_lack_rows_now_and_then_are_sampled_at_the_same_instants():
    """Rows every 2 s, one in 50 missing: each step's first row is mostly the same one."""
    random = np.random.default_rng(0)
    history = [only(series, random.random(len(series.at)) > 0.02)
               for series in make_history(days=1, minutes=120, expiries=4, step_s=2.0)]
    samples = make_dataset([history], ARGS).samples

    times, counts = np.unique(samples.at_s, return_counts=True)
    on_the_clock = times % ARGS.step_s == 0
    assert counts[on_the_clock].sum() > 0.95 * len(samples)
    assert (times % ARGS.step_s < 10.0).all()
    for key in range(4):
        assert np.diff(samples.at_s[samples.key == key] // ARGS.step_s).min() == 1.0


def test_a_coarse_file_is_cut_at_its_own_step():
    series = one_series(minutes=390, step_s=300.0)
    cut = Cut(series, DataArgs(step_s=300.0, horizons_s=(300, 900), window=6))

    assert cut.row.tolist() == list(range(5, 77))
    assert (cut.target[:-2] - cut.row[:-2, None] == [1, 3]).all()


def test_a_row_without_a_smile_is_no_target_but_may_stand_in_a_window():
    series = one_series(minutes=40)
    grid, atm = series.grid_vol.copy(), series.atm_vol.copy()
    grid[20], atm[20] = np.nan, np.nan
    cut = Cut(replace(series, grid_vol=grid, atm_vol=atm))

    assert 20 not in cut.target
    assert 20 not in cut.row
    assert 25 in cut.row
    assert np.isfinite(cut.samples.windows).all()


def test_a_history_mostly_without_smiles_is_refused():
    series = one_series(minutes=60)
    missing = np.arange(60) % 3 != 0
    grid = np.where(missing[:, None], np.nan, series.grid_vol)

    with pytest.raises(TrainingDataError, match="windows have too many rows without a smile"):
        Cut(replace(series, grid_vol=grid), DataArgs(horizons_s=(180,)))


@pytest.mark.parametrize("days", [[], [[]], [make_history(days=1, minutes=8)]])
def test_too_short_a_history_is_refused(days):
    with pytest.raises(TrainingDataError, match="too little history: no expiry has 10 smiles"):
        make_dataset(days, ARGS)


def test_a_history_coarser_than_the_step_is_refused_with_what_would_do():
    with pytest.raises(TrainingDataError, match=r"its rows are 300 s apart; try --step 300"):
        make_dataset([make_history(days=1, minutes=300, step_s=300.0)], ARGS)


def test_days_out_of_order_are_no_history():
    days = by_day(make_history(days=2, minutes=30))

    with pytest.raises(ValueError, match="in order"):
        make_dataset(days[::-1], ARGS)


def test_large_data_is_mapped_from_files_with_the_same_numbers(tmp_path):
    history = make_history(days=3, minutes=30)
    held = make_dataset([history], ARGS)
    named = make_dataset(by_day(history), ARGS, tmp_path / "data", spill_bytes=10_000)
    nameless = make_dataset(by_day(history), ARGS, spill_bytes=10_000)

    assert (tmp_path / "data" / "windows.bin").stat().st_size == held.samples.windows.nbytes
    for dataset in (named, nameless):
        assert isinstance(dataset.samples.windows, np.memmap)
        assert not dataset.samples.windows.flags.writeable
        for name in ("at_s", "windows", "filtered", "change", "key"):
            assert np.array_equal(getattr(dataset.samples, name), getattr(held.samples, name),
                                  equal_nan=True), name
        aims, others = (one.observations.at_s[one.samples.target] for one in (dataset, held))
        assert np.array_equal(aims, others)
    assert named.fingerprint() == nameless.fingerprint()


def test_one_day_is_held_at_a_time():
    seen = []

    def days():
        for day in DAYS:
            gc.collect()
            assert [one() for one in seen] == [None] * len(seen)
            series = [only(one, np.array(one.day) == day)
                      for one in make_history(days=len(DAYS), minutes=20)]
            seen.append(weakref.ref(series[0].grid_vol))
            yield series
            del series

    assert len(make_dataset(days(), ARGS).samples) > 0
    assert len(seen) == len(DAYS)


def test_the_fingerprint_changes_with_any_number_symbol_or_expiry():
    history = make_history(days=1, minutes=30)
    dataset = make_dataset([history], ARGS)
    again = make_dataset([make_history(days=1, minutes=30)], ARGS)
    quotes = dataset.observations.mid_iv.copy()
    quotes[-1] += 1e-12
    others = [
        replace(dataset, samples=replace(dataset.samples, change=dataset.samples.change + 1e-12)),
        replace(dataset, observations=replace(dataset.observations, mid_iv=quotes)),
        make_dataset([[replace(series, symbol="QQQ") for series in history]], ARGS)]

    assert dataset.fingerprint() == again.fingerprint()
    assert len({dataset.fingerprint(), *(other.fingerprint() for other in others)}) == 4
