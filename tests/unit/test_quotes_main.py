"""The command line of quotes files."""

from pathlib import Path

import pandas as pd
import pytest

from ml.quotes.__main__ import describe, main
from ml.quotes.format import order_quotes, read_quotes, write_quotes
from tests.unit.quotes_data import T0, T1, quotes_frame
from tests.unit.test_quotes_snapshot import make_snapshot


def test_import_counts_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "q.parquet"
    assert main(["import", "snapshot", str(make_snapshot(tmp_path)), "-o", str(out)]) == 0
    assert "2 quotes" in capsys.readouterr().out and len(read_quotes(out)) == 2


def test_info_says_what_a_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    assert main(["info", str(tmp_path / "q.parquet")]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["symbols"] == "GOOG" and said["rows"] == "6" and said["two-sided"] == "66.7%"
    assert said["expiries"] == "2, 2015-12-31 to 2016-01-15"
    assert said["instants"].startswith("2, 2015-12-24T14:31:00+00:00 to")
    assert said["age"] == "every quote as new as its row"


def test_info_tells_how_long_quotes_have_stood() -> None:
    times = [T1, T0 - pd.Timedelta(seconds=60), T0, None, T0, T0]
    quotes = order_quotes(quotes_frame(quote_time=times), "memory")
    assert describe(quotes)["age"] == "median 0 s, 95 % at most 60 s"
    nothing = order_quotes(quotes_frame(quote_time=[None] * 6), "memory")
    assert describe(nothing)["age"] == "unknown"


def test_info_of_no_quotes_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_quotes(quotes_frame().iloc[:0], tmp_path / "q.parquet")
    assert main(["info", str(tmp_path / "q.parquet")]) == 0
    assert "symbols    none" in capsys.readouterr().out


def test_a_column_of_lists_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quotes_frame(symbol=[["GOOG", "GOOGL"]] * 6).to_parquet(tmp_path / "q.parquet")
    assert main(["info", str(tmp_path / "q.parquet")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/q.parquet: column `symbol`, row 1 is ")
    assert said.endswith(": not a single value\n") and "Traceback" not in said


def test_convert_keeps_every_quote(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    assert main(["convert", str(tmp_path / "q.parquet"), str(tmp_path / "q.csv")]) == 0
    assert read_quotes(tmp_path / "q.csv").equals(read_quotes(tmp_path / "q.parquet"))


def test_a_mistake_is_one_sentence_and_exit_code_2(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "none.parquet")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/none.parquet: no such file\n"
