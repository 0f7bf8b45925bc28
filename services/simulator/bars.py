"""Historical bars of any listed contract, from the same market that is streamed.

A bar's prices are taken at up to twelve instants within it, never later than the market's now.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from ml import calendar
from ml.types import Floats
from services.simulator.catalogue import Contract, Stock
from services.simulator.feed import Feed, OptionQuotes, StockQuotes
from services.simulator.paths import Steps
from services.simulator.protocol import HistoricalRequest
from services.simulator.wire import Field

BAR_SECONDS = {"1 min": 60, "2 mins": 120, "5 mins": 300, "15 mins": 900, "30 mins": 1800,
               "1 hour": 3600}
DURATION_SECONDS = {"S": 1, "D": 86_400, "W": 604_800}
KINDS = ("MIDPOINT", "TRADES", "BID", "ASK")
MAX_BARS = 10_080
SAMPLES = 12

_END = re.compile(r"(\d{8})[ -](\d{2}:\d{2}:\d{2})(?: (\S+))?")
_DURATION = re.compile(r"(\d+) ([SDW])")


def bars(feed: Feed, contract: Contract, request: HistoricalRequest,
         now: float) -> list[Sequence[Field]]:
    """Rows of date, open, high, low, close, volume, average and count; empty without data.

    Raises:
        ValueError: if the request names what is not simulated; the text says what.
    """
    bar_s, end = _bar_seconds(request), min(_end(request.end, now), int(now))
    begin = end - _duration_seconds(request.duration)
    starts = np.arange(-(-begin // bar_s) * bar_s, end, bar_s, dtype=np.int64)
    if len(starts) > MAX_BARS:
        raise ValueError(f"{len(starts)} bars are more than {MAX_BARS}")
    starts = starts[[_wanted(feed, request, int(start)) for start in starts]]
    if not len(starts):
        return []
    offsets = np.linspace(0, bar_s - 1, SAMPLES).astype(np.int64)
    values = _values(feed, contract, request.what, np.minimum(starts[:, None] + offsets, end))
    known = ~np.isnan(values).any(axis=1)
    return [_row(request.date_format, int(start), row)
            for start, row in zip(starts[known], values[known], strict=True)]


def _bar_seconds(request: HistoricalRequest) -> int:
    if request.bar_size not in BAR_SECONDS:
        raise ValueError(f"bar size {request.bar_size!r} is not one of {', '.join(BAR_SECONDS)}")
    if request.what not in KINDS:
        raise ValueError(f"{request.what!r} is not one of {', '.join(KINDS)}")
    if request.keep_up_to_date:
        raise ValueError("bars are not kept up to date")
    return BAR_SECONDS[request.bar_size]


def _duration_seconds(duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"duration {duration!r} is not a count of S, D or W")
    return int(match[1]) * DURATION_SECONDS[match[2]]


def _end(text: str, now: float) -> int:
    if not text:
        return int(now)
    match = _END.fullmatch(text)
    if match is None:
        raise ValueError(f"end {text!r} is not `yyyymmdd hh:mm:ss zone`")
    try:
        zone = ZoneInfo(match[3] or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"time zone {match[3]!r} is unknown") from error
    at = datetime.strptime(f"{match[1]} {match[2]}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
    return int(at.timestamp())


def _wanted(feed: Feed, request: HistoricalRequest, start: int) -> bool:
    if not feed.is_open(start):
        return False
    return not request.regular_hours or calendar.is_open(datetime.fromtimestamp(start, UTC))


def _values(feed: Feed, contract: Contract, what: str, times: Steps) -> Floats:
    flat = times.ravel()
    quotes: StockQuotes | OptionQuotes
    if isinstance(contract, Stock):
        quotes = feed.stock(contract.symbol, flat)
    else:
        quotes = feed.batch([contract]).quotes(flat)
    series = {"BID": quotes.bid, "ASK": quotes.ask, "TRADES": quotes.last}.get(
        what, 0.5 * (quotes.bid + quotes.ask))
    return series.reshape(times.shape)


def _row(date_format: int, start: int, prices: Floats) -> Sequence[Field]:
    local = datetime.fromtimestamp(start, UTC).astimezone(calendar.NEW_YORK)
    when = str(start) if date_format == 2 else f"{local:%Y%m%d %H:%M:%S} America/New_York"
    opens, high, low, close = (round(float(price), 4) for price in (
        prices[0], prices.max(), prices.min(), prices[-1]))
    return when, opens, high, low, close, -1, -1, -1
