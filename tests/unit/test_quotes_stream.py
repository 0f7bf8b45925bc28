"""A quotes file read instant by instant."""

from pathlib import Path

import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes import format as quotes_format
from ml.quotes.format import order_quotes, read_quotes, write_quotes
from ml.quotes.stream import iter_instants
from tests.unit.quotes_data import quotes_frame


@pytest.fixture
def many() -> pd.DataFrame:
    """Five instants of three quotes."""
    frame = quotes_frame()
    later = [frame[frame["ts"] == frame["ts"].min()].iloc[:3].assign(
        ts=frame["ts"].min() + pd.Timedelta(minutes=at)) for at in range(5)]
    return order_quotes(pd.concat(later, ignore_index=True), "memory")


@pytest.mark.parametrize("name", ["q.parquet", "q.csv"])
@pytest.mark.parametrize("group", [1, 2, 4, 100])
def test_instants_are_whole_whatever_the_row_groups(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: pd.DataFrame, name: str,
        group: int) -> None:
    monkeypatch.setattr(quotes_format, "ROW_GROUP", group)
    write_quotes(many, tmp_path / name)
    instants = list(iter_instants(tmp_path / name))
    assert [len(frame) for frame in instants] == [3] * 5
    whole = read_quotes(tmp_path / name)
    joined = pd.concat(instants, ignore_index=True).astype(whole.dtypes)
    pd.testing.assert_frame_equal(joined, whole)


def test_a_parquet_file_out_of_order_is_put_in_order(tmp_path: Path, many: pd.DataFrame) -> None:
    many.iloc[::-1].to_parquet(tmp_path / "q.parquet", row_group_size=4)
    times = [frame["ts"].iat[0] for frame in iter_instants(tmp_path / "q.parquet")]
    assert times == sorted(set(many["ts"]))


def test_a_bad_row_in_a_later_group_is_named_by_its_place(
        tmp_path: Path, many: pd.DataFrame) -> None:
    many.loc[10, "strike"] = -1.0
    many.to_parquet(tmp_path / "q.parquet", row_group_size=4)
    with pytest.raises(QuotesFileError, match=r"column `strike`, row 11 is '-1.0'"):
        list(iter_instants(tmp_path / "q.parquet"))


@pytest.mark.parametrize("name", ["q.parquet", "q.csv"])
def test_a_file_without_quotes_is_refused(tmp_path: Path, name: str) -> None:
    write_quotes(quotes_frame().iloc[:0], tmp_path / name)
    with pytest.raises(QuotesFileError, match=rf"{name}: the file holds no quotes"):
        next(iter_instants(tmp_path / name))


def test_a_file_without_times_is_refused(tmp_path: Path, many: pd.DataFrame) -> None:
    many.drop(columns="ts").to_parquet(tmp_path / "q.parquet")
    with pytest.raises(QuotesFileError, match="column `ts` is missing"):
        list(iter_instants(tmp_path / "q.parquet"))
