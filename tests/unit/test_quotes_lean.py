"""Importing Lean's minute bars: what was known when, and nothing lost."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes.lean import import_lean

CALL = "20151224_goog_minute_quote_american_call_7500000_20151231.csv"
PUT = "20151224_goog_minute_quote_american_put_7425000_20160115.csv"
HALF_PAST_NINE = 34_200_000
BOTH = "{ms},30000,31000,29000,30500,10,32000,33000,31000,32500,20"
NO_BID = "{ms},,,,,0,5000,5000,5000,5000,19"


def bar(shape: str, minute: int) -> str:
    return shape.format(ms=HALF_PAST_NINE + 60_000 * minute)


def make_zip(path: Path, **members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


@pytest.fixture
def lean(tmp_path: Path) -> Path:
    chain = {CALL: f"{bar(BOTH, 0)}\n\n{bar(NO_BID, 1)}\n", PUT: bar(BOTH, 1)}
    make_zip(tmp_path / "20151224_quote_american.zip", **chain)
    underlying = [f"{HALF_PAST_NINE + 60_000 * minute},1,1,1,{7_480_000 + minute},5,1,1,1,7490000,6"
                  for minute in (1, 0, 2)]
    make_zip(tmp_path / "underlying_20151224_quote.zip",
             **{"20151224_goog_minute_quote.csv": "\n".join(underlying)})
    return tmp_path


def test_a_bar_is_known_when_it_is_over_at_its_close(lean: Path) -> None:
    quotes = import_lean(lean)
    assert len(quotes) == 3
    first = quotes.iloc[0]
    assert first["ts"] == pd.Timestamp("2015-12-24T14:31:00Z")
    assert (first["symbol"], str(first["expiry"]), first["strike"], first["right"]) == (
        "GOOG", "2015-12-31", 750.0, "C")
    assert (first["bid"], first["ask"], first["bid_size"], first["ask_size"]) == (
        3.05, 3.25, 10, 20)


def test_a_blank_side_is_missing_with_its_size(lean: Path) -> None:
    call = import_lean(lean).query("right == 'C'").iloc[1]
    assert np.isnan(call["bid"]) and np.isnan(call["bid_size"])
    assert (call["ask"], call["ask_size"]) == (0.5, 19)


def test_the_underlying_is_never_of_a_later_bar(lean: Path) -> None:
    quotes = import_lean(lean)
    assert list(quotes["underlying_bid"]) == [748.0, 748.0001, 748.0001]
    assert set(quotes["underlying_ask"]) == {749.0}


def test_before_the_first_bar_of_the_underlying_it_is_unknown(lean: Path) -> None:
    make_zip(lean / "underlying_20151224_quote.zip",
             **{"20151224_goog_minute_quote.csv": bar(BOTH, 1)})
    assert list(import_lean(lean)["underlying_bid"].isna()) == [True, False, False]


@pytest.mark.parametrize(("day", "utc"), [("20150306", "14:31"), ("20150309", "13:31")])
def test_summer_time_moves_the_clock(tmp_path: Path, day: str, utc: str) -> None:
    make_zip(tmp_path / f"{day}_quote_american.zip",
             **{CALL.replace("20151224", day, 1): bar(BOTH, 0)})
    make_zip(tmp_path / f"underlying_{day}_quote.zip", **{"u.csv": bar(BOTH, 0)})
    assert import_lean(tmp_path)["ts"].iat[0].strftime("%H:%M") == utc


@pytest.mark.parametrize(("member", "text", "said"), [
    ("readme.csv", bar(BOTH, 0), "'readme.csv' is not the name"),
    (CALL, f"{bar(BOTH, 0)}\n34260000,dear,,,,,,,,,", f"{CALL}, line 2"),
    (CALL, "34200000,1,2,3", f"{CALL}, line 1"),
    (CALL.replace("20151231", "20151331"), bar(BOTH, 0), "20151331 is not a date"),
    (CALL.replace("20151224", "20151223"), bar(BOTH, 0), "holds bars of 2015-12-23"),
    (CALL, "\n", "holds no quotes"),
])
def test_what_is_not_leans_is_named(lean: Path, member: str, text: str, said: str) -> None:
    make_zip(lean / "20151224_quote_american.zip", **{member: text})
    with pytest.raises(QuotesFileError, match=r"20151224_quote_american\.zip") as caught:
        import_lean(lean)
    assert said in str(caught.value)


def test_missing_and_broken_files_are_named(lean: Path, tmp_path: Path) -> None:
    (lean / "underlying_20151224_quote.zip").unlink()
    with pytest.raises(QuotesFileError, match=r"underlying_20151224_quote\.zip: not a readable"):
        import_lean(lean)
    (lean / "20151224_quote_american.zip").write_bytes(b"no zip")
    with pytest.raises(QuotesFileError, match="not a readable zip"):
        import_lean(lean)
    with pytest.raises(QuotesFileError, match="no Lean option quotes"):
        import_lean(tmp_path / "nowhere")


def test_every_bar_of_the_real_half_day_comes_out_once(shared_data: Path) -> None:
    folder = shared_data / "lean_goog_2015-12-24"
    quotes = import_lean(folder)
    lines = bid_sum = 0
    with zipfile.ZipFile(folder / "20151224_quote_american.zip") as archive:
        for name in archive.namelist():
            for line in archive.read(name).decode().split():
                lines += 1
                bid_sum += int(line.split(",")[4] or 0)
    assert len(quotes) == lines == 275_552
    assert round(quotes["bid"].sum() * 10_000) == bid_sum
    assert quotes["expiry"].nunique() == 12 and not quotes["underlying_bid"].isna().any()
