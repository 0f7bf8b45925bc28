"""Quotes as ticks: what changed of each line since it was last sent, as frames.

A table of quotes has one row per line and these columns; `sent` is the same table as the client
knows it. A missing price goes out as -1 with size 0, anything else that is unknown not at all.
Delayed data has its own tick types.
"""

from typing import NamedTuple

import numpy as np

from ml.types import Bools, Floats
from services.simulator.feed import ModelGreeks, OptionQuotes, StockQuotes
from services.simulator.wire import encode

(BID, BID_SIZE, ASK, ASK_SIZE, LAST, LAST_SIZE, LAST_TIME, VOLUME, CLOSE,
 CALL_INTEREST, PUT_INTEREST, CALL_VOLUME, PUT_VOLUME, HALTED) = range(14)
WIDTH = 14
GREEKS_WIDTH = 7


class Price(NamedTuple):
    """A column whose tick carries the size beside the price."""

    column: int
    size_column: int
    live: int
    delayed: int
    live_size: int
    delayed_size: int


PRICES = (Price(BID, BID_SIZE, 1, 66, 0, 69), Price(ASK, ASK_SIZE, 2, 67, 3, 70),
          Price(LAST, LAST_SIZE, 4, 68, 5, 71))
SIZES = ((VOLUME, 8, 74), (CALL_INTEREST, 27, 27), (PUT_INTEREST, 28, 28),
         (CALL_VOLUME, 29, 29), (PUT_VOLUME, 30, 30))
CLOSE_TICK = (9, 75)
LAST_TIME_TICK = (45, 88)
HALTED_TICK = (49, 90)
MODEL_TICK = (13, 83)
NO_IV, NO_DELTA = -1.0, -2.0
"""Sentinels of the vendor: IV, price and spot are -1, delta and the other greeks -2."""


def stock_table(quotes: StockQuotes) -> Floats:
    """Shape (1, WIDTH)."""
    table = np.full((1, WIDTH), np.nan)
    table[0, [BID, BID_SIZE, ASK, ASK_SIZE, LAST, LAST_SIZE, LAST_TIME, VOLUME, CLOSE]] = [
        quotes.bid, quotes.bid_size, quotes.ask, quotes.ask_size, quotes.last, quotes.last_size,
        quotes.last_time, quotes.volume, quotes.close]
    table[:, HALTED] = 0.0
    return _no_quote_as_minus_one(table)


def option_table(quotes: OptionQuotes, is_call: Floats, generic: Floats) -> Floats:
    """Shape (n, WIDTH); `generic` (n, 2) is 1 where volume and open interest were asked for."""
    table = np.full((len(is_call), WIDTH), np.nan)
    for column, values in ((BID, quotes.bid), (BID_SIZE, quotes.bid_size), (ASK, quotes.ask),
                           (ASK_SIZE, quotes.ask_size), (LAST, quotes.last),
                           (LAST_SIZE, quotes.last_size), (LAST_TIME, quotes.last_time),
                           (VOLUME, quotes.volume)):
        table[:, column] = values
    for column, values, asked, right in (
            (CALL_VOLUME, quotes.volume, generic[:, 0], 1.0),
            (PUT_VOLUME, quotes.volume, generic[:, 0], 0.0),
            (CALL_INTEREST, quotes.open_interest, generic[:, 1], 1.0),
            (PUT_INTEREST, quotes.open_interest, generic[:, 1], 0.0)):
        table[:, column] = np.where((asked > 0) & (is_call == right), values, np.nan)
    return _no_quote_as_minus_one(table)


def greeks_table(greeks: ModelGreeks) -> Floats:
    """Shape (n, 7): IV, delta, price, gamma, vega, theta, spot; sentinels where unknown."""
    columns = (greeks.iv, greeks.delta, greeks.price, greeks.gamma, greeks.vega, greeks.theta,
               greeks.underlying)
    sentinels = (NO_IV, NO_DELTA, NO_IV, NO_DELTA, NO_DELTA, NO_DELTA, NO_IV)
    return np.stack([np.where(np.isnan(values), sentinel, values)
                     for values, sentinel in zip(columns, sentinels, strict=True)], axis=-1)


def _no_quote_as_minus_one(table: Floats) -> Floats:
    for price, size in ((BID, BID_SIZE), (ASK, ASK_SIZE)):
        missing = np.isnan(table[:, price])
        table[missing, price] = -1.0
        table[missing, size] = 0.0
    return table


def changes(new: Floats, sent: Floats) -> Bools:
    """Where a client does not yet know a known value."""
    changed: Bools = (new != sent) & ~np.isnan(new)
    return changed


def frames(req_id: int, delayed: bool, row: list[float], changed: list[bool]) -> list[bytes]:
    """The ticks of one line of which some columns changed."""
    out = [frame for price in PRICES
           for frame in _price_frames(req_id, delayed, price, row, changed)]
    out += [encode(2, 6, req_id, tick[delayed], _number(row[column]))
            for column, *tick in SIZES if changed[column]]
    if changed[CLOSE]:
        out.append(encode(1, 6, req_id, CLOSE_TICK[delayed], row[CLOSE], 0, 0))
    if changed[HALTED]:
        out.append(encode(45, 6, req_id, HALTED_TICK[delayed], row[HALTED]))
    if changed[LAST_TIME]:
        out.append(encode(46, 6, req_id, LAST_TIME_TICK[delayed], _number(row[LAST_TIME])))
    return out


def _price_frames(req_id: int, delayed: bool, price: Price, row: list[float],
                  changed: list[bool]) -> list[bytes]:
    if changed[price.column]:
        size = _number(row[price.size_column])
        tick = price.delayed if delayed else price.live
        return [encode(1, 6, req_id, tick, row[price.column], size, 0)]
    if changed[price.size_column]:
        tick = price.delayed_size if delayed else price.live_size
        return [encode(2, 6, req_id, tick, _number(row[price.size_column]))]
    return []


def _number(value: float) -> int:
    return 0 if np.isnan(value) else int(value)


def model_frame(req_id: int, delayed: bool, row: list[float]) -> bytes:
    """The vendor's model as one tick, price-based, without dividends."""
    iv, delta, price, gamma, vega, theta, spot = (float(f"{value:.8g}") for value in row)
    return encode(21, req_id, MODEL_TICK[delayed], 1, iv, delta, price, 0.0, gamma, vega, theta,
                  spot)
