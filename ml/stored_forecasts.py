"""Forecasts of the past from the table `predicted_smile`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import numpy as np
import psycopg2

from ml.errors import UnavailableError
from ml.types import Floats

_OF_SYMBOL = """FROM predicted_smile
WHERE symbol = %(symbol)s AND (%(source)s::text IS NULL OR source = %(source)s)"""
_BETWEEN = f"""
SELECT expiry, made_at, horizon_s, target_at, model_name, model_version, role, band_scale,
       smile, lower, upper
{_OF_SYMBOL} AND made_at >= %(first)s AND made_at < %(end)s
ORDER BY made_at, expiry, role = 'baseline', model_name, horizon_s"""
_NEWEST = f"""
SELECT max(made_at) {_OF_SYMBOL}
  AND (%(until)s::timestamptz IS NULL OR made_at <= %(until)s)"""
# Looks at what is outside only, so that a long history costs nothing.
_OUTSIDE = f"""
SELECT model_name, model_version, role, count(*)
FROM unnest(%(firsts)s::timestamptz[], %(ends)s::timestamptz[]) AS gap (first, past)
CROSS JOIN LATERAL (
    SELECT model_name, model_version, role {_OF_SYMBOL}
      AND made_at >= gap.first AND made_at < gap.past) outside
GROUP BY model_name, model_version, role"""
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
Kind = tuple[str, str, str]
"""Model's name, version and role."""


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """One forecast of one symbol, as it was stored; smile and band are (17,)."""

    expiry: date
    made_at: datetime
    horizon_s: int
    target_at: datetime
    model_name: str
    model_version: str
    role: str
    band_scale: float
    """NaN in rows from before bands had one."""
    smile: Floats
    lower: Floats
    upper: Floats


def forecasts_between(url: str, symbol: str, source: str | None, first: datetime,
                      end: datetime) -> Iterator[StoredForecast]:
    """A symbol's forecasts made from `first` to before `end`, in order of time.

    Raises:
        UnavailableError: the database does not answer.
    """
    for *key, scale, smile, lower, upper in _rows(url, _BETWEEN, symbol, source, first=first,
                                                  end=end):
        known = np.nan if scale is None else scale
        yield StoredForecast(*key, known,  # type: ignore[call-arg]
                             *(np.array(column, dtype=np.float64)
                               for column in (smile, lower, upper)))


def newest_forecast(url: str, symbol: str, source: str | None,
                    until: datetime | None = None) -> datetime | None:
    """When a symbol's newest forecast was made, of those up to `until`; None where there is none.

    Raises:
        UnavailableError: the database does not answer.
    """
    [(newest,)] = _rows(url, _NEWEST, symbol, source, until=until)
    return newest if newest is None else cast(datetime, newest)


def forecasts_outside(url: str, symbol: str, source: str | None, newest: datetime,
                      spans: Sequence[tuple[datetime, datetime]]) -> Iterator[tuple[Kind, int]]:
    """How many of a symbol's forecasts up to `newest` were made in none of the spans, by kind.

    Spans follow each other; each ends just before its second instant. Raises UnavailableError.
    """
    firsts = [_EARLIEST, *(end for _, end in spans)]
    ends = [*(first for first, _ in spans), newest + timedelta(microseconds=1)]
    for *kind, count in _rows(url, _OUTSIDE, symbol, source, firsts=firsts, ends=ends):
        yield (kind[0], kind[1], kind[2]), count


def _rows(url: str, statement: str, symbol: str, source: str | None,
          **more: object) -> Iterator[tuple[Any, ...]]:
    """The answer, a piece in memory at a time; raises UnavailableError."""
    try:
        connection = psycopg2.connect(url, application_name="trainer", connect_timeout=5)
        try:
            with connection, connection.cursor("forecasts") as cursor:
                cursor.execute(statement, {"symbol": symbol, "source": source, **more})
                yield from cursor
        finally:
            connection.close()
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(f"the forecasts can't be read from the database: {reason}") \
            from error
