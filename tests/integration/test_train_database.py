"""History from the real table is the history from the quotes file it was made of."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import psycopg2
import pytest

from ml import train
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import TrainingDataError, UnavailableError
from ml.features import surface_features
from ml.history import days_from_database, days_from_quotes
from ml.instants import Surfaces
from ml.quotes.format import iter_chains, write_quotes
from ml.quotes.merged import instants, survey
from services.common.database import upsert
from services.features.row import feature_row
from services.features.step import COLUMNS, KEY, TABLE, table_row
from services.simulator.history import history_frame
from services.simulator.market import SyntheticMarket

SYMBOL = "TRAIN"
BEGIN = datetime(2026, 8, 3, 15, tzinfo=UTC)
ARGS = DataArgs(horizons_s=(60, 300))


@pytest.fixture(scope="module")
def quotes(tmp_path_factory):
    """20 minutes of two expiries of the simulated market on each of two days, of our symbol."""
    path = tmp_path_factory.mktemp("quotes") / "history.parquet"
    start = int(BEGIN.timestamp())
    times = np.concatenate([day + np.arange(start, start + 1200, 60) for day in (0, 86_400)])
    frame = history_frame(SyntheticMarket(7), times, expiries=2)
    write_quotes(frame.assign(symbol=SYMBOL), path)
    return path


@pytest.fixture(scope="module")
def rows(quotes):
    """The same as the features stage makes them."""
    surfaces, made = Surfaces(), []
    for _, [frame] in instants(survey([quotes])):
        smiles = surfaces.build(list(iter_chains(frame))).smiles
        made += [feature_row(smile, features, "simulated")
                 for smile, features in zip(smiles, surface_features(smiles), strict=True)]
    return made


def store(url, rows, **changes):
    """Put rows into the table."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        upsert(cursor, TABLE, KEY, COLUMNS,
               [table_row(msgspec.structs.replace(row, **changes)) for row in rows])
    connection.close()


@pytest.fixture(scope="module")
def stored(rows, database_url):
    store(database_url, rows)
    return database_url


def test_training_sees_the_same_from_the_table_as_from_the_file(quotes, stored):
    by_file, by_table = list(days_from_quotes([quotes])), list(days_from_database(stored,
                                                                                  symbol=SYMBOL))

    assert [[series.at for series in day] for day in by_table] == [
        [series.at for series in day] for day in by_file]
    assert len(by_table) == 2
    one, two = (make_dataset(days, ARGS).samples for days in (by_file, by_table))
    assert np.array_equal(one.windows, two.windows)
    assert np.array_equal(one.change, two.change, equal_nan=True)
    for first, second in zip(*(
            [quotes for day in days for series in day for quotes in series.quotes]
            for days in (by_file, by_table)), strict=True):
        assert first.log_moneyness == pytest.approx(second.log_moneyness)
        assert np.array_equal(first.mid_iv, second.mid_iv, equal_nan=True)


def test_nothing_later_than_until_is_read(quotes, stored):
    until = datetime(2026, 8, 3, 15, 10, tzinfo=UTC)

    for found in (days_from_quotes([quotes], until), days_from_database(stored, until, SYMBOL)):
        assert {series.at[-1] for day in found for series in day} == {until}


def test_one_day_is_refused_before_it_is_read(stored):
    until = datetime(2026, 8, 3, 20, tzinfo=UTC)

    with pytest.raises(TrainingDataError, match="one day only"):
        next(days_from_database(stored, until, SYMBOL, within_day=False))
    assert next(days_from_database(stored, None, SYMBOL, within_day=False))


def test_progress_is_told_in_rows(rows, stored):
    told = []
    list(days_from_database(stored, symbol=SYMBOL, advance=lambda *at: told.append(at)))

    assert told == [(len(rows) // 2, len(rows)), (len(rows), len(rows))]


def test_a_symbol_without_history_is_refused(stored):
    with pytest.raises(TrainingDataError, match="holds no smile"):
        list(days_from_database(stored, symbol="NOBODY"))


def test_a_history_of_several_sources_is_refused_until_one_is_chosen(rows, database_url):
    half = len(rows) // 2
    store(database_url, rows[:half], symbol="MIXED", source="live")
    store(database_url, rows[half:], symbol="MIXED")

    with pytest.raises(TrainingDataError, match="the history of MIXED mixes live and simulated "
                                                "quotes; choose one by --source"):
        next(days_from_database(database_url, symbol="MIXED"))
    for source, place in (("live", 0), ("simulated", 1)):
        day, = days_from_database(database_url, symbol="MIXED", source=source)
        assert {one for series in day for one in series.day} == {
            (BEGIN + timedelta(days=place)).date()}


def test_rows_without_a_smile_from_delayed_quotes_are_part_of_a_live_history(rows, database_url):
    nothing = {"grid_vol": [None] * 17, "atm_vol": None, "forward": None, "reason": "delayed"}
    store(database_url, rows[:4], symbol="LATE", source="live")
    store(database_url, rows[4:6], symbol="LATE", source="delayed", **nothing)

    for source in (None, "live"):
        day, = days_from_database(database_url, symbol="LATE", source=source)
        assert [np.isfinite(series.atm_vol).tolist() for series in day] == [[True, True, False]] * 2


def test_rows_of_another_version_of_the_features_are_passed_over(rows, database_url):
    store(database_url, rows[:4], symbol="OLD")
    store(database_url, rows[4:6], symbol="OLD", features=[0.1] * 12)

    day, = days_from_database(database_url, symbol="OLD")
    assert [len(series.at) for series in day] == [2, 2]


def test_a_database_that_is_away_is_one_sentence():
    with pytest.raises(UnavailableError, match="the history can't be read from the database: "):
        next(days_from_database("postgresql://nobody@127.0.0.1:9/none"))


def test_too_little_in_the_table_is_one_sentence_and_exit_code_2(stored, monkeypatch, capsys):
    monkeypatch.setenv("SMILE_DATABASE_URL", stored)

    assert train.main(["--from-database", "--symbol", SYMBOL, "--within-day"]) == 2
    assert "error: too little history" in capsys.readouterr().err
