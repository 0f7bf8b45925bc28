"""History by days: from files as it was quoted, each day with all its expiries."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ml import history
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.history import Row, days_from_quotes, in_series
from ml.pricing.conventions import conventions
from ml.quotes.format import write_quotes
from services.simulator.history import history_frame
from services.simulator.market import SyntheticMarket
from tests.unit.smiles import make_history

DAYS = (date(2026, 8, 3), date(2026, 8, 4))


def quoted(day, minutes=4, step_s=60, expiries=2):
    """The simulated market from 15:00 UTC on."""
    start = int(datetime(day.year, day.month, day.day, 15, tzinfo=UTC).timestamp())
    times = np.arange(start, start + minutes * 60, step_s)
    return history_frame(SyntheticMarket(7), times, expiries=expiries)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two days of quotes, a file each."""
    made = tmp_path_factory.mktemp("days")
    for day in DAYS:
        write_quotes(quoted(day), made / f"{day}.parquet")
    return made


def everything(days):
    return [(one.symbol, one.expiry, one.at, one.grid_vol.tolist(), one.features.tolist())
            for day in days for one in day]


def test_each_day_comes_with_all_its_expiries(folder):
    days = list(days_from_quotes([folder]))

    assert [{one for series in day for one in series.day} for day in days] == [
        {DAYS[0]}, {DAYS[1]}]
    assert [len(day) for day in days] == [2, 2]
    assert all(len(series.at) == 4 and series.has_smile() for day in days for series in day)


def test_a_folder_of_days_is_the_same_as_its_files_in_any_order_or_as_one(folder, tmp_path):
    files = sorted(folder.iterdir())
    whole = pd.concat([quoted(day) for day in DAYS], ignore_index=True)
    write_quotes(whole, tmp_path / "whole.parquet")

    expected = everything(days_from_quotes([folder]))
    assert everything(days_from_quotes(files[::-1])) == expected
    assert everything(days_from_quotes([tmp_path / "whole.parquet"])) == expected
    assert everything(days_from_quotes([tmp_path / "whole.parquet", *files])) == expected


def test_symbols_of_several_files_stand_side_by_side(folder, tmp_path):
    write_quotes(quoted(DAYS[0]).assign(symbol="OTHER"), tmp_path / "other.parquet")
    first, _ = days_from_quotes([folder, tmp_path / "other.parquet"])

    assert [series.symbol for series in first] == ["OTHER", "OTHER", "SPY", "SPY"]


def test_a_file_of_any_step_is_read(tmp_path):
    write_quotes(quoted(DAYS[0], minutes=60, step_s=300), tmp_path / "q.parquet")
    days = list(days_from_quotes([tmp_path / "q.parquet"]))
    dataset = make_dataset(days, DataArgs(step_s=300.0, window=4, horizons_s=(300,)))

    assert (np.diff(days[0][0].times_s) == 300.0).all()
    assert len(dataset.samples) == 2 * (12 - 4)


def test_two_expiries_are_enough_and_one_alone_has_no_term_slope(tmp_path):
    slopes = []
    for expiries in (2, 1):
        write_quotes(quoted(DAYS[0], expiries=expiries), tmp_path / "q.parquet")
        day, = days_from_quotes([tmp_path / "q.parquet"])
        slopes.append(day[0].features[:, -1])

    assert np.isfinite(slopes[0]).all() and np.isnan(slopes[1]).all()


def test_nothing_later_than_until_is_looked_at(folder):
    until = datetime(2026, 8, 3, 15, 2, tzinfo=UTC)
    day, = days_from_quotes([folder], until)

    assert {series.at[-1] for series in day} == {until}


def test_one_day_is_refused_before_its_smiles_are_made(folder, monkeypatch):
    def fail(*arguments):
        raise AssertionError("a surface was made")

    monkeypatch.setattr(history, "Surfaces", fail)
    until = datetime(2026, 8, 3, 20, tzinfo=UTC)
    for paths, last in (([folder / f"{DAYS[0]}.parquet"], None), ([folder], until)):
        with pytest.raises(TrainingDataError, match=r"one day only.*--within-day"):
            days_from_quotes(paths, last, within_day=False)


def test_two_days_are_not_one(folder):
    assert len(list(days_from_quotes([folder], within_day=False))) == 2


def test_progress_is_told_in_quotes(folder):
    told = []
    list(days_from_quotes([folder], advance=lambda *at: told.append(at)))
    total = sum(len(quoted(day)) for day in DAYS)

    assert len(told) == 8
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_each_symbol_is_read_by_its_conventions(folder):
    dear = everything(days_from_quotes([folder], conventions_of=lambda symbol: replace(
        conventions(symbol), rate=0.2, rate_deviation=1e-4)))

    assert dear != everything(days_from_quotes([folder]))


def test_quotes_without_any_smile_are_no_history(tmp_path):
    write_quotes(quoted(DAYS[0]).assign(bid=np.nan), tmp_path / "q.parquet")

    with pytest.raises(TrainingDataError, match="holds no smile"):
        list(days_from_quotes([tmp_path / "q.parquet"]))


def rows_of(series):
    return [Row(series.symbol, series.expiry, series.at[row], series.tau[row],
                series.underlying[row], series.forward[row], series.atm_vol[row],
                series.grid_vol[row], series.grid_observed[row], series.features[row],
                series.quotes[row]) for row in range(len(series.at))]


def test_rows_become_series_by_expiry_in_time_order_and_once_per_instant():
    one, two = make_history(days=1, minutes=5, expiries=2)
    found = in_series(rows_of(two) + rows_of(one)[::-1] + rows_of(one)[2:3])

    assert [series.expiry for series in found] == [one.expiry, two.expiry]
    assert found[0].at == one.at
    assert (np.diff(found[0].times_s) == timedelta(minutes=1).total_seconds()).all()
    assert np.array_equal(found[0].grid_vol, one.grid_vol)
