"""Forecasts into `predicted_smile`, so that what is read again doubles none, whoever speaks then.

A row of features has one forecast a horizon, the champion's or a baseline's, and one of a shadow.
Read again while the model server is away or another model is served, it gets the new speaker's in
place of the old one's: the table then holds what was issued last, as the topic does, and the bands
go on from the same. The score of a forecast that is replaced goes with it.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_batch

from services.common.database import upsert
from services.common.messages import Forecast

TABLE, SCORES = "predicted_smile", "prediction_scores"
KEY = ("symbol", "expiry", "made_at", "horizon_s", "model_name")
COLUMNS = tuple(name for name in Forecast.__struct_fields__ if name != "schema")
Place = tuple[str, date, datetime, int, bool]
"""Key without the name, and whether it is a shadow's: what one forecast only is to have."""

# OFFSET 0 keeps the order: each instant by a step in the index of the key.
STORED = f"""
SELECT p.*
FROM unnest(%(symbols)s, %(expiries)s::date[], %(times)s::timestamptz[])
    AS n (symbol, expiry, made_at)
CROSS JOIN LATERAL (
    SELECT {', '.join(KEY)}, role = 'shadow' FROM {TABLE} p
    WHERE p.symbol = n.symbol AND p.expiry = n.expiry AND p.made_at = n.made_at
      AND p.made_at >= %(first)s AND p.made_at <= %(last)s
    OFFSET 0) p"""

# By constants, for of a compressed chunk only what they single out is unpacked.
REMOVE = "DELETE FROM {table} WHERE " + " AND ".join(f"{name} = %s" for name in KEY)


def save(cursor: Cursor, made: list[Forecast]) -> None:
    """Write these forecasts in place of any that stand for the same."""
    newest = {_place(one): one for one in made}
    if not newest:
        return
    rivals = list(_rivals(cursor, newest))
    for table in (SCORES, TABLE) if rivals else ():
        execute_batch(cursor, REMOVE.format(table=table), rivals)
    upsert(cursor, TABLE, KEY, COLUMNS, [table_row(one) for one in newest.values()])


def _rivals(cursor: Cursor, newest: dict[Place, Forecast]) -> Iterable[tuple[Any, ...]]:
    """Keys of stored forecasts in whose place ones by another name come."""
    instants = sorted({place[:3] for place in newest}, key=lambda instant: instant[2])
    symbols, expiries, times = map(list, zip(*instants, strict=True))
    cursor.execute(STORED, {"symbols": symbols, "expiries": expiries, "times": times,
                            "first": times[0], "last": times[-1]})
    for *place, name, shadow in cursor.fetchall():
        written = newest.get((*place, shadow))
        if written is not None and written.model_name != name:
            yield (*place, name)


def _place(one: Forecast) -> Place:
    return one.symbol, one.expiry, one.made_at, one.horizon_s, one.role == "shadow"


def table_row(forecast: Forecast) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    return tuple(getattr(forecast, name) for name in COLUMNS)
