"""The quotes file: one row per quote of one contract at one instant, Parquet or CSV.

| column | type in the frame | meaning |
|---|---|---|
| ts | datetime64[us, UTC] | the instant at which the quote was known |
| symbol | ordered category of str | the underlying |
| expiry | ordered category of datetime.date | the expiry's date; compare with a `date` |
| strike | float64 | currency, above 0 |
| right | category C, P | call or put |
| bid, ask | float64 | currency; NaN = no quote on that side |
| bid_size, ask_size | float64 | contracts |
| underlying_bid, underlying_ask | float64 | as known at `ts` |
| volume, open_interest | float64 | optional: contracts, as known at `ts` |
| settlement | category AM, PM | optional, PM by default; one per symbol and expiry |
| quote_time | datetime64[us, UTC] | optional: when either side last changed; NaT if unknown |

Rows are in the order of ts, symbol, expiry, strike, right, which are the key: no two rows share
it. The index is 0, 1, 2 … Crossed or absurd quotes are data and stay; the quote filter judges
them. A row takes about 80 bytes in memory, so ten million are 0.8 GB.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.errors import QuotesFileError
from ml.quotes.columns import COLUMNS, KEY, OPTIONAL, REQUIRED, convert
from ml.types import Bools, ChainQuotes, Floats

__all__ = ["COLUMNS", "KEY", "OPTIONAL", "REQUIRED", "iter_chains", "order_quotes",
           "read_quotes", "write_quotes"]

MAGIC = b"PAR1"
CSV_SUFFIXES = (".csv", ".csv.gz")
CSV_CHUNK = 500_000
ROW_GROUP = 100_000
TEXTS = ("symbol", "right", "settlement")
TIMES = ("ts", "quote_time")


def read_quotes(path: str | Path) -> pd.DataFrame:
    """All quotes of a file, checked, typed and in order (see the module).

    Raises:
        QuotesFileError: naming the file, the column and the first bad row.
    """
    path = Path(path)
    raw = _read_parquet(path) if is_parquet(path) else _read_csv(path)
    return order_quotes(raw, str(path))


def write_quotes(frame: pd.DataFrame, path: str | Path) -> None:
    """Check a frame and write it, as Parquet (zstd) or, by the name's ending, as CSV.

    Raises:
        QuotesFileError: if the frame is not in the format or the path can't be written.
    """
    path = Path(path)
    quotes = order_quotes(frame.reset_index(drop=True), str(path))
    partial = path.with_name(f".{path.name}.partial")
    try:
        _write(quotes, partial, csv=path.name.endswith(CSV_SUFFIXES),
               zipped=path.suffix == ".gz")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise QuotesFileError(f"{path}: can't be written: {error.strerror or error}") from error


def order_quotes(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """The frame in the format's types and order; `source` names it in messages.

    The frame's index must count its rows from 0, or from their place in the file.

    Raises:
        QuotesFileError: naming the column and row that is wrong, or the key given twice.
    """
    quotes = convert(frame, source)
    order = _order(quotes)
    if order is not None:
        quotes = quotes.iloc[order]
    quotes = quotes.reset_index(drop=True)
    _refuse_duplicates(quotes, source)
    _refuse_mixed_settlement(quotes, source)
    return quotes


def iter_chains(frame: pd.DataFrame) -> Iterator[ChainQuotes]:
    """The chains of a frame as `read_quotes` gives it: one per ts × symbol × expiry, in order.

    The underlying is the mid of its two sides, NaN if one is missing. A quote's age counts from
    its `quote_time`; without that column a quote is new at each `ts`, of age 0.
    """
    bounds = chain_bounds(frame)
    columns = {name: frame[name].to_numpy() for name in ("strike", "bid", "ask")}
    is_call = (frame["right"] == "C").to_numpy()
    underlying = ((frame["underlying_bid"] + frame["underlying_ask"]) / 2).to_numpy()
    age = _ages(frame)
    times, symbols, expiries = frame["ts"], frame["symbol"], frame["expiry"]
    settlement = frame.get("settlement")
    for first, last in itertools.pairwise(bounds):
        rows = slice(first, last)
        yield ChainQuotes(
            symbol=symbols.iat[first], expiry=expiries.iat[first],
            at=times.iat[first].to_pydatetime(), underlying=float(underlying[first]),
            is_call=is_call[rows], quote_age_s=age[rows],
            settlement="PM" if settlement is None else settlement.iat[first],
            **{name: values[rows] for name, values in columns.items()})


def _ages(frame: pd.DataFrame) -> Floats:
    """Seconds from each quote's own time to its row's; NaN where that is unknown."""
    if "quote_time" not in frame:
        return np.zeros(len(frame))
    age: Floats = (frame["ts"] - frame["quote_time"]).dt.total_seconds().to_numpy()
    return age


def chain_bounds(frame: pd.DataFrame) -> list[int]:
    """Where each chain of an ordered frame begins, and the frame's length at the end."""
    if frame.empty:
        return [0]
    begins = np.ones(len(frame), dtype=bool)
    begins[1:] = False
    for values in _key_arrays(frame)[:3]:
        begins[1:] |= values[1:] != values[:-1]
    return [*np.flatnonzero(begins).tolist(), len(frame)]


def is_parquet(path: Path) -> bool:
    """True for Parquet, False for CSV.

    Raises:
        QuotesFileError: if the file can't be read or is neither.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError as error:
        raise QuotesFileError(f"{path}: no such file") from error
    except OSError as error:
        raise QuotesFileError(f"{path}: can't be read: {error.strerror}") from error
    if start != MAGIC and not path.name.endswith(CSV_SUFFIXES):
        raise QuotesFileError(f"{path}: not a quotes file; neither Parquet nor named .csv")
    return start == MAGIC


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A raw frame of an Arrow table, repeating texts and dates as categories."""
    for at, field in enumerate(table.schema):
        if pa.types.is_date(field.type) or pa.types.is_string(field.type):
            table = table.set_column(at, field.name, pc.dictionary_encode(table[field.name]))
    return table.to_pandas(split_blocks=True, self_destruct=True, ignore_metadata=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return to_frame(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise QuotesFileError(f"{path}: not a readable Parquet file: {_brief(error)}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    categories: dict[str, Any] = dict.fromkeys((*TIMES, "expiry", *TEXTS), "category")
    try:
        chunks = list(pd.read_csv(path, dtype=categories, chunksize=CSV_CHUNK,
                                  keep_default_na=False, na_values=["", "nan", "NaN"]))
    except (ValueError, OSError) as error:
        raise QuotesFileError(f"{path}: not a readable CSV file: {_brief(error)}") from error
    return pd.concat(chunks, ignore_index=True)


def _write(quotes: pd.DataFrame, path: Path, csv: bool, zipped: bool) -> None:
    if csv:
        quotes.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ",
                      compression="gzip" if zipped else None)
        return
    table = pa.table({name: _arrow(quotes[name]) for name in quotes.columns})
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def _arrow(column: pd.Series) -> pa.Array:
    if column.name in TIMES:
        times = column.to_numpy(dtype="datetime64[us]")
        return pa.array(times).cast(pa.timestamp("us", tz="UTC"))
    if isinstance(column.dtype, pd.CategoricalDtype):
        kind = pa.date32() if column.name == "expiry" else pa.string()
        values = pa.array(list(column.cat.categories), kind)
        return pa.DictionaryArray.from_arrays(column.cat.codes.to_numpy(), values).cast(kind)
    return pa.array(column.to_numpy(), from_pandas=True)


def _key_arrays(quotes: pd.DataFrame) -> list[NDArray[Any]]:
    """The key as arrays that compare in the format's order, ts first."""
    return [quotes["ts"].to_numpy(dtype="datetime64[us]").view(np.int64),
            quotes["symbol"].cat.codes.to_numpy(), quotes["expiry"].cat.codes.to_numpy(),
            quotes["strike"].to_numpy(), quotes["right"].cat.codes.to_numpy()]


def _order(quotes: pd.DataFrame) -> NDArray[np.intp] | None:
    """The permutation that sorts the rows; None if they are in order."""
    arrays = _key_arrays(quotes)
    return np.lexsort(arrays[::-1]) if _descends(arrays).any() else None


def _descends(arrays: list[NDArray[Any]]) -> Bools:
    """True where a row's key is below that of the row before; shape (n − 1,)."""
    below = np.zeros(max(len(arrays[0]) - 1, 0), dtype=bool)
    equal = ~below
    for values in arrays:
        below |= equal & (values[1:] < values[:-1])
        equal &= values[1:] == values[:-1]
    return below


def _refuse_duplicates(quotes: pd.DataFrame, source: str) -> None:
    same = np.ones(max(len(quotes) - 1, 0), dtype=bool)
    for values in _key_arrays(quotes):
        same &= values[1:] == values[:-1]
    if same.any():
        row = quotes.iloc[int(np.flatnonzero(same)[0])]
        raise QuotesFileError(
            f"{source}: {int(same.sum())} rows repeat the key of another; the first is "
            f"{row['symbol']} {row['expiry']} {row['strike']:g} {row['right']} "
            f"at {row['ts'].isoformat()}")


def _refuse_mixed_settlement(quotes: pd.DataFrame, source: str) -> None:
    if "settlement" not in quotes:
        return
    kinds = quotes[["symbol", "expiry", "settlement"]].drop_duplicates()
    mixed = kinds[kinds.duplicated(["symbol", "expiry"])]
    if len(mixed):
        row = mixed.iloc[0]
        raise QuotesFileError(f"{source}: column `settlement`: {row['symbol']} {row['expiry']} "
                              "is both AM and PM")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
