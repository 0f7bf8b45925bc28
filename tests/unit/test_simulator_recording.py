"""A recording played as a market: the file's quotes at the file's time."""

from datetime import date

import numpy as np
import pytest

from ml.errors import QuotesFileError
from ml.quotes.format import read_quotes, write_quotes
from services.simulator.catalogue import Catalogue
from services.simulator.clock import MarketClock
from services.simulator.errors import SimulatorError
from services.simulator.feed import Option
from services.simulator.history import history_frame
from services.simulator.market import SyntheticMarket
from services.simulator.protocol import ContractSpec
from services.simulator.recording import Recording

START = 1_795_446_000  # 2026-11-23 15:00 UTC


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frame = history_frame(SyntheticMarket(7), np.arange(START, START + 600, 60), expiries=2)
    path = tmp_path_factory.mktemp("recording") / "quotes.parquet"
    write_quotes(frame, path)
    return path


def test_shows_each_contracts_latest_row(path):
    recording, frame = Recording(path), read_quotes(path)
    ladder = frame[(frame["ts"] == frame["ts"].iloc[0]) & (frame["right"] == "P")
                   & (frame["expiry"] == date(2026, 11, 24))]
    batch = recording.batch([Option("SPY", date(2026, 11, 24), strike, False)
                             for strike in ladder["strike"]])
    for step in (START, START + 59):
        quotes = batch.quotes(np.array(step))
        np.testing.assert_array_equal(quotes.bid, ladder["bid"])
        np.testing.assert_array_equal(quotes.open_interest, ladder["open_interest"])
    assert not np.array_equal(batch.quotes(np.array(START + 60)).bid, ladder["bid"])
    assert np.isnan(batch.quotes(np.array(START - 1)).bid).all()
    assert batch.quotes(np.array([START, START + 60])).bid.shape == (2, len(ladder))
    assert np.isnan(batch.greeks(np.array(START)).iv).all()


def test_the_underlying_is_the_files(path):
    recording, frame = Recording(path), read_quotes(path)
    stock = recording.stock("SPY", np.array([START, START + 300]))
    assert stock.bid[0] == frame["underlying_bid"].iloc[0]
    assert stock.ask[1] == frame.loc[frame["ts"].astype("int64") == (START + 300) * 10**6,
                                     "underlying_ask"].iloc[0]


def test_contracts_are_those_of_the_file(path):
    recording = Recording(path)
    catalogue = Catalogue(recording)
    found = catalogue.find(ContractSpec(symbol="SPY", sec_type="OPT", expiry="20261124"), START)
    frame = read_quotes(path)
    assert len(found) == 2 * frame[frame["expiry"] == date(2026, 11, 24)]["strike"].nunique()
    assert recording.expiries("SPY", START) == [date(2026, 11, 23), date(2026, 11, 24)]
    assert recording.expiries("SPY", START + 8 * 3600) == [date(2026, 11, 24)]
    assert recording.begins() == START


def test_an_unlisted_option_has_no_quotes(path):
    batch = Recording(path).batch([Option("SPY", date(2026, 11, 24), 5.0, True)])
    assert np.isnan(batch.quotes(np.array(START)).bid).all()


def test_what_is_no_recording_is_refused(path, tmp_path):
    with pytest.raises(QuotesFileError, match="no such file"):
        Recording(tmp_path / "none.parquet")
    write_quotes(read_quotes(path).iloc[:0], tmp_path / "empty.parquet")
    with pytest.raises(SimulatorError, match="holds no quotes"):
        Recording(tmp_path / "empty.parquet")


def test_market_time_stands_until_the_first_client_and_runs_at_its_speed():
    wall = [100.0]
    clock = MarketClock(float(START), 60.0, monotonic=lambda: wall[0])
    wall[0] += 5
    assert clock.now() == START
    clock.start()
    wall[0] += 2
    clock.start()
    assert clock.now() == START + 120
