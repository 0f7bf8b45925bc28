import numpy as np
import pandas as pd
import pytest

from local.recording import cut, main, prepare, training_configuration
from ml import args
from ml.errors import QuotesFileError
from ml.quotes.format import read_quotes, write_quotes


def recording(instants: int, symbol: str = "GOOG") -> pd.DataFrame:
    times = pd.date_range("2026-08-03T14:00Z", periods=instants, freq="1min")
    rows = [(at, strike, right) for at in times for strike in (99.0, 100.0) for right in "CP"]
    frame = pd.DataFrame(rows, columns=["ts", "strike", "right"])
    return frame.assign(
        symbol=symbol, expiry=pd.Timestamp("2026-08-21").date(), bid=1.0, ask=1.1, bid_size=1.0,
        ask_size=1.0, underlying_bid=99.9, underlying_ask=100.1)


def test_the_halves_share_no_instant_and_lose_no_quote():
    whole = recording(10)
    history, replay = cut(whole, 0.6)
    assert len(history) + len(replay) == len(whole)
    assert history["ts"].max() < replay["ts"].min()
    assert history["ts"].nunique() == 6


@pytest.mark.parametrize("share", [0.0, 0.999, 1.0])
def test_neither_half_is_empty(share):
    assert all(len(half) for half in cut(recording(2), share))


def test_one_instant_is_no_recording():
    with pytest.raises(QuotesFileError, match="1 instants"):
        cut(recording(1))


def test_the_halves_are_written_with_the_symbol(tmp_path):
    write_quotes(recording(5), tmp_path / "all.parquet")
    assert prepare(tmp_path / "all.parquet", tmp_path / "made") == "GOOG"
    halves = [read_quotes(tmp_path / "made" / name) for name in ("history.parquet",
                                                                 "replay.parquet")]
    assert sum(map(len, halves)) == 20 and np.isfinite(halves[0]["bid"]).all()
    assert (tmp_path / "made" / "symbol.txt").read_text() == "GOOG"


def test_two_symbols_are_refused(tmp_path):
    write_quotes(pd.concat([recording(3), recording(3, "SPY")]), tmp_path / "two.parquet")
    with pytest.raises(QuotesFileError, match="2 symbols"):
        prepare(tmp_path / "two.parquet", tmp_path)


def test_a_file_that_is_no_recording_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "bad.parquet").write_bytes(b"PK not parquet")
    monkeypatch.setattr("sys.argv", ["recording", str(tmp_path / "bad.parquet"), str(tmp_path)])
    assert main() == 2
    told = capsys.readouterr().err
    assert "bad.parquet" in told and len(told.splitlines()) == 1


def test_one_day_is_split_by_time_and_trained_on_once():
    data = training_configuration(recording(127)).data
    assert data.within_day
    assert data.folds == 1


def test_several_days_are_split_by_day():
    days = [recording(5).assign(ts=lambda frame, day=day: frame["ts"] + pd.Timedelta(days=day))
            for day in range(3)]
    assert not training_configuration(pd.concat(days)).data.within_day


def test_the_configuration_can_be_read_back(tmp_path):
    write_quotes(recording(127), tmp_path / "all.parquet")
    prepare(tmp_path / "all.parquet", tmp_path)
    config = args.load(tmp_path / "train.yaml")
    assert config == training_configuration(read_quotes(tmp_path / "history.parquet"))
