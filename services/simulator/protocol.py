"""Layouts of the messages, by server version; fields in the order of the wire.

What the request carries is parsed to records here, and answers are built as encoded frames, so
that sessions speak of contracts and quotes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.simulator.wire import Field, encode


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract as a client describes it; what is left empty or 0 is a wildcard."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    @staticmethod
    def parse(fields: Sequence[str]) -> "ContractSpec":
        """Of the twelve fields that all requests share.

        Raises:
            ValueError: if conId or strike is no number, or fields are missing.
        """
        (con_id, symbol, sec_type, expiry, strike, right, _multiplier, exchange, _primary,
         currency, local_symbol, trading_class) = fields
        return ContractSpec(
            int(con_id or 0), symbol.upper(), sec_type.upper(), expiry.split(" ")[0],
            float(strike or 0.0), right.upper()[:1], exchange.upper(), currency.upper(),
            local_symbol.strip(), trading_class.upper())


@dataclass(frozen=True, slots=True)
class MarketDataRequest:
    """reqMktData."""

    req_id: int
    contract: ContractSpec
    generic_ticks: frozenset[str]
    snapshot: bool

    @staticmethod
    def parse(fields: Sequence[str]) -> "MarketDataRequest":
        """Of `1, 11, reqId, C12, dncFlag, genericTicks, snapshot, …`; combos are refused.

        Raises:
            ValueError: if the layout is another.
        """
        contract = ContractSpec.parse(fields[3:15])
        if contract.sec_type == "BAG" or fields[15] not in ("", "0"):
            raise ValueError("combinations have no market data here")
        ticks = frozenset(tick for tick in fields[16].split(",") if tick)
        return MarketDataRequest(int(fields[2]), contract, ticks, fields[17] == "1")


@dataclass(frozen=True, slots=True)
class HistoricalRequest:
    """reqHistoricalData."""

    req_id: int
    contract: ContractSpec
    end: str
    bar_size: str
    duration: str
    regular_hours: bool
    what: str
    date_format: int
    keep_up_to_date: bool

    @staticmethod
    def parse(fields: Sequence[str]) -> "HistoricalRequest":
        """Of `20, reqId, C12, includeExpired, end, barSize, duration, …`.

        Raises:
            ValueError: if the layout is another.
        """
        end, bar_size, duration, regular, what, date_format, keep = fields[15:22]
        return HistoricalRequest(
            int(fields[1]), ContractSpec.parse(fields[2:14]), end, bar_size, duration,
            regular == "1", what.upper(), int(date_format or 1), keep == "1")


@dataclass(frozen=True, slots=True)
class ContractRow:
    """One contract as contractDetails gives it."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    local_symbol: str
    trading_class: str
    long_name: str
    trading_hours: str
    liquid_hours: str
    valid_exchanges: str
    expiry: str = ""
    last_trade: str = ""
    """Date, time and zone of the last trade."""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    under_con_id: int = 0


def contract_details(version: int, req_id: int, row: ContractRow) -> bytes:
    """Message 10."""
    option = row.sec_type == "OPT"
    fields: list[Field] = [
        req_id, row.symbol, row.sec_type, row.last_trade, row.strike, row.right, row.exchange,
        "USD", row.local_symbol, row.trading_class, row.trading_class, row.con_id, 0.01]
    fields += [100] if version < 164 else []
    fields += [
        row.multiplier, "LMT,MKT", row.valid_exchanges, 1, row.under_con_id, row.long_name,
        row.primary_exchange, row.expiry[:6], "", "", "", "America/New_York", row.trading_hours,
        row.liquid_hours, "", 0, 0, 1, row.symbol if option else "", "STK" if option else "",
        "26", row.expiry, "" if option else "ETF"]
    fields += [1] if version == 163 else []
    fields += [1, 1, 1] if version >= 164 else []
    head: list[Field] = [10, 8] if version < 164 else [10]
    return encode(*head, *fields)


def error(version: int, req_id: int, code: int, text: str) -> bytes:
    """Message 4; reqId -1 where it is about no request."""
    return encode(4, 2, req_id, code, text, *([""] if version >= 166 else []))


def option_parameters(req_id: int, exchange: str, under_con_id: int, trading_class: str,
                      expiries: Sequence[str], strikes: Sequence[float]) -> bytes:
    """Message 75: every expiry and every strike, though not each pair is listed."""
    return encode(75, req_id, exchange, under_con_id, trading_class, "100", len(expiries),
                  *expiries, len(strikes), *strikes)


def symbol_samples(version: int, req_id: int, rows: Sequence[ContractRow]) -> bytes:
    """Message 79."""
    fields: list[Field] = []
    for row in rows:
        fields += [row.con_id, row.symbol, row.sec_type, row.primary_exchange, "USD", 1, "OPT"]
        fields += [row.long_name, ""] if version >= 176 else []
    return encode(79, req_id, len(rows), *fields)


def historical_data(req_id: int, begin: str, end: str,
                    bars: Sequence[Sequence[Field]]) -> bytes:
    """Message 17; a bar is date, open, high, low, close, volume, average, count."""
    return encode(17, req_id, begin, end, len(bars), *(field for bar in bars for field in bar))
