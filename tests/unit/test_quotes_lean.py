"""Importing Lean's minute bars: what was known when, and nothing lost."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes.format import iter_chains
from ml.quotes.lean import import_lean, parse_name

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


def contract(folder: Path, right: str) -> pd.DataFrame:
    return import_lean(folder).query(f"right == '{right}'").reset_index(drop=True)


def times(*minutes: int | None) -> list[pd.Timestamp]:
    return [pd.NaT if minute is None else
            pd.Timestamp("2015-12-24T14:31:00Z") + pd.Timedelta(minutes=minute)
            for minute in minutes]


def test_a_blank_side_stands_as_it_was_and_the_quote_is_as_new_as_the_other(lean: Path) -> None:
    call = contract(lean, "C").iloc[1]
    assert (call["bid"], call["bid_size"]) == (3.05, 10)
    assert (call["ask"], call["ask_size"]) == (0.5, 19)
    assert call["quote_time"] == call["ts"]


def test_a_side_never_quoted_is_missing_with_its_size(lean: Path) -> None:
    make_zip(lean / "20151224_quote_american.zip",
             **{CALL: f"{bar(NO_BID, 0)}\n{bar(NO_BID, 1)}"})
    quotes = import_lean(lean)
    assert len(quotes) == 2
    assert quotes[["bid", "bid_size"]].isna().all(axis=None)


def test_a_quote_stands_through_minutes_without_a_bar_of_its_own(lean: Path) -> None:
    make_zip(lean / "20151224_quote_american.zip",
             **{CALL: f"{bar(BOTH, 0)}\n{bar(BOTH, 5)}", PUT: bar(BOTH, 3)})
    call, put = contract(lean, "C"), contract(lean, "P")
    # The underlying has bars in the minutes 0, 1 and 2, and nothing happens in minute 4.
    assert list(call["ts"]) == times(0, 1, 2, 3, 5)
    assert list(call["quote_time"]) == times(0, 0, 0, 0, 5)
    assert list(call["bid"]) == [3.05] * 5
    assert list(put["ts"]) == times(3, 5) and list(put["quote_time"]) == times(3, 3)


def test_no_quote_stands_after_the_last_bar_of_an_option(lean: Path) -> None:
    make_zip(lean / "20151224_quote_american.zip", **{CALL: bar(BOTH, 0), PUT: bar(BOTH, 1)})
    # The underlying is still quoted in minute 2, as shares are after the options' close.
    assert import_lean(lean)["ts"].max() == times(1)[0]


def test_a_bar_without_any_quote_tells_no_time(lean: Path) -> None:
    empty = f"{HALF_PAST_NINE},,,,,0,,,,,0"
    make_zip(lean / "20151224_quote_american.zip", **{CALL: f"{empty}\n{bar(BOTH, 1)}"})
    quotes = import_lean(lean)
    assert list(quotes["quote_time"]) == times(None, 1)
    assert [np.isnan(chain.quote_age_s[0]) for chain in iter_chains(quotes)] == [True, False]


def test_nothing_stands_over_night(lean: Path) -> None:
    for path in list(lean.iterdir()):
        path.with_name(path.name.replace("20151224", "20151228")).write_bytes(path.read_bytes())
    make_zip(lean / "20151228_quote_american.zip",
             **{PUT.replace("20151224", "20151228", 1): bar(BOTH, 1)})
    quotes = import_lean(lean)
    assert list(quotes.loc[quotes["ts"] > times(1440)[0], "right"]) == ["P"]


def test_bars_out_of_order_are_taken_by_their_time(lean: Path) -> None:
    make_zip(lean / "20151224_quote_american.zip", **{CALL: f"{bar(NO_BID, 2)}\n{bar(BOTH, 0)}"})
    call = contract(lean, "C")
    assert list(call["ask"]) == [3.25, 3.25, 0.5]
    assert list(call["quote_time"]) == times(0, 0, 2)


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


@pytest.fixture(scope="module")
def half_day(shared_data: Path) -> pd.DataFrame:
    return import_lean(shared_data / "lean_goog_2015-12-24")


def test_every_bar_of_the_real_half_day_comes_out_once_among_the_standing_quotes(
        shared_data: Path, half_day: pd.DataFrame) -> None:
    key = ["ts", "expiry", "strike", "right"]
    quotes = half_day.set_index(key)
    bars = {}
    with zipfile.ZipFile(shared_data / "lean_goog_2015-12-24/20151224_quote_american.zip") as zip:
        for name in zip.namelist():
            where = parse_name(name, "the half day")
            for line in zip.read(name).decode().split():
                start, *values = (float(value or "nan") for value in line.split(","))
                at = pd.Timestamp("2015-12-24T05:01:00Z") + pd.Timedelta(milliseconds=start)
                bars[at, where.expiry, where.strike, where.right] = values[3], values[8]
    assert len(bars) == 275_552 and len(quotes) == 462_454
    found = quotes.loc[list(bars), ["bid", "ask", "quote_time"]]
    quoted = np.array(list(bars.values())) / 10_000
    known = np.isfinite(quoted)
    assert (np.where(known, found[["bid", "ask"]], 0) == np.where(known, quoted, 0)).all()
    fresh = known.any(axis=1)
    assert (found["quote_time"][fresh] == found.index.get_level_values("ts")[fresh]).all()
    assert (quotes["quote_time"] == quotes.index.get_level_values("ts")).sum() == fresh.sum()


def test_quotes_of_the_real_half_day_stand_whole(half_day: pd.DataFrame) -> None:
    assert half_day["expiry"].nunique() == 12 and not half_day["underlying_bid"].isna().any()
    assert half_day.groupby("ts").size().is_monotonic_increasing
    # A bid carried too far would some time meet an ask below it.
    assert not (half_day["bid"] > half_day["ask"]).any()
