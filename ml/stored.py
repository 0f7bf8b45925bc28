"""Smiles of the past from the table `option_features`, a New York day at a time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import psycopg2
from psycopg2.extensions import connection as Connection

from ml.calendar import NEW_YORK, session_day
from ml.errors import TrainingDataError, UnavailableError
from ml.features import INSTANT_FEATURES
from ml.series import NO_SMILE, ONE_DAY, Advance, Observed, Row, Series, in_series, with_smiles
from ml.types import Floats

_WANTED = ("(%(symbol)s::text IS NULL OR symbol = %(symbol)s) "
           "AND (%(until)s::timestamptz IS NULL OR ts <= %(until)s)")
# Delayed quotes give no smile, but a live feed's rows without one are part of its history.
_OF_SOURCE = "AND (%(source)s::text IS NULL OR source IN (%(source)s, 'delayed'))"
_EXTENT = (f"SELECT symbol, source, min(ts), max(ts), count(*), count(atm_vol) "
           f"FROM option_features WHERE {_WANTED} {_OF_SOURCE} GROUP BY symbol, source "
           "ORDER BY symbol, source")
_COLUMNS = ("symbol", "expiry", "ts", "tau", "underlying", "forward", "atm_vol", "grid_vol",
            "grid_observed", "features", "quote_strike", "quote_mid_iv", "quote_bid_iv",
            "quote_ask_iv")
_DAY = (f"SELECT {', '.join(_COLUMNS)} FROM option_features WHERE {_WANTED} {_OF_SOURCE} "
        "AND ts >= %(first)s AND ts < %(end)s ORDER BY symbol, expiry, ts")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rows."""

    until: datetime | None
    symbol: str | None
    source: str | None

    def parameters(self, **more: datetime) -> dict[str, Any]:
        return {"symbol": self.symbol, "until": self.until, "source": self.source, **more}


@dataclass(frozen=True, slots=True)
class _Extent:
    """What there is of them."""

    first: date
    last: date
    rows: int


def days_from_database(url: str, until: datetime | None = None, symbol: str | None = None,
                       source: str | None = None, advance: Advance | None = None,
                       within_day: bool = True) -> Iterator[list[Series]]:
    """The series of each New York day in the table, of one symbol or of all, in order.

    A history has one source (live, simulated, recorded), for one made of several would jump
    between markets: where a symbol has smiles of more than one, `source` must say which. Rows
    of another version of the features are passed over, as the predictor does. All days are
    read from one state of the table.

    Raises:
        TrainingDataError: the table holds no smile, smiles of several sources, or, unless
            `within_day`, one day only.
        UnavailableError: the database does not answer.
    """
    try:
        yield from _days(url, _Wanted(until, symbol, source), advance, within_day)
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(f"the history can't be read from the database: {reason}") \
            from error


def _days(url: str, wanted: _Wanted, advance: Advance | None,
          within_day: bool) -> Iterator[list[Series]]:
    connection = psycopg2.connect(url, application_name="trainer", connect_timeout=5)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        extent = _extent(connection, wanted)
        if extent.first == extent.last and not within_day:
            raise TrainingDataError(ONE_DAY)
        rows = _rows(connection, wanted, _dates(extent))
        yield from with_smiles(_told(rows, advance, extent.rows))
    finally:
        connection.close()


def _extent(connection: Connection, wanted: _Wanted) -> _Extent:
    """Raises TrainingDataError where there is nothing, or a mixture of sources."""
    with connection.cursor() as cursor:
        cursor.execute(_EXTENT, wanted.parameters())
        groups = cursor.fetchall()
    if not any(smiles for *_, smiles in groups):
        raise TrainingDataError(NO_SMILE)
    sources: dict[str, list[str]] = {}
    for symbol, source, *_, smiles in groups:
        sources.setdefault(symbol, []).extend([source] if smiles else [])
    for symbol, found in sources.items():
        if len(found) > 1:
            raise TrainingDataError(f"the history of {symbol} mixes {' and '.join(found)} quotes; "
                                    f"choose one by --source, such as --source {found[0]}")
    first, last = min(group[2] for group in groups), max(group[3] for group in groups)
    return _Extent(session_day(first), session_day(last), sum(group[4] for group in groups))


def _dates(extent: _Extent) -> Iterator[date]:
    for number in range((extent.last - extent.first).days + 1):
        yield extent.first + timedelta(days=number)


def _told(days: Iterator[Iterator[Row]], advance: Advance | None,
          total: int) -> Iterator[list[Series]]:
    """The series of each day that has any."""
    done = 0
    for day in days:
        series = in_series(day)
        done += sum(len(one.at) for one in series)
        if series and advance is not None:
            advance(done, total)
        if series:
            yield series
        del series  # before the next day is made


def _rows(connection: Connection, wanted: _Wanted, days: Iterator[date]) -> Iterator[Iterator[Row]]:
    for day in days:
        first, end = (datetime.combine(one, time(), NEW_YORK)
                      for one in (day, day + timedelta(days=1)))
        with connection.cursor("history") as cursor:
            cursor.itersize = 2000
            cursor.execute(_DAY, wanted.parameters(first=first, end=end))
            made = (_row(dict(zip(_COLUMNS, values, strict=True))) for values in cursor)
            yield (row for row in made if row is not None)


def _row(values: dict[str, Any]) -> Row | None:
    """A row of the table; None where it is of another version of the features."""
    if len(values["features"]) != len(INSTANT_FEATURES):
        return None
    forward = _number(values["forward"])
    mid, bid, ask = (_numbers(values[f"quote_{side}_iv"]) for side in ("mid", "bid", "ask"))
    observed = Observed(np.log(_numbers(values["quote_strike"]) / forward), mid, (ask - bid) / 2)
    return Row(values["symbol"], values["expiry"], values["ts"], _number(values["tau"]),
               _number(values["underlying"]), forward, _number(values["atm_vol"]),
               _numbers(values["grid_vol"]), np.asarray(values["grid_observed"], bool),
               _numbers(values["features"]), observed)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.asarray(values, dtype=np.float64)
