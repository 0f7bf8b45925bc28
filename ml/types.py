"""The domain's own data: an expiry's quotes at one instant, and the smile made of them.

Everything here is a frozen record of numpy arrays, so that the streaming stage, the trainer and
the command line speak of the same things. Missing is NaN, never zero. Volatilities are decimals
(0.1832), prices and strikes are in currency, times are aware UTC datetimes.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Settlement = Literal["AM", "PM"]


@dataclass(frozen=True, slots=True)
class ChainQuotes:
    """All quotes of one expiry of one symbol at one instant; arrays have shape (n,)."""

    symbol: str
    expiry: date
    at: datetime
    underlying: float
    """Mid of the underlying, or its last price; NaN if neither is known."""
    strike: Floats
    is_call: Bools
    bid: Floats
    ask: Floats
    quote_age_s: Floats
    """Seconds from the quote's own time to `at`; NaN where the time is unknown."""
    settlement: Settlement = "PM"
    delayed: bool = False


@dataclass(frozen=True, slots=True)
class RawSvi:
    """Raw SVI: w(k) = a + b (ρ (k − m) + √((k − m)² + σ²)), total variance by log-moneyness.

    Gatheral and Jacquier (2014), "Arbitrage-free SVI volatility surfaces", eq. 3.1.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float


@dataclass(frozen=True, slots=True)
class QuotePoints:
    """The accepted out-of-the-money quotes as implied volatilities; arrays have shape (m,)."""

    strike: Floats
    log_moneyness: Floats
    bid_iv: Floats
    mid_iv: Floats
    ask_iv: Floats


@dataclass(frozen=True, slots=True)
class SmileSnapshot:
    """What is known of one expiry's smile at one instant.

    Where no smile could be made, `reason` says why in a few words, numbers are NaN, and `svi`
    is None; counts are always there.
    """

    symbol: str
    expiry: date
    at: datetime
    tau: float
    """Years to the expiry's instant, ACT/365."""
    underlying: float
    forward: float
    forward_error: float
    """Standard error of the forward, in currency."""
    discount: float
    borrow: float
    """Implied carry q in forward = underlying · exp((r − q) τ), with r from `discount`."""
    atm_vol: float
    svi: RawSvi | None
    fit_error: float
    """Root mean square of fitted minus mid implied volatility on the accepted quotes."""
    butterfly_ok: bool
    """Durrleman's g(k) ≥ 0 on the grid's range; False when unknown."""
    grid_vol: Floats
    """Implied volatility on the grid, shape (17,)."""
    grid_observed: Bools
    """True where a grid point lies within the quoted strikes, shape (17,)."""
    quotes: QuotePoints
    quotes_total: int
    rejects: dict[str, int] = field(default_factory=dict)
    """Count of rejected quotes by reason code."""
    quote_age_s: float = float("nan")
    """Median age of the accepted quotes; NaN where no age is known."""
    reason: str | None = None
