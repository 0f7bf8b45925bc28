"""Quotes from whatever holds them: a quotes file, a Lean folder or a snapshot folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from ml.errors import QuotesFileError
from ml.quotes.format import read_quotes
from ml.quotes.lean import CHAIN_ZIP, import_lean
from ml.quotes.snapshot import import_snapshot

KNOWN = ("a quotes file (Parquet or CSV), a Lean folder (20151224_quote_american.zip) "
         "or a snapshot folder (SPY.csv.gz beside meta.json)")
QUOTES_FILES = (".parquet", ".csv", ".csv.gz")
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


def expand(path: str | Path) -> list[Path]:
    """The sources in a path: of a folder of days all that lie in it or in folders of it, by name;
    anything else is itself. Files that are no quotes are passed over.

    Raises:
        QuotesFileError: a folder without quotes.
    """
    path = Path(path)
    found = list(_sources(path)) if path.is_dir() else [path]
    if not found:
        raise QuotesFileError(f"{path}: a folder without quotes; known are {KNOWN}")
    return found


def _sources(folder: Path) -> Iterator[Path]:
    if _folder_readers(folder):
        yield folder
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith(QUOTES_FILES):
            yield entry


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
    readers = _folder_readers(folder)
    if len(readers) > 1:
        raise QuotesFileError(f"{folder}: holds {' and '.join(readers)}; give a folder of one kind")
    if not readers:
        raise QuotesFileError(f"{folder}: a folder without known quotes{_hint(folder, names)}; "
                              f"known are {KNOWN}")
    return next(iter(readers.values()))


def _folder_readers(folder: Path) -> dict[str, Reader]:
    """What a folder holds that is read as a whole, and by what."""
    names = [entry.name for entry in folder.iterdir()]
    readers: dict[str, Reader] = {}
    if any(CHAIN_ZIP.fullmatch(name) for name in names):
        readers["Lean's zips"] = import_lean
    if any((folder / name / "meta.json").is_file() for name in names) or "meta.json" in names:
        readers["a snapshot's meta.json"] = import_snapshot
    return readers


def _hint(folder: Path, names: list[str]) -> str:
    files = sorted(name for name in names if name.endswith((".parquet", ".csv")))
    return f" (give the file itself, such as {folder / files[0]})" if files else ""
