"""A quotes file read instant by instant, so that a long recording needs little memory."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import QuotesFileError
from ml.quotes.format import is_parquet, order_quotes, read_quotes, to_frame


def iter_instants(path: str | Path) -> Iterator[pd.DataFrame]:
    """The quotes of each `ts`, in order, checked and typed as by `read_quotes`.

    A Parquet file that `write_quotes` made is read one row group at a time; any other file is
    read whole.

    Raises:
        QuotesFileError: as `read_quotes`, and for a file without quotes; for a Parquet file when
            the bad row is reached.
    """
    path = Path(path)
    instants = _instants(path)
    first = next(instants, None)
    if first is None:
        raise QuotesFileError(f"{path}: the file holds no quotes")
    yield first
    yield from instants


def _instants(path: Path) -> Iterator[pd.DataFrame]:
    frames = _row_groups(path) if is_parquet(path) and _in_order(path) else [read_quotes(path)]
    for frame in frames:
        yield from iter_frame(frame)


def iter_frame(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The quotes of each `ts` of a frame as `read_quotes` gives it, in order."""
    times = frame["ts"].to_numpy(dtype="datetime64[us]")
    bounds = [0, *(np.flatnonzero(times[1:] != times[:-1]) + 1).tolist(), len(frame)]
    for first, last in itertools.pairwise(bounds):
        if last > first:
            yield frame.iloc[first:last].reset_index(drop=True)


def _in_order(path: Path) -> bool:
    """True if the row groups' times, by their statistics, do not overlap."""
    try:
        metadata = pq.read_metadata(path)
        place = metadata.schema.to_arrow_schema().get_field_index("ts")
        spans = [metadata.row_group(at).column(place).statistics
                 for at in range(metadata.num_row_groups)] if place >= 0 else []
    except (pa.ArrowException, OSError) as error:
        raise QuotesFileError(f"{path}: not a readable Parquet file: {error}") from error
    if not spans or any(span is None or not span.has_min_max for span in spans):
        return False
    return all(before.max <= after.min for before, after in itertools.pairwise(spans))


def _row_groups(path: Path) -> Iterator[pd.DataFrame]:
    """Ordered frames of whole instants: each group's last instant goes with the next group."""
    file = pq.ParquetFile(path)
    held: pd.DataFrame | None = None
    row = 0
    for group in range(file.num_row_groups):
        raw = to_frame(file.read_row_group(group))
        raw.index = pd.RangeIndex(row, row + len(raw))
        row += len(raw)
        joined = raw if held is None else pd.concat([held, raw])
        is_last = joined["ts"] == joined["ts"].max()
        held = joined[is_last]
        yield order_quotes(joined[~is_last], str(path))
    if held is not None:
        yield order_quotes(held, str(path))
