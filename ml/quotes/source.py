"""Quotes from whatever holds them: a quotes file, a Lean folder or a snapshot folder."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ml.errors import QuotesFileError
from ml.quotes.format import read_quotes
from ml.quotes.lean import CHAIN_ZIP, import_lean
from ml.quotes.snapshot import import_snapshot

KNOWN = ("a quotes file (Parquet or CSV), a Lean folder (20151224_quote_american.zip) "
         "or a snapshot folder (SPY.csv.gz beside meta.json)")
Reader = Callable[[Path], pd.DataFrame]


def load(path: str | Path) -> pd.DataFrame:
    """The quotes frame of a source, recognised by what it holds; never empty.

    Raises:
        QuotesFileError: naming the source, if it is none of those known, two of them at once,
            without quotes, or wrong inside.
    """
    path = Path(path)
    try:
        quotes = _reader(path)(path)
    except PermissionError as error:
        raise QuotesFileError(f"{path}: can't be read: {error.strerror}") from error
    if quotes.empty:
        raise QuotesFileError(f"{path}: holds no quotes")
    return quotes


def _reader(path: Path) -> Reader:
    if path.is_dir():
        return _folder_reader(path)
    if _is_snapshot_part(path):
        raise QuotesFileError(f"{path}: part of a snapshot; give its folder, {path.parent}")
    if CHAIN_ZIP.fullmatch(path.name):
        raise QuotesFileError(f"{path}: part of Lean's data; give its folder, {path.parent}")
    return read_quotes


def _is_snapshot_part(path: Path) -> bool:
    chain = path.name.endswith(".csv.gz") and path.with_name("meta.json").is_file()
    return path.is_file() and (chain or path.name == "meta.json")


def _folder_reader(folder: Path) -> Reader:
    names = [entry.name for entry in folder.iterdir()]
    readers: dict[str, Reader] = {}
    if any(CHAIN_ZIP.fullmatch(name) for name in names):
        readers["Lean's zips"] = import_lean
    if any((folder / name / "meta.json").is_file() for name in names) or "meta.json" in names:
        readers["a snapshot's meta.json"] = import_snapshot
    if len(readers) > 1:
        raise QuotesFileError(f"{folder}: holds {' and '.join(readers)}; give a folder of one kind")
    if not readers:
        raise QuotesFileError(f"{folder}: a folder without known quotes{_hint(folder, names)}; "
                              f"known are {KNOWN}")
    return next(iter(readers.values()))


def _hint(folder: Path, names: list[str]) -> str:
    files = sorted(name for name in names if name.endswith((".parquet", ".csv")))
    return f" (give the file itself, such as {folder / files[0]})" if files else ""
