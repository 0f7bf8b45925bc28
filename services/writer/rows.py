"""From messages on `option-chain` to lines of PostgreSQL's COPY text format.

One line per contract, in the order of `COLUMNS`. COPY is the fastest way into PostgreSQL, and
lines of text are the fastest thing that Python can make.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import repeat

from services.common.messages import ChainSlice

TABLE = "spy_option_chain"
KEY = ("symbol", "expiry", "strike", "right", "sampled_at")
COLUMNS = (
    "symbol", "expiry", "sampled_at", "source", "settlement",
    "underlying_bid", "underlying_ask", "underlying_last",
    "strike", "right", "bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest",
    "quote_time", "vendor_iv",
)
NULL = "\\N"
Line = tuple[object, ...]


def copy_lines(chains: Iterable[ChainSlice]) -> list[str]:
    """One line per contract and instant; of equal keys, as a redelivery has, the last wins."""
    lines: dict[Line, str] = {}
    for chain in chains:
        head = _head(chain)
        instant = (chain.symbol, chain.expiry, chain.sampled_at)
        keys = zip(repeat(instant), chain.strike, chain.right)
        lines.update(zip(keys, (f"{head}\t{tail}\n" for tail in _tails(chain)), strict=True))
    return list(lines.values())


def _head(chain: ChainSlice) -> str:
    """The columns that all contracts of a slice share."""
    return "\t".join((
        _escaped(chain.symbol), chain.expiry.isoformat(), chain.sampled_at.isoformat(),
        chain.source, chain.settlement, _number(chain.underlying_bid),
        _number(chain.underlying_ask), _number(chain.underlying_last)))


def _tails(chain: ChainSlice) -> Iterable[str]:
    columns = (
        map(repr, chain.strike), chain.right, map(_number, chain.bid), map(_number, chain.ask),
        map(_number, chain.bid_size), map(_number, chain.ask_size), map(_number, chain.last),
        map(_number, chain.volume), map(_number, chain.open_interest),
        map(_time, chain.quote_time), map(_number, chain.vendor_iv))
    return map("\t".join, zip(*columns, strict=True))


def _number(value: float | None) -> str:
    return NULL if value is None else repr(value)


def _time(value: datetime | None) -> str:
    return NULL if value is None else value.isoformat()


def _escaped(text: str) -> str:
    """Text as COPY reads it; a symbol comes from outside and may hold anything but NUL."""
    text = text.replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")
