"""Importing a snapshot of a chain."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes.snapshot import import_snapshot

META = {"utc": "2026-08-14T15:38:38.726610+00:00", "tickers": {"SPY": {"spot_live": 776.25}}}
CSV = """expiry,type,strike,bid,ask,volume,openInterest,spot
2026-08-14,C,500.0,274.65,277.99,29.0,42.0,777.88
2026-08-14,P,500.0,0.0,0.01,,,777.88
"""


def make_snapshot(folder: Path, meta: object = META, csv: str = CSV) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "SPY.csv.gz").write_bytes(gzip.compress(csv.encode()))
    return folder


def test_the_moment_and_the_underlying_are_those_of_the_description(tmp_path: Path) -> None:
    quotes = import_snapshot(make_snapshot(tmp_path))
    assert set(quotes["ts"]) == {pd.Timestamp(META["utc"])}
    assert set(quotes["underlying_bid"]) == set(quotes["underlying_ask"]) == {776.25}
    assert list(quotes["volume"].fillna(-1)) == [29.0, -1] and len(quotes) == 2


def test_a_zero_price_is_no_quote(tmp_path: Path) -> None:
    put = import_snapshot(make_snapshot(tmp_path)).iloc[1]
    assert np.isnan(put["bid"]) and put["ask"] == 0.01


@pytest.mark.parametrize(("meta", "csv", "said"), [
    ({"utc": META["utc"], "tickers": {}}, CSV, "meta.json: 'SPY' is missing"),
    ({**META, "utc": "soon"}, CSV, "meta.json: not a snapshot's description"),
    ({**META, "utc": "2026-08-14T15:38"}, CSV, "has no time zone"),
    ([], CSV, "not a snapshot's description"),
    (META, "expiry,type\n", "SPY.csv.gz: column `strike` is missing"),
    (META, CSV.replace("C", "X"), "column `right`"),
])
def test_what_is_wrong_is_named(tmp_path: Path, meta: object, csv: str, said: str) -> None:
    with pytest.raises(QuotesFileError) as caught:
        import_snapshot(make_snapshot(tmp_path, meta, csv))
    assert said in str(caught.value)


def test_a_folder_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuotesFileError, match=r"a meta\.json is missing"):
        import_snapshot(tmp_path)
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(QuotesFileError, match="no chain"):
        import_snapshot(tmp_path)


def test_every_quote_of_the_real_snapshots_comes_out_once(shared_data: Path) -> None:
    folder = shared_data / "spy_chain_2026-08"
    raw = [pd.read_csv(path) for path in folder.glob("*/SPY.csv.gz")]
    quotes = import_snapshot(folder)
    assert len(quotes) == sum(map(len, raw)) > 10_000
    assert quotes["bid"].sum() == pytest.approx(sum(frame["bid"].sum() for frame in raw))
