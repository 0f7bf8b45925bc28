"""Answers about contracts and the past: one generator of frames per kind of request."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from services.simulator import codes, protocol
from services.simulator.bars import bars
from services.simulator.catalogue import EXCHANGES, Stock, stock_id
from services.simulator.protocol import ContractSpec, HistoricalRequest
from services.simulator.wire import encode

if TYPE_CHECKING:
    from services.simulator.session import Session

NO_BARS = "Historical Market Data Service error message:"


def contract_details(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    """Every contract that fits: a request for an expiry gives its whole ladder."""
    req_id = int(fields[2])
    found = session.find(ContractSpec.parse(fields[3:15]))
    if not found:
        yield session.error(req_id, codes.NO_DEFINITION)
        return
    for contract in found:
        row = session.catalogue.row(contract, session.now())
        yield protocol.contract_details(session.version, req_id, row)
    yield encode(52, 1, req_id)


def option_parameters(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    """Rows of every exchange for the class and its twin, as the gateway sends them."""
    req_id, symbol = int(fields[1]), fields[2].upper()
    if fields[4] != "STK" or not session.find(ContractSpec(int(fields[5]), symbol, "STK")):
        yield session.error(req_id, codes.NO_DEFINITION)
        return
    expiries, strikes = session.catalogue.all_listed(symbol, session.now())
    dates = [f"{expiry:%Y%m%d}" for expiry in expiries]
    for exchange in EXCHANGES:
        yield protocol.option_parameters(req_id, exchange, stock_id(symbol), symbol, dates,
                                         strikes)
        yield protocol.option_parameters(req_id, exchange, stock_id(symbol), f"2{symbol}",
                                         dates[-1:], strikes[::5])
    yield encode(76, req_id)


def matching_symbols(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    """Underlyings whose symbol begins with the pattern."""
    pattern = fields[2].upper()
    rows = [session.catalogue.row(Stock(symbol), session.now())
            for symbol in session.catalogue.symbols if symbol.startswith(pattern)]
    yield protocol.symbol_samples(session.version, int(fields[1]), rows)


def historical(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    """Bars; no expired option has any."""
    request = HistoricalRequest.parse(fields)
    spec, now = request.contract, session.now()
    found = session.find(spec)
    expired = spec.sec_type == "OPT" and session.is_past(spec.expiry)
    if len(found) != 1 and not expired:
        yield session.error(request.req_id, codes.NO_DEFINITION)
        return
    rows = [] if expired else bars(session.feed, found[0], request, now)
    if not rows:
        text = f"{NO_BARS}HMDS query returned no data: {spec.symbol}@SMART {request.what}"
        yield session.error(request.req_id, codes.HISTORICAL_ERROR, text)
        return
    yield protocol.historical_data(request.req_id, str(rows[0][0]), str(rows[-1][0]), rows)


def cancel_historical(session: "Session", fields: Sequence[str]) -> Iterator[bytes]:
    """Every query has been answered at once, so none is left to cancel."""
    yield session.error(int(fields[2]), codes.UNKNOWN_HISTORICAL_ID)
