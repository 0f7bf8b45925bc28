"""Smiles of the past, from quotes files or from the table, as one series per expiry.

Instants at which no smile could be made are rows too, of NaN: training sees what streaming sees.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import psycopg2

from ml.calendar import session_day
from ml.errors import TrainingDataError, UnavailableError
from ml.features import SmileWindow, instant_features
from ml.instants import ConventionsOf, Surfaces, by_instant
from ml.pricing.conventions import conventions
from ml.quotes.format import iter_chains, read_quotes
from ml.types import Bools, Floats, SmileSnapshot

Advance = Callable[[int, int], None]
"""Called with smiles done and smiles in all (0 where that is not known)."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The accepted quotes of one smile; arrays have shape (m,)."""

    log_moneyness: Floats
    mid_iv: Floats
    half_spread: Floats
    """Half of ask minus bid, in volatility."""


@dataclass(frozen=True, slots=True)
class Row:
    """One expiry at one instant; NaN where no smile could be made."""

    symbol: str
    expiry: date
    at: datetime
    tau: float
    underlying: float
    forward: float
    atm_vol: float
    grid_vol: Floats
    grid_observed: Bools
    features: Floats
    quotes: Observed


@dataclass(frozen=True, slots=True)
class Series:
    """The smiles of one expiry in time order; T of them."""

    symbol: str
    expiry: date
    at: list[datetime]
    times_s: Floats
    """Epoch seconds of `at`, (T,)."""
    day: list[date]
    """New York date of each row."""
    tau: Floats
    underlying: Floats
    forward: Floats
    atm_vol: Floats
    grid_vol: Floats
    """(T, 17)"""
    grid_observed: Bools
    """(T, 17)"""
    features: Floats
    """(T, n) of `ml.features.INSTANT_FEATURES`."""
    quotes: list[Observed]

    def window(self, rows: np.ndarray) -> SmileWindow:
        """The rows at these places, ascending, as a model's window."""
        return SmileWindow(
            at=[self.at[row] for row in rows], tau=self.tau[rows],
            underlying=self.underlying[rows], forward=self.forward[rows],
            atm_vol=self.atm_vol[rows], grid_vol=self.grid_vol[rows],
            features=self.features[rows])


def from_quotes(paths: Sequence[str | Path], until: datetime | None = None,
                advance: Advance | None = None,
                conventions_of: ConventionsOf = conventions) -> list[Series]:
    """The series of quotes files; `until` is the last instant that is looked at.

    `conventions_of` must be those of the stage whose smiles the model will see.

    Raises:
        QuotesFileError: a file is not a quotes file.
        TrainingDataError: the files hold no smile.
    """
    return in_series(row for path in paths
                     for row in _smiles(Path(path), until, advance, conventions_of))


def _smiles(path: Path, until: datetime | None, advance: Advance | None,
            conventions_of: ConventionsOf) -> Iterator[Row]:
    frame = read_quotes(path)
    if until is not None:
        frame = frame[frame["ts"] <= until].reset_index(drop=True)
    total = len(frame[["ts", "symbol", "expiry"]].drop_duplicates())
    surfaces, done = Surfaces(conventions_of), 0
    for chains in by_instant(iter_chains(frame)):
        for smile in surfaces.build(chains).smiles:
            yield _row(smile)
        done += len(chains)
        if advance is not None:
            advance(done, total)


def _row(smile: SmileSnapshot) -> Row:
    points = smile.quotes
    observed = Observed(points.log_moneyness, points.mid_iv, (points.ask_iv - points.bid_iv) / 2)
    return Row(smile.symbol, smile.expiry, smile.at, smile.tau, smile.underlying, smile.forward,
               smile.atm_vol, smile.grid_vol, smile.grid_observed, instant_features(smile),
               observed)


_COLUMNS = ("symbol", "expiry", "ts", "tau", "underlying", "forward", "atm_vol", "grid_vol",
            "grid_observed", "features", "quote_strike", "quote_mid_iv", "quote_bid_iv",
            "quote_ask_iv")
_QUERY = (f"SELECT {', '.join(_COLUMNS)} FROM option_features "
          "WHERE (%(symbol)s IS NULL OR symbol = %(symbol)s) "
          "AND (%(until)s IS NULL OR ts <= %(until)s::timestamptz) "
          "ORDER BY symbol, expiry, ts")


def from_database(url: str, until: datetime | None = None, symbol: str | None = None,
                  advance: Advance | None = None) -> list[Series]:
    """The series in the table `option_features`, of one symbol or of all.

    Raises:
        TrainingDataError: the database holds no smile.
        UnavailableError: it does not answer.
    """
    try:
        return in_series(_stored(url, until, symbol, advance))
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(f"the history can't be read from the database: {reason}") \
            from error


def _stored(url: str, until: datetime | None, symbol: str | None,
            advance: Advance | None) -> Iterator[Row]:
    connection = psycopg2.connect(url, application_name="trainer", connect_timeout=5)
    try:
        with connection, connection.cursor("history") as cursor:
            cursor.itersize = 2000
            cursor.execute(_QUERY, {"symbol": symbol, "until": until})
            for done, values in enumerate(cursor, start=1):
                yield _stored_row(dict(zip(_COLUMNS, values, strict=True)))
                if advance is not None:
                    advance(done, 0)
    finally:
        connection.close()


def _stored_row(values: dict) -> Row:  # type: ignore[type-arg]
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


def in_series(rows: Iterable[Row]) -> list[Series]:
    """The rows, each expiry's in time order and once per instant.

    Raises:
        TrainingDataError: there are none.
    """
    groups: dict[tuple[str, date], dict[datetime, Row]] = defaultdict(dict)
    for row in rows:
        groups[row.symbol, row.expiry][row.at] = row
    if not any(np.isfinite(row.atm_vol) for group in groups.values() for row in group.values()):
        raise TrainingDataError("the history holds no smile: no expiry has enough good quotes "
                                "at any instant")
    return [_series([group[at] for at in sorted(group)]) for _, group in sorted(groups.items())]


def _series(rows: list[Row]) -> Series:
    def column(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows])

    at = [row.at for row in rows]
    return Series(
        symbol=rows[0].symbol, expiry=rows[0].expiry, at=at,
        times_s=np.array([moment.timestamp() for moment in at]),
        day=[session_day(moment) for moment in at], tau=column("tau"),
        underlying=column("underlying"), forward=column("forward"), atm_vol=column("atm_vol"),
        grid_vol=column("grid_vol"), grid_observed=column("grid_observed"),
        features=column("features"), quotes=[row.quotes for row in rows])
