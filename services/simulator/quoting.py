"""How true prices become quotes: refresh times, spreads, jitter, rounding, sizes, trades.

Quotes are not refreshed all at once: each contract has its own period of 1 to 5 s, and between
its turns its quote stands. Half-spreads are proportional to vega and rise into the wings, with a
part of the intrinsic value; either side jitters by half of it, independent at each refresh, and
is rounded outwards to the tick. So the bid is below and the ask above the true price always. In
the far wings 30 % of the quotes lack a side for a while.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.types import Bools, Floats
from services.simulator import noise
from services.simulator.feed import Option
from services.simulator.paths import DAY, Steps
from services.simulator.pricing import Contracts, Terms, half_spread

TICK = 0.01
REFRESH_S = np.array([1, 2, 3, 5])
TRADES_EVERY_S = np.array([15, 45, 150, 600, 1800])
FAR_WING = (-2.0, 1.5)
ONE_SIDED_SHARE, ONE_SIDED_S = 0.3, 30
NO_MODEL_SHARE = 0.02

# Streams of noise, one number per use.
REFRESH, TRADE, BID, ASK, BID_SIZE, ASK_SIZE, SIDE, MISSING, INTEREST, MODEL = range(10)


@dataclass(frozen=True, slots=True)
class Turns:
    """When something happens to each contract: every `period` seconds; arrays (n,)."""

    period: Steps
    phase: Steps

    @staticmethod
    def of(keys: noise.Keys, periods: NDArray[np.int64], stream: int) -> "Turns":
        """A period drawn of `periods` and a phase for each contract."""
        period = periods[noise.hashed(keys, 0, stream) % np.uint64(len(periods))]
        phase = noise.hashed(keys, 1, stream) % period.astype(np.uint64)
        return Turns(period, phase.astype(np.int64))

    def last(self, steps: Steps) -> Steps:
        """Each contract's last turn at or before `steps`."""
        turn: Steps = steps - (steps + self.phase) % self.period
        return turn

    def count(self, begins: Steps, ends: Steps) -> Steps:
        """How many turns lie in (begins, ends]."""
        count: Steps = ((ends + self.phase) // self.period
                        - (begins + self.phase) // self.period)
        return count


@dataclass(frozen=True, slots=True)
class MarketBatch:
    """Options of one symbol as arrays (n,), with what is constant about each."""

    options: Sequence[Option]
    symbol: str
    contracts: Contracts
    refresh: Turns
    trades: Turns

    @staticmethod
    def of(seed: int, options: Sequence[Option]) -> "MarketBatch":
        """Prepare options, all of one symbol."""
        keys = np.array([noise.key(seed, *_named(option)) for option in options],
                        dtype=np.uint64)
        symbol = options[0].symbol if options else ""
        return MarketBatch(options, symbol, Contracts.of(options, keys),
                           Turns.of(keys, REFRESH_S, REFRESH),
                           Turns.of(keys, TRADES_EVERY_S, TRADE))

    def volume(self, steps: Steps) -> Floats:
        """Contracts traded since midnight UTC."""
        trades = self.trades.count((steps // DAY) * DAY, steps)
        return trades * size(self.contracts.keys, 0, TRADE, 20)

    def open_interest(self, steps: Steps) -> Floats:
        """Constant through a UTC day, larger at round strikes."""
        round_strike = np.where(self.contracts.strike % 5 == 0, 5.0, 1.0)
        drawn = size(self.contracts.keys, steps // DAY, INTEREST, 2000)
        interest: Floats = np.broadcast_to(round_strike * drawn, np.broadcast_shapes(
            steps.shape, round_strike.shape))
        return interest

    def has_model(self) -> Bools:
        """False for the few contracts for which the vendor has no model."""
        known: Bools = noise.uniform(self.contracts.keys, 0, MODEL) >= NO_MODEL_SHARE
        return known


def _named(option: Option) -> tuple[object, ...]:
    return option.symbol, option.expiry.isoformat(), f"{option.strike:.3f}", option.is_call


def two_sides(keys: noise.Keys, terms: Terms, quoted: Steps) -> tuple[Floats, Floats]:
    """Bid and ask of true `terms` at the refresh `quoted`; NaN where a side is missing."""
    half = half_spread(terms)
    bid = terms.price - half * (0.5 + noise.uniform(keys, quoted, BID))
    ask = terms.price + half * (0.5 + noise.uniform(keys, quoted, ASK))
    bid = np.round(np.floor(bid / TICK) * TICK, 2)
    ask = np.round(np.ceil(ask / TICK) * TICK, 2)
    no_bid, no_ask = _withdrawn(keys, terms.moneyness, quoted)
    return np.where((bid > 0) & ~no_bid, bid, np.nan), np.where(no_ask, np.nan, ask)


def _withdrawn(keys: noise.Keys, moneyness: Floats, quoted: Steps) -> tuple[Bools, Bools]:
    """Where the bid and where the ask of a far wing is withdrawn for a while."""
    far = (moneyness < FAR_WING[0]) | (moneyness > FAR_WING[1])
    draw = noise.uniform(keys, quoted // ONE_SIDED_S, MISSING)
    no_bid: Bools = far & (draw < 0.8 * ONE_SIDED_SHARE)
    no_ask: Bools = far & (draw >= 0.8 * ONE_SIDED_SHARE) & (draw < ONE_SIDED_SHARE)
    return no_bid, no_ask


def size(keys: noise.Keys, steps: Steps | int, stream: int, most: int) -> Floats:
    """Whole sizes from 1 to `most`, small ones more often."""
    drawn: Floats = 1.0 + np.floor(most * noise.uniform(keys, steps, stream) ** 2)
    return drawn
