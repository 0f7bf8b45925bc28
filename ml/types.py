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
Ints = NDArray[np.int64]
Settlement = Literal["AM", "PM"]
ForwardSource = Literal["parity", "blend", "term structure"]
Violation = Literal["butterfly", "calendar", "lee"]


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
class SmileCurve:
    """Total variance by log-moneyness: a raw SVI times a smooth factor that follows the quotes.

    w(k) = w_SVI(k) · (1 + Σ bumpsⱼ Bⱼ(k / scale)) with the cubic B-splines of `ml.smile.curve`,
    which are zero far out, so that the wings are SVI's.
    """

    svi: RawSvi
    scale: float
    """σ_ATM √τ of the SVI alone."""
    bumps: Floats
    """Coefficients of the B-splines, dimensionless."""


@dataclass(frozen=True, slots=True)
class DeskMeasures:
    """What a desk reads off a smile besides its at-the-money volatility; all in volatility."""

    skew: float
    """Slope dσ/dk at the money, per 1.00 of log-moneyness."""
    risk_reversal_25: float
    """Volatility of the 25-delta call minus that of the 25-delta put."""
    butterfly_25: float
    """Mean of those two minus the at-the-money volatility."""
    variance_swap_vol: float
    """Square root of the fair variance swap rate."""


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
    """As quoted; NaN where unknown, or so far off what the forwards say that it is not believed."""
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
    forward_source: ForwardSource | None = None
    """Own put-call parity, the term structure of the other expiries, or a blend; None if none."""
    curve: SmileCurve | None = None
    """The curve that the grid was read off, after repair."""
    calendar_ok: bool = False
    """No crossing with the neighbouring expiries on the checked range; False when unknown."""
    lee_ok: bool = False
    """Wings within Lee's bound; False when unknown."""
    repaired: tuple[Violation, ...] = ()
    """What the fit violated before it was repaired."""
    moved: float = 0.0
    """Root mean square change of the grid volatilities by the repair."""
    half_spread: float = float("nan")
    """Upper median half bid-ask spread of the accepted quotes, in volatility: price over vega."""
    confidence: float = 0.0
    """Trust in the fit, 0 to 1, as `ml.smile.confidence` defines it."""
    desk: DeskMeasures | None = None
