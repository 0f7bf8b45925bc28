"""History from the real table is the history from the quotes file it was made of."""

from datetime import UTC, datetime
from itertools import chain

import numpy as np
import psycopg2
import pytest

from ml import train
from ml.args import DataArgs
from ml.dataset import make_samples
from ml.errors import TrainingDataError
from ml.features import instant_features
from ml.history import from_database, from_quotes
from ml.instants import Surfaces, by_instant
from ml.quotes.format import iter_chains, read_quotes, write_quotes
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
    """40 minutes of two expiries of the simulated market, under a symbol of our own."""
    start = int(BEGIN.timestamp())
    frame = history_frame(SyntheticMarket(7), np.arange(start, start + 2400, 60), expiries=2)
    path = tmp_path_factory.mktemp("quotes") / "history.parquet"
    write_quotes(frame.assign(symbol=SYMBOL), path)
    return path


@pytest.fixture(scope="module")
def stored(quotes, database_url):
    """The same, as the features stage stores it."""
    surfaces = Surfaces()
    rows = [feature_row(smile, instant_features(smile), "simulated")
            for instant in by_instant(iter_chains(read_quotes(quotes)))
            for smile in surfaces.build(instant).smiles]
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        upsert(cursor, TABLE, KEY, COLUMNS, [table_row(row) for row in rows])
    connection.close()
    return database_url


def test_training_sees_the_same_from_the_table_as_from_the_file(quotes, stored):
    by_file, by_table = from_quotes([quotes]), from_database(stored, symbol=SYMBOL)

    assert [series.at for series in by_table] == [series.at for series in by_file]
    one, two = make_samples(by_file, ARGS), make_samples(by_table, ARGS)
    assert np.array_equal(one.windows, two.windows)
    assert np.array_equal(one.change, two.change, equal_nan=True)
    for first, second in zip(chain(*(series.quotes for series in by_file)),
                             chain(*(series.quotes for series in by_table)), strict=True):
        assert first.log_moneyness == pytest.approx(second.log_moneyness)
        assert np.array_equal(first.mid_iv, second.mid_iv, equal_nan=True)


def test_nothing_later_than_until_is_read(quotes, stored):
    until = datetime(2026, 8, 3, 15, 20, tzinfo=UTC)

    for found in (from_quotes([quotes], until), from_database(stored, until, SYMBOL)):
        assert {series.at[-1] for series in found} == {until}


def test_a_symbol_without_history_is_refused(stored):
    with pytest.raises(TrainingDataError, match="holds no smile"):
        from_database(stored, symbol="NOBODY")


def test_too_little_in_the_table_is_one_sentence_and_exit_code_2(stored, monkeypatch, capsys):
    monkeypatch.setenv("SMILE_DATABASE_URL", stored)

    assert train.main(["--from-database", "--symbol", SYMBOL, "--within-day"]) == 2
    assert "error: too little history" in capsys.readouterr().err
