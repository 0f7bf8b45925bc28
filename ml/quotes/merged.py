"""Several sources of quotes read together, instant by instant in the order of time.

A source is opened when its first instant is due, so that of a folder of days one file is open at
a time, and of a Parquet file one row group is in memory.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.errors import QuotesFileError
from ml.quotes.format import is_parquet
from ml.quotes.source import expand, load
from ml.quotes.stream import iter_frame, iter_instants

Times = NDArray[np.datetime64]
Instant = tuple[datetime, list[pd.DataFrame]]
"""A time, and the quotes that each source has of it."""
FIRST_INSTANTS = 20
"""Of a Parquet file, at least so many instants tell its step, if it has them."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder of quotes, and what time it spans."""

    path: Path
    first: datetime
    last: datetime
    quotes: int
    spacing_s: float
    """Median seconds between the instants to look at, of a Parquet file those at its beginning;
    NaN where there is one only."""
    frame: pd.DataFrame | None = None
    """Its quotes, where they had to be read to know the rest and there is no other source."""


def survey(paths: Sequence[str | Path], until: datetime | None = None) -> list[Source]:
    """What the paths hold, folders of quotes files as the files in them; those that begin later
    than `until` are left out, and no step is measured after it.

    Raises:
        QuotesFileError: a path is no source of quotes, or none of them begins in time.
    """
    files = [file for path in paths for file in expand(Path(path))]
    found = [_source(file, until, keep=len(files) == 1) for file in files]
    early = [source for source in found if until is None or source.first <= until]
    if not early and until is not None:
        raise QuotesFileError(f"{found[0].path}: holds no quotes until {until.isoformat()}")
    return early


def spacing_s(sources: Sequence[Source]) -> float:
    """The step of the coarsest source in whole seconds, at least 1; NaN if no source tells."""
    known = [source.spacing_s for source in sources if np.isfinite(source.spacing_s)]
    return max(1.0, float(np.round(max(known)))) if known else float("nan")


def instants(sources: Sequence[Source], until: datetime | None = None) -> Iterator[Instant]:
    """The quotes of all sources by time, ascending, until the last instant to look at."""
    streams = [_announced(source, place) for place, source in enumerate(sources)]
    merged = heapq.merge(*streams, key=lambda one: one[:2])
    for at, group in itertools.groupby(merged, key=lambda one: one[0]):
        if until is not None and at > until:
            return
        frames = [frame for _, _, frame in group if frame is not None]
        if frames:
            yield at, frames


def _announced(source: Source,
               place: int) -> Iterator[tuple[datetime, int, pd.DataFrame | None]]:
    """The source's instants after an empty one: so a merge opens it no sooner than it must."""
    yield source.first, place, None
    for frame in _frames(source):
        yield frame["ts"].iat[0].to_pydatetime(), place, frame


def _frames(source: Source) -> Iterator[pd.DataFrame]:
    if source.frame is not None:
        return iter_frame(source.frame)
    if source.path.is_file() and is_parquet(source.path):
        return iter_instants(source.path)
    return iter_frame(load(source.path))


def _source(path: Path, until: datetime | None, keep: bool) -> Source:
    if path.is_file() and is_parquet(path) and (found := _by_statistics(path, until)) is not None:
        return found
    frame = load(path)
    times = frame["ts"]
    return Source(path, times.iat[0].to_pydatetime(), times.iat[-1].to_pydatetime(), len(frame),
                  _spacing(_seen(times, until)), frame if keep else None)


def _by_statistics(path: Path, until: datetime | None) -> Source | None:
    """What a Parquet file's own statistics say; None where they don't."""
    try:
        file = pq.ParquetFile(path)
        place = file.schema_arrow.get_field_index("ts")
        groups = range(file.num_row_groups) if place >= 0 else range(0)
        spans = [file.metadata.row_group(at).column(place).statistics for at in groups]
        if not spans or any(span is None or not span.has_min_max for span in spans):
            return None
        first, last = min(span.min for span in spans), max(span.max for span in spans)
        if not isinstance(first, datetime) or first.tzinfo is None:
            return None
        begin = _beginning(file, until)
    except (pa.ArrowException, OSError):
        return None  # `load` says what is wrong
    return Source(path, first.astimezone(UTC), last.astimezone(UTC), file.metadata.num_rows,
                  _spacing(begin))


def _beginning(file: pq.ParquetFile, until: datetime | None) -> Times:
    """The first instants to look at, of as many row groups as have enough of them."""
    seen: Times = np.empty(0, dtype="datetime64[us]")
    for group in range(file.num_row_groups):
        times = file.read_row_group(group, columns=["ts"]).column(0).to_pandas()
        early = _seen(times, until)
        seen = np.union1d(seen, early)
        if len(seen) >= FIRST_INSTANTS or len(early) < len(times):
            break
    return seen


def _seen(times: pd.Series, until: datetime | None) -> Times:
    """The times that are not later than `until`, in UTC."""
    early = times if until is None else times[times <= until]
    return np.asarray(early.to_numpy(dtype="datetime64[us]"))


def _spacing(times: Times) -> float:
    gaps = np.diff(np.unique(times)) / np.timedelta64(1, "s")
    return float(np.median(gaps)) if len(gaps) else float("nan")
