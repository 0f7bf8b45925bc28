"""Rows in the order in which their symbols' time goes on."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from services.common.messages import FeatureRow


def in_order(rows: Sequence[FeatureRow]) -> Iterator[list[FeatureRow]]:
    """The rows in parts, in their order, within which no symbol's time goes back.

    A row that was read before, or an older one, begins a new part: by then what came before it is
    in the tables, from which its past is read.
    """
    part: list[FeatureRow] = []
    newest: dict[str, tuple[datetime, set[date]]] = {}
    for row in rows:
        at, expiries = newest.get(row.symbol, (row.ts, set[date]()))
        if row.ts < at or (row.ts == at and row.expiry in expiries):
            yield part
            part, newest, expiries = [], {}, set()
        newest[row.symbol] = row.ts, {*expiries, row.expiry} if row.ts == at else {row.expiry}
        part.append(row)
    if part:
        yield part
