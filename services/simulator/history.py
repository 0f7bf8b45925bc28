"""The synthetic market's history as a quotes file: the same quotes that a live run streams."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import groupby

import numpy as np
import pandas as pd

from services.simulator.errors import SimulatorError
from services.simulator.feed import Option
from services.simulator.market import SyntheticMarket
from services.simulator.paths import Steps

Z_RANGE = (-3.0, 2.0)
BLOCK = 120
"""Instants computed at once: bounds the memory of a long history."""


def history_frame(market: SyntheticMarket, times: Steps, expiries: int = 6) -> pd.DataFrame:
    """Quotes of each symbol's nearest `expiries` at `times` (whole seconds, ascending).

    Columns of the quotes file. Strikes with z = ln(K/F) / (σ_ATM √τ) in `Z_RANGE`, both rights;
    instants at which the market is closed have no rows.

    Raises:
        SimulatorError: if there is no open instant at all.
    """
    times = np.array([step for step in times if market.is_open(float(step))], dtype=np.int64)
    blocks = [_slice_frame(market, symbol, expiry, block) for symbol in market.symbols
              for nearest, block in _blocks(market, symbol, times, expiries)
              for expiry in nearest]
    if not blocks:
        raise SimulatorError("the market is at no time open in that period")
    return pd.concat(blocks, ignore_index=True)


def _blocks(market: SyntheticMarket, symbol: str, times: Steps,
            expiries: int) -> Iterator[tuple[tuple[date, ...], Steps]]:
    """Runs of instants within one UTC day that share their nearest expiries."""
    def alike(step: int) -> tuple[int, tuple[date, ...]]:
        return step // 86_400, tuple(market.expiries(symbol, float(step))[:expiries])

    for (_, nearest), run in groupby(times.tolist(), key=alike):
        steps = np.array(list(run), dtype=np.int64)
        for first in range(0, len(steps), BLOCK):
            yield nearest, steps[first:first + BLOCK]


def _slice_frame(market: SyntheticMarket, symbol: str, expiry: date,
                 times: Steps) -> pd.DataFrame:
    ladder = market.strikes(symbol, expiry, float(times[0]))
    options = [Option(symbol, expiry, strike, is_call)
               for strike in ladder for is_call in (True, False)]
    moneyness = market.european(market.prepare(options), times[:, None]).moneyness
    inside = (moneyness >= Z_RANGE[0]) & (moneyness <= Z_RANGE[1])
    kept = np.flatnonzero(inside.any(axis=0))
    batch = market.prepare([options[at] for at in kept])
    rows, columns = np.nonzero(inside[:, kept])
    quotes, stock = market.options(batch, times), market.stock(symbol, times)
    picked = {name: getattr(quotes, name)[rows, columns] for name in (
        "bid", "ask", "bid_size", "ask_size", "volume", "open_interest")}
    return pd.DataFrame({
        "ts": pd.to_datetime(times[rows], unit="s", utc=True), "symbol": symbol,
        "expiry": expiry, "strike": batch.contracts.strike[columns],
        "right": np.where(batch.contracts.is_call, "C", "P")[columns], **picked,
        "underlying_bid": stock.bid[rows], "underlying_ask": stock.ask[rows]})


def instants(begin: datetime, end: datetime, step_s: int) -> Steps:
    """Whole seconds from `begin` to `end`, both included where the step meets them."""
    first, last = (int(at.astimezone(UTC).timestamp()) for at in (begin, end))
    return np.arange(first, last + 1, step_s, dtype=np.int64)
