"""What the monitor reads from the tables to score forecasts, and the scores that it writes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, get_args

import numpy as np

from ml.smile.grid import GRID_SIZE
from ml.types import Floats
from services.common.database import Database, upsert
from services.common.messages import Source
from services.monitor import statements
from services.monitor.past import Filter, Past
from services.monitor.rolling import Labels, Taken
from services.monitor.score import BASELINES, Due, Observed, Score, observed

SOURCES = list(get_args(Source))
Column = list[float | None]
Instant = tuple[date, datetime]
"""An expiry and a time of it."""
TABLE = "prediction_scores"
KEY = ("symbol", "expiry", "made_at", "horizon_s", "model_name")
BASELINE_COLUMNS = tuple(f"{name}_bp" for name in BASELINES)
ERRORS = ("error_bp", *BASELINE_COLUMNS, "coverage", "half_spread_bp")
COLUMNS = (*KEY, "target_at", "observed_at", "role", "source", "model_version", "quotes", *ERRORS)


class Stream(NamedTuple):
    """The quotes of one symbol from one source: these have a clock of their own."""

    symbol: str
    source: str


@dataclass(frozen=True, slots=True)
class Range:
    """Which forecasts of a stream to look at, by the market's clock."""

    since: datetime
    """Forecasts made earlier are left."""
    first: datetime
    last: datetime
    """Those for a time from `first` to `last`."""
    settled: datetime
    """What was not observed for an earlier time than this never will be."""
    tolerance: timedelta
    limit: int


def clocks(database: Database) -> dict[Stream, datetime]:
    """The market's clock of each stream: the time of its latest features."""
    return {Stream(symbol, source): at
            for symbol, source, at in database.rows(statements.CLOCKS, {"sources": SOURCES})}


def frontier(database: Database, stream: Stream, since: datetime,
             clock: datetime) -> datetime | None:
    """A time up to which all forecasts of a stream are in the table, if there is one."""
    rows = database.rows(statements.FRONTIER,
                         {**stream._asdict(), "since": since, "clock": clock})
    return rows[0][0] if rows else None


def due(database: Database, stream: Stream, within: Range) -> list[Due]:
    """Forecasts without a score that can have one now, by target time.

    One that nothing was observed for is there once its tolerance has passed.
    """
    rows = database.rows(statements.DUE, {
        **stream._asdict(), "since": within.since, "first": within.first, "last": within.last,
        "settled": within.settled, "tolerance": within.tolerance, "limit": within.limit})
    return [_due(*row) for row in rows]


def observations(database: Database, symbol: str,
                 instants: set[Instant]) -> dict[Instant, Observed]:
    """What was quoted at each of these instants."""
    rows = database.rows(statements.OBSERVED, _instants(symbol, instants)) if instants else []
    return {(expiry, at): observed(tau, forward, atm_vol, *map(_floats, quotes))
            for expiry, at, tau, forward, atm_vol, *quotes in rows}


def pasts(database: Database, symbol: str, instants: set[Instant],
          filtering: Filter) -> dict[Instant, Past]:
    """The smiles known at each of these instants, of those that have one at the instant."""
    if not instants:
        return {}
    values = {**_instants(symbol, instants), "window": filtering.window,
              "step": timedelta(seconds=filtering.step_s)}
    grids: dict[Instant, Floats] = {}
    newest: dict[Instant, tuple[float, float]] = {}
    for expiry, at, place, tau, forward, grid in database.rows(statements.PASTS, values):
        rows = grids.setdefault((expiry, at), np.full((filtering.window, GRID_SIZE), np.nan))
        rows[-1 - place] = _floats(grid)
        if place == 0:
            newest[expiry, at] = tau, forward
    return {instant: Past.of(grids[instant], filtering.weight, *known)
            for instant, known in newest.items()}


def recent(database: Database, stream: Stream, since: datetime,
           clock: datetime) -> list[tuple[Labels, Taken]]:
    """The scores of a stream that the rolling metrics are made of, the oldest first."""
    statement = statements.RECENT.format(baselines=", ".join(BASELINE_COLUMNS))
    rows = database.rows(statement, {**stream._asdict(), "since": since, "clock": clock})
    found = [(Labels(*stream, role, model, str(horizon)),
              Taken(version, expiry, made_at, [*map(_float, errors)], _float(coverage)))
             for role, model, horizon, version, expiry, made_at, *errors, coverage in rows]
    return sorted(found, key=lambda one: one[1].made_at)


def save(database: Database, scored: Sequence[tuple[Due, Score]]) -> None:
    """Upsert the scores."""
    with database.transaction() as cursor:
        upsert(cursor, TABLE, KEY, COLUMNS, [_row(due, score) for due, score in scored])


def _due(symbol: str, expiry: date, made_at: datetime, horizon_s: int, model_name: str,
         target_at: datetime, role: str, source: str, model_version: str, smile: Column,
         lower: Column, upper: Column, observed_at: datetime | None) -> Due:
    return Due(symbol, expiry, made_at, horizon_s, model_name, target_at, role, source,
               model_version, _floats(smile), _floats(lower), _floats(upper), observed_at)


def _row(due: Due, score: Score) -> tuple[Any, ...]:
    errors = (score.error_bp, *score.against(), score.coverage, score.half_spread_bp)
    return (due.symbol, due.expiry, due.made_at, due.horizon_s, due.model_name, due.target_at,
            due.observed_at, due.role, due.source, due.model_version, score.quotes,
            *(float(value) if math.isfinite(value) else None for value in errors))


def _instants(symbol: str, instants: set[Instant]) -> dict[str, Any]:
    ordered = sorted(instants, key=lambda instant: instant[1])
    return {"symbol": symbol, "expiries": [expiry for expiry, _ in ordered],
            "times": [at for _, at in ordered], "first": ordered[0][1], "last": ordered[-1][1]}


def _floats(column: Column) -> Floats:
    return np.array(column, dtype=np.float64)


def _float(value: float | None) -> float:
    return math.nan if value is None else value
