"""Quotes of any source are recognised by what the source holds."""

from pathlib import Path

import pytest

from ml.errors import QuotesFileError
from ml.quotes.format import write_quotes
from ml.quotes.source import load
from tests.unit.quotes_data import quotes_frame
from tests.unit.test_quotes_lean import BOTH, CALL, bar, make_zip
from tests.unit.test_quotes_snapshot import make_snapshot


def make_lean(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    make_zip(folder / "20151224_quote_american.zip", **{CALL: bar(BOTH, 0)})
    make_zip(folder / "underlying_20151224_quote.zip",
             **{"20151224_goog_minute_quote.csv": bar(BOTH, 0)})
    return folder


@pytest.mark.parametrize("name", ["q.parquet", "q.csv", "q.csv.gz"])
def test_a_quotes_file_is_read(tmp_path: Path, name: str) -> None:
    write_quotes(quotes_frame(), tmp_path / name)
    assert len(load(tmp_path / name)) == 6
    assert len(load(str(tmp_path / name))) == 6


def test_a_lean_folder_is_imported(tmp_path: Path) -> None:
    assert list(load(make_lean(tmp_path))["symbol"]) == ["GOOG"]


def test_a_snapshot_and_a_folder_of_snapshots_are_imported(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "2026-08-14")
    assert len(load(tmp_path / "2026-08-14")) == 2
    assert len(load(tmp_path)) == 2


def test_a_quotes_file_beside_a_snapshot_is_still_a_quotes_file(tmp_path: Path) -> None:
    make_snapshot(tmp_path)
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    assert len(load(tmp_path / "q.parquet")) == 6


def said(path: Path) -> str:
    with pytest.raises(QuotesFileError) as refusal:
        load(path)
    text = str(refusal.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text


def test_what_is_no_source_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "no such file" in said(tmp_path / "none")
    assert "neither Parquet nor named .csv" in said(tmp_path / "notes.txt")
    assert "a folder without known quotes; known are" in said(tmp_path)


def test_a_folder_of_quotes_files_says_to_name_one(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    assert f"give the file itself, such as {tmp_path / 'q.parquet'}" in said(tmp_path)


def test_a_part_of_a_source_says_to_give_its_folder(tmp_path: Path) -> None:
    make_snapshot(tmp_path)
    assert f"give its folder, {tmp_path}" in said(tmp_path / "meta.json")
    assert f"give its folder, {tmp_path}" in said(tmp_path / "SPY.csv.gz")
    lean = make_lean(tmp_path / "lean")
    assert f"give its folder, {lean}" in said(lean / "20151224_quote_american.zip")


def test_a_folder_of_two_kinds_is_refused(tmp_path: Path) -> None:
    make_lean(tmp_path)
    make_snapshot(tmp_path / "2026-08-14")
    assert "holds Lean's zips and a snapshot's meta.json" in said(tmp_path)


def test_a_source_without_quotes_is_refused(tmp_path: Path) -> None:
    write_quotes(quotes_frame().iloc[:0], tmp_path / "q.parquet")
    assert "holds no quotes" in said(tmp_path / "q.parquet")


def test_real_sources_are_recognised(shared_data: Path) -> None:
    quotes = load(shared_data / "spy_chain_2026-08")
    assert set(quotes["symbol"]) == {"SPY"} and quotes["ts"].nunique() == 2
