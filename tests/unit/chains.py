"""Made-up chains of quotes whose forward and smile are known."""

from datetime import UTC, date, datetime

import numpy as np

from ml.calendar import year_fraction
from ml.pricing import black
from ml.smile.svi import total_variance
from ml.types import ChainQuotes, RawSvi

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 9, 18)
TAU = year_fraction(AT, EXPIRY)
FORWARD, DISCOUNT, SPOT = 601.3, float(np.exp(-0.03 * TAU)), 600.0
DEVIATION = 0.16 * np.sqrt(TAU)
CURVE = RawSvi(0.5 * DEVIATION**2, 0.25 * DEVIATION, -0.5, 0.1 * DEVIATION, 1.8 * DEVIATION)


def make_chain(
    count: int = 40, half_spread: float = 0.02, tick: float = 0.0, reach: float = 1.0
) -> ChainQuotes:
    """A European put and call at each of `count` strikes, priced on `CURVE`; rounded to the tick.

    Strikes reach from 2.6 deviations below the forward to 1.6 above it, times `reach`.
    """
    strike = np.repeat(FORWARD * np.exp(np.linspace(-2.6, 1.6, count) * reach * DEVIATION), 2)
    is_call = np.arange(2 * count) % 2 == 0
    vol = np.sqrt(total_variance(CURVE, np.log(strike / FORWARD)) / TAU)
    mid = black.price(FORWARD, strike, TAU, vol, is_call, DISCOUNT)
    bid, ask = mid - half_spread, mid + half_spread
    if tick:
        bid, ask = np.floor(bid / tick) * tick, np.ceil(ask / tick) * tick
    return ChainQuotes("SPX", EXPIRY, AT, SPOT, strike, is_call, np.maximum(bid, 0.0), ask,
                       np.ones(len(strike)))
