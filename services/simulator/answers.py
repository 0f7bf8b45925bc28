"""Answers to a client's requests: one generator of frames per kind of request.

Each takes the session and the fields of the request; `ANSWERS` is the table of all of them,
with the place of the request's id, so that a bad one can be refused by its id.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from services.simulator import codes, reference
from services.simulator.protocol import MarketDataRequest
from services.simulator.wire import Field, encode

if TYPE_CHECKING:
    from services.simulator.session import Session

Answer = Callable[["Session", Sequence[str]], Iterator[bytes]]

ACCOUNT = "DU1234567"
READ_ONLY = ("Error validating request.-'bW' : cause - The API interface is currently in "
             "Read-Only mode.")
SNAPSHOT_TICKS = ("Error validating request.-'bW' : cause - Snapshot market data subscription "
                  "is not applicable to generic ticks")


def _fixed(*layout: Field, id_at: int | None = None) -> Answer:
    """An answer that is always the same, but for the request's id at the end."""
    def answer(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
        yield encode(*layout, *([fields[id_at]] if id_at is not None else []))
    return answer


def _nothing(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    return iter(())


def _refuse_order(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    yield session.error(int(fields[1]), codes.INVALID_REQUEST, READ_ONLY)


def _account_updates(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    if fields[2] == "1":
        yield encode(6, 2, "NetLiquidation", "1000000.00", "USD", ACCOUNT)
        yield encode(54, 1, ACCOUNT)


def _current_time(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    yield encode(49, 1, int(session.now()))


def _market_data_type(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    session.data_type = int(fields[2])
    return iter(())


def _market_data(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    request = MarketDataRequest.parse(fields)
    if request.snapshot and request.generic_ticks:
        yield session.error(request.req_id, codes.INVALID_REQUEST, SNAPSHOT_TICKS)
        return
    found = session.find(request.contract)
    if len(found) != 1:
        yield session.error(request.req_id, codes.NO_DEFINITION)
        return
    yield from session.subscribe(request, found[0])


def _cancel_market_data(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    req_id = int(fields[2])
    if not session.book.remove(req_id):
        yield session.error(req_id, codes.UNKNOWN_TICKER_ID)


ANSWERS: dict[str, tuple[int | None, Answer]] = {
    "1": (2, _market_data),
    "2": (2, _cancel_market_data),
    "3": (1, _refuse_order),
    "4": (2, lambda session, fields: _refuse_order(session, fields[1:])),
    "5": (None, _fixed(53, 1)),
    "6": (None, _account_updates),
    "7": (2, _fixed(55, 1, id_at=2)),
    "8": (None, _fixed(9, 1, 1)),
    "9": (2, reference.contract_details),
    "14": (None, _nothing),
    "15": (None, _nothing),
    "16": (None, _fixed(53, 1)),
    "17": (None, _fixed(15, 1, ACCOUNT)),
    "20": (1, reference.historical),
    "25": (2, reference.cancel_historical),
    "49": (None, _current_time),
    "59": (None, _market_data_type),
    "61": (None, _fixed(62, 1)),
    "62": (2, _fixed(64, 1, id_at=2)),
    "63": (2, _nothing),
    "64": (None, _nothing),
    "76": (2, _fixed(74, 1, id_at=2)),
    "77": (2, _nothing),
    "78": (1, reference.option_parameters),
    "81": (1, reference.matching_symbols),
    "99": (None, _fixed(102)),
}
