"""The quotes file: what is written is read back, and what is wrong is refused by its place."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import QuotesFileError
from ml.quotes import columns
from ml.quotes.format import COLUMNS, iter_chains, order_quotes, read_quotes, write_quotes
from services.common import messages
from tests.unit.quotes_data import FAR, NEAR, T0, T1, quotes_frame


@pytest.mark.parametrize("name", ["q.parquet", "q.csv", "q.csv.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    frame = quotes_frame(volume=[1, 2, 3, 4, 5, None], settlement="AM")
    write_quotes(frame, tmp_path / name)
    read = read_quotes(tmp_path / name)
    pd.testing.assert_frame_equal(read, order_quotes(frame, "memory"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_rows_come_in_order_of_the_key_with_one_type_per_column(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    read = read_quotes(tmp_path / "q.parquet")
    keys = list(read[["ts", "symbol", "expiry", "strike", "right"]].itertuples(index=False))
    assert keys == sorted(keys)
    assert list(read.columns) == list(COLUMNS[:11])
    assert str(read["ts"].dtype) == "datetime64[us, UTC]"
    assert {str(read[name].dtype) for name in ("symbol", "expiry", "right")} == {"category"}
    assert read["expiry"].iat[0] == NEAR and (read["expiry"] == FAR).sum() == 3
    assert read["ask_size"].dtype == np.float64 and list(read.index) == list(range(6))


def test_crossed_and_absurd_quotes_are_data() -> None:
    quotes = order_quotes(quotes_frame(bid=1e9, ask=-5.0), "memory")
    assert (quotes["bid"] == 1e9).all() and (quotes["ask"] == -5.0).all()


def test_other_time_zones_become_utc() -> None:
    local = [time.tz_convert("America/New_York") for time in quotes_frame()["ts"]]
    assert order_quotes(quotes_frame(ts=local), "memory")["ts"].iat[0] == T0


@pytest.mark.parametrize(("changed", "said"), [
    ({"strike": [1.0, 2.0, np.inf, 4.0, 5.0, 6.0]}, "column `strike`, row 3 is 'inf'"),
    ({"strike": [1.0, 2.0, 3.0, -4.0, 5.0, 6.0]}, "column `strike`, row 4 is '-4.0'"),
    ({"strike": [1.0, None, 3.0, -4.0, 5.0, 6.0]}, "column `strike`, row 2 is empty"),
    ({"right": ["C", "P", "C", "P", "X", "P"]}, "column `right`, row 5 is 'X': a right is C or P"),
    ({"right": ["C", None, "C", "P", "C", "P"]}, "column `right`, row 2 is empty"),
    ({"bid": [1, 2, 3, "dear", 5, 6]}, "column `bid`, row 4 is 'dear': not a number"),
    ({"ask": [1, 2, 3, 4, np.inf, 6]}, "column `ask`, row 5 is 'inf'"),
    ({"expiry": [NEAR, NEAR, "2015-13-01", FAR, FAR, FAR]}, "column `expiry`, row 3"),
    ({"symbol": ["GOOG"] * 5 + [""]}, "column `symbol`, row 6"),
    ({"symbol": ["GOOG"] * 4 + ["GO\0OG", "GOOG"]}, "column `symbol`, row 5 is 'GO\\x00OG': a "
     "symbol has 1 to 64 characters, none of them NUL"),
    ({"symbol": ["G" * 65] * 6}, f"row 1 is '{'G' * 65}': a symbol has 1 to 64"),
    ({"symbol": ["GOOG"] * 2 + [["GOOG", "GOOGL"]] * 4}, "column `symbol`, row 3 is "
     "\"['GOOG', 'GOOGL']\": not a single value"),
    ({"right": [["C"]] * 6}, "column `right`, row 1 is \"['C']\": not a single value"),
    ({"expiry": [{"day": 1}] * 6}, "column `expiry`, row 1 is \"{'day': 1}\": not a single"),
    ({"ts": [[]] * 6}, "column `ts`, row 1 is '[]': not a single value"),
    ({"bid": [[1.0, 2.0]] * 6}, "column `bid`, row 1 is '[1.0, 2.0]': not a number"),
    ({"ts": T0.tz_localize(None)}, "column `ts` has no time zone"),
    ({"ts": [f"{T0.isoformat()}"] * 5 + ["2015-12-24 14:32"]}, "`ts`, row 6 is '2015-12-24 14:32'"
     ": no time zone"),
    ({"ts": ["soonZ"] * 6}, "column `ts`, row 1 is 'soonZ': not an ISO time"),
    ({"ts": [f"{T0.isoformat()}"] * 4 + ["0001-01-01T00:00:00Z", f"{T1.isoformat()}"]},
     "column `ts`, row 5 is '0001-01-01T00:00:00Z': must be from 1970-01-01 to before 2200-01-01"),
    ({"ts": ["1969-12-31T23:59:59Z"] * 6}, "column `ts`, row 1 is '1969-12-31T23:59:59Z': must"),
    ({"ts": pd.Timestamp("2200-01-01T00:00:00Z")}, "column `ts`, row 1 is '2200-01-01 00:00"),
    ({"ts": pd.Series([T0.to_datetime64()] * 5 + [np.datetime64("0001-01-01", "us")])
      .astype("datetime64[us]").dt.tz_localize("UTC")}, "column `ts`, row 6 is '0001-01-01"),
    ({"expiry": [NEAR, date(1, 1, 1), NEAR, FAR, FAR, FAR]}, "column `expiry`, row 2 is "
     "'0001-01-01': must be from 1970-01-01 to before 2200-01-01"),
    ({"expiry": ["9999-12-31"] * 6}, "column `expiry`, row 1 is '9999-12-31': must be from"),
    ({"quote_time": T0.tz_localize(None)}, "column `quote_time` has no time zone"),
    ({"quote_time": [None, "soonZ"] * 3}, "column `quote_time`, row 2 is 'soonZ': not an ISO"),
    ({"quote_time": [None, "1066-10-14T09:00:00Z"] * 3}, "column `quote_time`, row 2 is '1066-10"),
    ({"quote_time": [None, "2015-12-24T09:00:00"] * 3}, "row 2 is '2015-12-24T09:00:00': no time"),
    ({"ts": [T0] * 5 + [None]}, "column `ts`, row 6 is empty: every row needs its time"),
    ({"ts": [T0.isoformat()] * 5 + [None]}, "column `ts`, row 6 is empty: every row needs"),
    ({"settlement": ["AM", "PM"] * 3}, "GOOG 2015-12-31 is both AM and PM"),
    ({"settlement": "noon"}, "column `settlement`, row 1 is 'noon'"),
    ({"colour": "red"}, "unknown column `colour`"),
])
def test_what_is_wrong_is_named(changed: dict[str, object], said: str) -> None:
    with pytest.raises(QuotesFileError) as caught:
        order_quotes(quotes_frame(**changed), "some.parquet")
    assert str(caught.value).startswith("some.parquet: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_bounds_of_time_are_those_of_the_messages() -> None:
    assert (columns.FIRST_DAY, columns.END_DAY) == (messages.FIRST_DAY, messages.END_DAY)


def test_rows_with_one_key_are_refused_by_name() -> None:
    frame = pd.concat([quotes_frame(), quotes_frame().iloc[[3]]], ignore_index=True)
    with pytest.raises(QuotesFileError, match=r"1 rows repeat .* GOOG 2016-01-15 700 P at 2015-12"):
        order_quotes(frame, "memory")


def test_a_missing_column_is_named_with_what_stands_in_its_place() -> None:
    frame = quotes_frame().rename(columns={"bid": "bidd"})
    with pytest.raises(QuotesFileError, match=r"column `bid` is missing .*unknown `bidd`"):
        order_quotes(frame, "memory")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("notes.txt", b"hello", "neither Parquet nor named .csv"),
    ("empty.csv", b"", "not a readable CSV file"),
    ("other.csv", b"a,b\n1,2\n", "not a quotes file"),
    ("cut.parquet", b"PAR1 and then nothing", "not a readable Parquet file"),
    ("named.parquet", b"ts,symbol\n", "neither Parquet"),
])
def test_a_file_that_is_no_quotes_file_is_refused(tmp_path: Path, name: str, content: bytes,
                                                  said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(QuotesFileError, match=said):
        read_quotes(tmp_path / name)


def test_a_file_that_is_not_there_or_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuotesFileError, match=r"none\.parquet: no such file"):
        read_quotes(tmp_path / "none.parquet")
    with pytest.raises(QuotesFileError, match="can't be read"):
        read_quotes(tmp_path)
    with pytest.raises(QuotesFileError, match="can't be written"):
        write_quotes(quotes_frame(), tmp_path / "no" / "folder.parquet")


def test_a_symbol_named_na_survives_csv(tmp_path: Path) -> None:
    write_quotes(quotes_frame(symbol="NA"), tmp_path / "q.csv")
    assert set(read_quotes(tmp_path / "q.csv")["symbol"]) == {"NA"}


def test_chains_come_one_per_instant_and_expiry_in_time_order() -> None:
    chains = list(iter_chains(order_quotes(quotes_frame(), "memory")))
    assert [(chain.at, chain.expiry) for chain in chains] == [
        (T0, NEAR), (T0, FAR), (T1, NEAR), (T1, FAR)]
    first = chains[0]
    assert (first.symbol, first.settlement, first.underlying) == ("GOOG", "PM", 748.5)
    assert first.at == datetime(2015, 12, 24, 14, 31, tzinfo=UTC) and type(first.at) is datetime
    assert list(first.strike) == [750, 750] and list(first.is_call) == [True, False]
    assert list(first.bid) == [3.0, 4.0] and not first.quote_age_s.any()
    assert np.isnan(chains[1].bid[0]) and np.isnan(chains[1].ask[1])


def test_an_underlying_with_one_side_only_is_unknown() -> None:
    frame = order_quotes(quotes_frame(underlying_bid=np.nan), "memory")
    assert all(np.isnan(chain.underlying) for chain in iter_chains(frame))


def test_a_quote_s_age_counts_from_its_own_time() -> None:
    times = [T1, T0, T0 - pd.Timedelta(seconds=90), None, T0, T0]
    chains = list(iter_chains(order_quotes(quotes_frame(quote_time=times), "memory")))
    assert [list(chain.quote_age_s) for chain in chains[:1] + chains[2:]] == [
        [90.0, 0.0], [0.0], [60.0]]
    assert list(chains[1].quote_age_s) == pytest.approx([np.nan, 0.0], nan_ok=True)


@pytest.mark.parametrize("name", ["q.parquet", "q.csv"])
@pytest.mark.parametrize("times", [[T0, T0, None, T1, T0, None], [None] * 6],
                         ids=["some unknown", "all unknown"])
def test_quotes_keep_their_own_times(tmp_path: Path, name: str, times: list[object]) -> None:
    frame = order_quotes(quotes_frame(quote_time=times), "memory")
    write_quotes(frame, tmp_path / name)
    read = read_quotes(tmp_path / name)
    pd.testing.assert_series_equal(read["quote_time"], frame["quote_time"])
    assert str(read["quote_time"].dtype) == "datetime64[us, UTC]"


def test_no_quotes_make_no_chains(tmp_path: Path) -> None:
    write_quotes(quotes_frame().iloc[:0], tmp_path / "q.csv")
    assert list(iter_chains(read_quotes(tmp_path / "q.csv"))) == []


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 4),
                         st.sampled_from("CP")), min_size=1))
def test_chains_hold_each_quote_once(keys: set[tuple[int, int, int, str]]) -> None:
    rows = [(T0 + pd.Timedelta(minutes=at), date(2016, 1, 1 + day), float(strike), right)
            for at, day, strike, right in keys]
    frame = pd.DataFrame(rows, columns=["ts", "expiry", "strike", "right"]).assign(
        symbol="X", bid=1.0, ask=2.0, bid_size=1, ask_size=1, underlying_bid=1.0,
        underlying_ask=1.0)
    chains = list(iter_chains(order_quotes(frame, "memory")))
    got = [(chain.at, chain.expiry, strike, "C" if call else "P") for chain in chains
           for strike, call in zip(chain.strike, chain.is_call, strict=True)]
    assert got == sorted(rows)


def test_a_part_of_a_frame_is_read_as_pandas_writes_it(tmp_path: Path) -> None:
    """With the numbers that its rows had in the whole."""
    part = quotes_frame().iloc[[0, 2, 3]]
    part.to_parquet(tmp_path / "part.parquet")
    part.reset_index(drop=True).to_parquet(tmp_path / "same.parquet")

    read = read_quotes(tmp_path / "part.parquet")
    assert "__index_level_0__" in pq.ParquetFile(tmp_path / "part.parquet").schema.names
    pd.testing.assert_frame_equal(read, read_quotes(tmp_path / "same.parquet"))
