"""The state of a symbol's bands, read back from `predicted_smile` and `option_features`."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from ml.band_tracker import MEMORY, BandTracker, LastScale, Line, Standing
from ml.bands import Quoted
from ml.steps import TOLERANCE, step_of
from ml.types import Floats
from services.common.database import Database
from services.common.messages import Source
from services.predictor.forecast import Shape

Instant = tuple[date, datetime]
"""An expiry and a time of it."""
CARRIED = timedelta(days=7)
"""How long a scale is carried over: weekends and holidays, not a regime gone by."""

# Any of the newest forecasts, at most the longest horizon older than the newest.
NEWEST = """
SELECT made_at FROM predicted_smile
WHERE symbol = %(symbol)s AND source = %(source)s AND role <> 'shadow'
  AND made_at > %(since)s AND made_at <= %(at)s
  AND target_at > %(since)s AND target_at <= %(at)s + %(longest)s
ORDER BY target_at DESC LIMIT 1"""

# Each horizon's last forecast by a step or a few in the index of target times.
LAST = """
SELECT h.s, p.made_at, p.band_scale
FROM unnest(%(horizons)s) AS h (s)
CROSS JOIN LATERAL (
    SELECT p.made_at, p.band_scale FROM predicted_smile p
    WHERE p.symbol = %(symbol)s AND p.source = %(source)s AND p.horizon_s = h.s
      AND (p.role = 'shadow') = %(shadow)s AND p.made_at > %(since)s
      AND p.made_at <= %(at)s AND p.target_at > %(since)s + h.s * interval '1 s'
      AND p.target_at <= %(at)s + h.s * interval '1 s'
    ORDER BY p.target_at DESC LIMIT 1) p"""

# The forecasts of each expiry's first instant in each step, champion before baseline, that wait
# for their target or were judged since a time, with what was observed. MATERIALIZED and OFFSET 0
# keep the order: the instants first, then each one's forecasts by a step in the index, whatever
# the planner knows of tables that are just being filled.
JUDGED = """
WITH expiries AS (
    SELECT DISTINCT expiry FROM option_features
    WHERE symbol = %(symbol)s AND ts >= %(first)s AND ts <= %(at)s),
firsts AS MATERIALIZED (
    SELECT e.expiry, p.made_at FROM expiries e
    CROSS JOIN generate_series(%(first_step)s, %(last_step)s) AS s (step)
    CROSS JOIN LATERAL (
        SELECT p.made_at FROM predicted_smile p
        WHERE p.symbol = %(symbol)s AND p.source = %(source)s AND p.expiry = e.expiry
          AND p.made_at >= to_timestamp(s.step * %(step_s)s)
          AND p.made_at < to_timestamp((s.step + 1) * %(step_s)s)
          AND p.made_at >= %(first)s AND p.made_at <= %(at)s
        ORDER BY p.made_at LIMIT 1) p)
SELECT p.role = 'shadow', p.horizon_s, p.expiry, p.made_at, p.target_at, p.smile, p.lower,
       p.upper, o.ts, o.tau, o.forward, o.atm_vol, o.quote_strike, o.quote_mid_iv
FROM firsts
CROSS JOIN LATERAL (
    SELECT * FROM predicted_smile p
    WHERE p.symbol = %(symbol)s AND p.expiry = firsts.expiry AND p.made_at = firsts.made_at
      AND p.made_at >= %(first)s AND p.made_at <= %(at)s AND p.source = %(source)s
      AND p.horizon_s = ANY(%(horizons)s)
    OFFSET 0) p
LEFT JOIN LATERAL (
    SELECT f.ts, f.tau, f.forward, f.atm_vol, f.quote_strike, f.quote_mid_iv
    FROM option_features f
    WHERE f.symbol = %(symbol)s AND f.source = %(source)s AND f.expiry = p.expiry
      AND f.reason IS NULL
      AND f.ts >= p.target_at AND f.ts <= p.target_at + %(tolerance)s
      AND f.ts >= %(first)s AND f.ts <= %(at)s
    ORDER BY f.ts LIMIT 1) o ON true
WHERE (o.ts >= %(since)s OR (o.ts IS NULL AND p.target_at + %(tolerance)s >= %(at)s))
ORDER BY p.made_at, p.expiry, p.horizon_s, p.role = 'baseline', p.model_name"""


def load_bands(database: Database, symbol: str, source: Source, at: datetime,
               shape: Shape) -> BandTracker:
    """The tracker as it was after the rows of a symbol and source up to and with this instant.

    Raises:
        Unavailable: the database does not answer.
    """
    tracker = BandTracker(shape.step_s, shape.horizons_s, shape.level)
    market = {"symbol": symbol, "source": source, "at": at, "horizons": list(shape.horizons_s)}
    last = _last(database, market, shape)
    if last:
        tracker.begin(last)
        since = min(_begin(one.made_at, shape.step_s) for one in last.values())
        rows = database.rows(JUDGED, {**market, **_judged(since, last, shape)})
        _resume(tracker, rows, last, shape.step_s)
    return tracker


def _last(database: Database, market: dict[str, Any], shape: Shape) -> dict[Line, LastScale]:
    """The last scale of each line that is remembered."""
    longest = timedelta(seconds=max(shape.horizons_s))
    newest = database.rows(NEWEST, {**market, "since": market["at"] - CARRIED,
                                    "longest": longest})
    if not newest:
        return {}
    values = {**market, "since": newest[0][0] - MEMORY - longest}
    found = {**dict(_scales(database, values, False)), **dict(_scales(database, values, True))}
    made = [one.made_at for one in found.values()]
    return {line: one for line, one in found.items() if one.made_at >= max(made) - MEMORY - longest}


def _scales(database: Database, values: dict[str, Any],
            shadow: bool) -> Iterator[tuple[Line, LastScale]]:
    for horizon_s, made_at, scale in database.rows(LAST, {**values, "shadow": shadow}):
        yield (shadow, horizon_s), LastScale(made_at, 1.0 if scale is None else scale)


def _judged(since: datetime, last: dict[Line, LastScale], shape: Shape) -> dict[str, Any]:
    tolerance = timedelta(seconds=TOLERANCE * shape.step_s)
    first = since - timedelta(seconds=max(shape.horizons_s)) - tolerance
    first = _begin(first, shape.step_s)
    newest = max(one.made_at for one in last.values())
    return {"since": since, "first": first, "tolerance": tolerance, "step_s": shape.step_s,
            "first_step": step_of(first.timestamp(), shape.step_s),
            "last_step": step_of(newest.timestamp(), shape.step_s)}


def _begin(at: datetime, step_s: float) -> datetime:
    """When the step of an instant begins."""
    return datetime.fromtimestamp(step_of(at.timestamp(), step_s) * step_s, UTC)


def _resume(tracker: BandTracker, rows: list[tuple[Any, ...]], last: dict[Line, LastScale],
            step_s: float) -> None:
    """Keep what waits, and learn again what was observed since each line's last forecast."""
    waiting: defaultdict[Instant, list[Standing]] = defaultdict(list)
    observed: list[tuple[datetime, Standing, Quoted]] = []
    taken: set[tuple[Line, Instant]] = set()
    for one, at, seen in map(_read, rows):
        instant = one.expiry, one.made_at
        if (one.line, instant) in taken or one.line not in last:
            continue
        taken.add((one.line, instant))
        if seen is None:
            waiting[instant].append(one)
        elif at >= _begin(last[one.line].made_at, step_s):
            observed.append((at, one, seen))
    for forecasts in waiting.values():
        tracker.issued(forecasts)
    for at, one, seen in sorted(observed, key=lambda each: each[0]):
        tracker.judge(one, at, seen)


def _read(row: tuple[Any, ...]) -> tuple[Standing, datetime, Quoted | None]:
    shadow, horizon_s, expiry, made_at, target_at, *rest = row
    smile, lower, upper = (_floats(column) for column in rest[:3])
    at, tau, forward, atm_vol, strike, mid = rest[3:]
    one = Standing((shadow, horizon_s), expiry, made_at, target_at, smile, lower, upper)
    seen = None if at is None else Quoted(
        tau, atm_vol, np.log(_floats(strike) / forward), _floats(mid))
    return one, at, seen


def _floats(column: list[float | None]) -> Floats:
    return np.array(column, dtype=np.float64)
