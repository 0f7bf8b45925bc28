"""The synthetic market: an arbitrage-free surface and the quotes about it.

Everything is a pure function of (seed, symbol, second), so a live stream, a history of the same
period and a second run agree exactly. A true price is Black's on the forward at the volatility
of the surface, and for American symbols what the right to exercise early is worth besides; the
bid is below and the ask above it always, so quotes never hold a sure profit against each other.
The synthetic day, of volumes and the close, is the UTC day.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ml import calendar
from ml.types import Bools, Floats
from services.simulator import listing, noise
from services.simulator import quoting as q
from services.simulator.early import Asked, EarlyExercise
from services.simulator.feed import Batch, ModelGreeks, Option, OptionQuotes, StockQuotes
from services.simulator.holding import Holding
from services.simulator.paths import DAY, FactorPaths, Steps
from services.simulator.pricing import Terms, model_greeks
from services.simulator.surface import MarketState, market_state

T = TypeVar("T", bound=np.generic)
KNOWN_SPOTS = {"SPY": 600.0, "QQQ": 520.0, "IWM": 220.0, "DIA": 440.0}
OTHER_SPOT = 100.0


class SyntheticMarket:
    """A feed for any symbols, at any time from 2000 to 2099."""

    def __init__(self, seed: int, symbols: tuple[str, ...] = ("SPY",),
                 always_open: bool = True) -> None:
        self.symbols = symbols
        self.seed = seed
        self.always_open = always_open
        self._paths = {symbol: FactorPaths(seed, symbol) for symbol in symbols}
        self._holdings = {symbol: Holding.of(symbol) for symbol in symbols}
        self._early = {symbol: EarlyExercise(holding, partial(self._at, symbol))
                       for symbol, holding in self._holdings.items() if holding.is_american}
        self._keys = {symbol: np.array(noise.key(seed, symbol), dtype=np.uint64)
                      for symbol in symbols}

    def begins(self) -> float | None:
        return None

    def is_open(self, at: float) -> bool:
        return self.always_open or calendar.is_open(datetime.fromtimestamp(at, UTC))

    def sessions(self, days: Sequence[date]) -> list[tuple[date, str]]:
        return listing.hours(days, self.always_open)

    def expiries(self, symbol: str, at: float) -> list[date]:
        return listing.expiries(at)

    def strikes(self, symbol: str, expiry: date, at: float) -> Sequence[float]:
        return listing.strikes(self._midnight_spot(symbol, int(at // DAY)))

    def batch(self, options: Sequence[Option]) -> Batch:
        prepared = self.prepare(options)
        return Batch(options, partial(self.options, prepared), partial(self.greeks, prepared))

    def prepare(self, options: Sequence[Option]) -> q.MarketBatch:
        """What is constant about options of one symbol, for the methods below."""
        return q.MarketBatch.of(self.seed, options)

    def state(self, symbol: str, steps: Steps) -> MarketState:
        """What prices are made of at whole seconds `steps` of any shape."""
        return market_state(self._paths[symbol].at(steps))

    def spot(self, symbol: str, steps: Steps) -> Floats:
        """The true spot."""
        return self._spot(symbol, self._paths[symbol].at(steps)[0], steps)

    def european(self, batch: q.MarketBatch, steps: Steps) -> Terms:
        """Terms of a batch at `steps`, which broadcast with (n,), early exercise left out."""
        contracts = batch.contracts
        steps = np.broadcast_to(steps, np.broadcast_shapes(steps.shape, contracts.strike.shape))
        state = self.state(batch.symbol, steps)
        spot = self._spot(batch.symbol, state.log_spot, steps)
        return Terms.of(contracts, state, spot, self._holdings[batch.symbol], steps)

    def terms(self, batch: q.MarketBatch, steps: Steps) -> Terms:
        """The same with true prices."""
        return self._priced(batch, steps)[0]

    def stock(self, symbol: str, steps: Steps) -> StockQuotes:
        key, spot = self._keys[symbol], self.spot(symbol, steps)
        bid = np.round(np.floor(spot / q.TICK - 0.3) * q.TICK, 2)
        ask = np.round(np.ceil(spot / q.TICK + 0.3) * q.TICK, 2)
        return StockQuotes(
            bid=bid, bid_size=q.size(key, steps, q.BID_SIZE, 900),
            ask=ask, ask_size=q.size(key, steps, q.ASK_SIZE, 900),
            last=np.where(noise.uniform(key, steps, q.SIDE) < 0.5, bid, ask),
            last_size=q.size(key, steps, q.TRADE, 300), last_time=steps.astype(np.float64),
            volume=800.0 * (steps % DAY) + q.size(key, steps, q.INTEREST, 800),
            close=self._closes(symbol, steps))

    def options(self, batch: q.MarketBatch, steps: Steps) -> OptionQuotes:
        steps = _as_rows(steps)
        keys = batch.contracts.keys
        quoted, traded = batch.refresh.last(steps), batch.trades.last(steps)
        bid, ask = self._sides(batch, quoted)
        alive = self._alive(batch, steps)
        bid, ask = np.where(alive, bid, np.nan), np.where(alive, ask, np.nan)
        bid_size, ask_size = (q.size(keys, quoted, stream, 200)
                              for stream in (q.BID_SIZE, q.ASK_SIZE))
        return OptionQuotes(
            bid=bid, bid_size=np.where(np.isnan(bid), np.nan, bid_size),
            ask=ask, ask_size=np.where(np.isnan(ask), np.nan, ask_size),
            last=self._last(batch, traded), last_size=q.size(keys, traded, q.TRADE, 20),
            last_time=traded.astype(np.float64), volume=batch.volume(steps),
            open_interest=batch.open_interest(steps))

    def greeks(self, batch: q.MarketBatch, steps: Steps) -> ModelGreeks:
        steps = _as_rows(steps)
        known = batch.has_model() & self._alive(batch, steps)
        terms, slope = self._priced(batch, steps)
        return model_greeks(terms, self._holdings[batch.symbol], slope, known)

    def _priced(self, batch: q.MarketBatch, steps: Steps) -> tuple[Terms, Floats]:
        """Terms with true prices, and the slope of the early exercise premium by the forward."""
        terms = self.european(batch, steps)
        slope = np.zeros(terms.price.shape)
        alive = np.isfinite(terms.price)
        if batch.symbol not in self._early or not alive.any():
            return terms, slope
        u = (terms.strike / terms.forward - 1.0) / terms.deviation
        asked = Asked(_picked(steps, alive), _picked(batch.contracts.expires, alive),
                      _picked(terms.is_call, alive), u[alive])
        share, by_u = self._early[batch.symbol].premium(asked)
        premium = np.zeros(terms.price.shape)
        premium[alive] = share * terms.forward[alive]
        slope[alive] = share - by_u * (asked.u + 1.0 / terms.deviation[alive])
        return terms.with_exercise(premium), slope

    def _at(self, symbol: str, second: int) -> tuple[MarketState, float]:
        """State and spot at one second."""
        step = np.array(second, dtype=np.int64)
        return self.state(symbol, step), float(self.spot(symbol, step))

    def _spot(self, symbol: str, log_spot: Floats, steps: Steps) -> Floats:
        spot: Floats = _base(symbol) * np.exp(log_spot) + self._holdings[symbol].accrued(steps)
        return spot

    def _sides(self, batch: q.MarketBatch, quoted: Steps) -> tuple[Floats, Floats]:
        return q.two_sides(batch.contracts.keys, self.terms(batch, quoted), quoted)

    def _last(self, batch: q.MarketBatch, traded: Steps) -> Floats:
        """A trade is at the bid or the ask that stood at its time."""
        bid, ask = self._sides(batch, batch.refresh.last(traded))
        sells = noise.uniform(batch.contracts.keys, traded, q.SIDE) < 0.5
        last: Floats = np.where(sells & ~np.isnan(bid), bid, ask)
        return last

    def _alive(self, batch: q.MarketBatch, steps: Steps) -> Bools:
        alive: Bools = batch.contracts.expires > steps
        if self.always_open:
            return alive
        is_open = np.vectorize(lambda step: self.is_open(float(step)), otypes=[bool])
        return np.asarray(alive & is_open(steps))

    def _midnight_spot(self, symbol: str, day: int) -> float:
        log_spot = np.array(self._paths[symbol].midnight_spot(day))
        return float(self._spot(symbol, log_spot, np.array(day * DAY)))

    def _closes(self, symbol: str, steps: Steps) -> Floats:
        days, where = np.unique(steps // DAY, return_inverse=True)
        closes = np.array([round(self._midnight_spot(symbol, int(day)), 2) for day in days])
        return closes[where].reshape(steps.shape)


def _picked(values: NDArray[T], where: Bools) -> NDArray[T]:
    """The values that broadcast to where it is true, (n,)."""
    return np.broadcast_to(values, where.shape)[where]


def _as_rows(steps: Steps) -> Steps:
    """Scalar times stay as they are; times (t,) become rows (t, 1) against contracts (n,)."""
    return steps[:, None] if steps.ndim == 1 else steps


def _base(symbol: str) -> float:
    return KNOWN_SPOTS.get(symbol, OTHER_SPOT)
