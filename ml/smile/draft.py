"""One expiry's smile in the making: from its quotes to a fitted SVI, step by step.

Each step takes a draft and gives the next one. Where there is no going on, the draft's `reason`
says why, later steps leave it as it is, and what was found until then stays in it.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.calendar import year_fraction
from ml.pricing import black
from ml.pricing.american import american_implied_vol
from ml.pricing.conventions import Conventions
from ml.pricing.forwards import ExpiryForward, PairQuotes
from ml.pricing.implied import implied_vol
from ml.smile import filter as quality
from ml.smile import svi
from ml.smile.arbitrage import CHECKED_Z, TOLERANCE
from ml.smile.filter import ACCEPTED, Codes, QuoteLimits
from ml.smile.grid import GRID_Z
from ml.types import Bools, ChainQuotes, Floats, QuotePoints, RawSvi

MIN_QUOTES = 5
"""Out-of-the-money quotes that a smile needs."""

EXPIRED: Final = "expired"
NO_FORWARD: Final = "no forward from this or the other expiries"
OFF_PARITY: Final = "most quotes contradict put-call parity"
TOO_FEW_QUOTES: Final = "too few quotes"
ONE_WING: Final = "quotes on one side of the forward only"
VAGUE_FORWARD: Final = "forward too uncertain"
NO_FIT: Final = "no stable fit"

MAX_FORWARD_ERROR = 0.25
"""Standard error of the forward beyond which z means nothing, in F σ_ATM √τ."""
MAX_FIT_ERROR = 0.15
"""Fit error beyond which the quotes are no smile, as a share of σ_ATM (real ones: below 0.07)."""

_OUTLIER_SPREADS = 4.0  # an outlier is off the curve by so many times its error,
_OUTLIER_SCALES = 8.0  # by so many times what the median quote is off,
_OUTLIER_VOL = 0.002  # and by at least this volatility
_ROUNDER = (0.3, 1.0)  # widths tried where the best curve has butterfly arbitrage, and
_ROUNDER_COST = 1.5  # how much larger their fit error may be, or
_ROUNDER_SPREADS = 0.5  # how much of the median half-spread it may reach
_FARTHEST = 1.5  # standard deviations beyond the grid's ends, from where quotes are left out
_SPREAD_FLOOR = 0.5  # of the median half-spread: no quote is trusted more than that


def _no_points() -> QuotePoints:
    return QuotePoints(*(np.empty(0) for _ in QuotePoints.__slots__))


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of one expiry so far."""

    quotes: ChainQuotes
    tau: float
    codes: Codes
    forward: ExpiryForward | None = None
    points: QuotePoints = field(default_factory=_no_points)
    half_spread: Floats = field(default_factory=lambda: np.empty(0))
    """Half the bid-ask spread of the points, in volatility: from price and vega."""
    error: Floats = field(default_factory=lambda: np.empty(0))
    """What a curve may be off the points' mids, in volatility."""
    rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """Where the points stand in the quotes."""
    curve: RawSvi | None = None
    reason: str | None = None


def begin(quotes: ChainQuotes, limits: QuoteLimits) -> Draft:
    """The quotes screened one by one, and the time to expiry."""
    tau = year_fraction(quotes.at, quotes.expiry, quotes.settlement)
    draft = Draft(quotes, tau, quality.screen(quotes, limits))
    return draft if tau > 0 else replace(draft, reason=EXPIRED)


def pairs(draft: Draft) -> PairQuotes:
    """The strikes at which both call and put are accepted."""
    quotes = draft.quotes
    accepted = draft.codes == ACCEPTED
    calls = np.flatnonzero(accepted & quotes.is_call)
    puts = np.flatnonzero(accepted & ~quotes.is_call)
    strike, call, put = np.intersect1d(
        quotes.strike[calls], quotes.strike[puts], return_indices=True
    )
    calls, puts = calls[call], puts[put]
    return PairQuotes(
        expiry=quotes.expiry, tau=draft.tau, strike=strike,
        call_bid=quotes.bid[calls], call_ask=quotes.ask[calls],
        put_bid=quotes.bid[puts], put_ask=quotes.ask[puts],
    )


def with_forward(draft: Draft, forward: ExpiryForward | None) -> Draft:
    """The forward taken on, and what it tells of single quotes: off parity, below intrinsic."""
    if draft.reason is not None:
        return draft
    if forward is None:
        return replace(draft, reason=NO_FORWARD)
    quotes = draft.quotes
    codes = draft.codes
    for side, strikes in ((quotes.is_call, forward.off_calls), (~quotes.is_call, forward.off_puts)):
        if len(strikes):
            codes = quality.mark(codes, side & np.isin(quotes.strike, strikes), "off_parity")
    contradicted = int((codes == quality.CODE["off_parity"]).sum())
    if contradicted > int((codes == ACCEPTED).sum()):
        return replace(draft, forward=forward, codes=codes, reason=OFF_PARITY)
    cheap = quality.below_intrinsic(quotes, forward.forward, forward.discount)
    return replace(draft, forward=forward, codes=quality.mark(codes, cheap, "below_intrinsic"))


def with_points(draft: Draft, style: Conventions, limits: QuoteLimits) -> Draft:
    """Implied volatilities of the accepted out-of-the-money quotes, by ascending strike."""
    if draft.reason is not None or draft.forward is None:
        return draft
    quotes, forward = draft.quotes, draft.forward.forward
    out_of_money = quotes.is_call == (quotes.strike >= forward)
    rows = np.flatnonzero((draft.codes == ACCEPTED) & out_of_money)
    if not len(rows):
        return _enough(draft)
    rows = rows[np.argsort(quotes.strike[rows], kind="stable")]
    strike, bid, ask = quotes.strike[rows], quotes.bid[rows], quotes.ask[rows]
    price = np.stack([bid, (bid + ask) / 2, ask])
    bid_iv, mid_iv, ask_iv = quoted_vols(draft, price, strike, quotes.is_call[rows], style)
    points = QuotePoints(strike, np.log(strike / forward), bid_iv, mid_iv, ask_iv)
    vega = black.vega(forward, strike, draft.tau, mid_iv, draft.forward.discount)
    half = np.minimum((ask - bid) / 2 / vega, mid_iv)
    found = replace(draft, rows=rows, points=points, half_spread=half)
    found = _reject(found, np.isnan(mid_iv), "no_vol")
    points = found.points
    wide = quality.too_wide_in_vol(points.bid_iv, points.mid_iv, points.ask_iv, limits)
    found = _reject(found, wide, "too_wide")
    beyond = _beyond_grid(found)
    # Five parameters cannot follow the far wings too, and it is the grid that matters.
    found = replace(found, error=found.half_spread * (1 + beyond**2))
    return _enough(_keep(found, beyond <= _FARTHEST))


def quoted_vols(
    draft: Draft, price: Floats, strike: Floats, is_call: Bools, style: Conventions
) -> Floats:
    """Black volatility of quoted prices, shape (3, n), early exercise taken out."""
    fit = draft.forward
    assert fit is not None
    if style.is_american:
        return american_implied_vol(price, fit.forward, strike, draft.tau, is_call, fit.carry)
    return implied_vol(price, fit.forward, strike, draft.tau, is_call, fit.discount)


def with_curve(draft: Draft, warm: RawSvi | None) -> Draft:
    """The SVI of the points, without outliers, and rounder where it has butterfly arbitrage."""
    for step in (lambda one: _fitted(one, warm), _without_outliers, _without_butterfly, _checked):
        if draft.reason is None:
            draft = step(draft)
    return draft


def point_weights(draft: Draft) -> Floats:
    """Inverse squared error of each point's total variance, shape (m,)."""
    error = np.maximum(draft.error, _SPREAD_FLOOR * middle(draft.error))
    return np.asarray(1.0 / (2 * draft.points.mid_iv * draft.tau * error) ** 2)  # dw = 2 σ τ dσ


def typical_error(draft: Draft) -> float:
    """What the curve may be off in volatility: the median half-spread, or misfit if larger."""
    return max(middle(draft.half_spread), _misfit(draft))


def middle(values: Floats) -> float:
    """The upper median, a tenth of the time of NumPy's; NaN of nothing."""
    return float(np.sort(values)[len(values) // 2]) if len(values) else float("nan")


def _fitted(draft: Draft, warm: RawSvi | None, min_sigma: float = svi.MIN_SIGMA) -> Draft:
    points = draft.points
    variance = points.mid_iv**2 * draft.tau
    curve = svi.fit(points.log_moneyness, variance, point_weights(draft), warm, min_sigma)
    return replace(draft, curve=curve, reason=None if curve else NO_FIT)


def _without_outliers(draft: Draft) -> Draft:
    """Fitted again without the quotes that are far off, where there are any."""
    off, error = np.abs(_residual(draft)), draft.error
    far = off > np.maximum(_OUTLIER_SPREADS * error, _OUTLIER_VOL)
    far &= off / error > _OUTLIER_SCALES * middle(off / error)
    if not far.any():
        return draft
    kept = _enough(_reject(draft, far, "outlier"))
    return replace(kept, curve=None) if kept.reason else _fitted(kept, draft.curve)


def _without_butterfly(draft: Draft) -> Draft:
    """A rounder curve where the best one has butterfly arbitrage and the rounder fits as well.

    The arbitrage is mostly where nothing is quoted, beside a vertex drawn sharp by a few quotes.
    """
    if _butterfly_ok(draft):
        return draft
    enough = max(_ROUNDER_COST * _misfit(draft), _ROUNDER_SPREADS * middle(draft.half_spread))
    for width in _ROUNDER:
        rounder = _fitted(draft, None, width)
        if rounder.curve and _butterfly_ok(rounder) and _misfit(rounder) <= enough:
            return rounder
    return draft


def _butterfly_ok(draft: Draft) -> bool:
    assert draft.curve is not None
    nodes = CHECKED_Z * np.sqrt(svi.total_variance(draft.curve, np.zeros(1))[0])
    return bool((svi.durrleman(draft.curve, nodes) >= -TOLERANCE).all())


def _misfit(draft: Draft) -> float:
    return float(np.sqrt(np.mean(_residual(draft) ** 2)))


def _checked(draft: Draft) -> Draft:
    """The draft, or the reason why its curve is not to be believed."""
    assert draft.curve is not None and draft.forward is not None
    deviation = float(np.sqrt(svi.total_variance(draft.curve, np.zeros(1))[0]))
    if not draft.forward.error <= MAX_FORWARD_ERROR * draft.forward.forward * deviation:
        return replace(draft, curve=None, reason=VAGUE_FORWARD)
    if not _misfit(draft) * np.sqrt(draft.tau) <= MAX_FIT_ERROR * deviation:
        return replace(draft, curve=None, reason=NO_FIT)
    return draft


def _enough(draft: Draft) -> Draft:
    """The draft, or the reason why its points make no smile; then they count as too few."""
    points = draft.points
    if len(points.strike) >= MIN_QUOTES:
        both = points.log_moneyness[0] < 0 <= points.log_moneyness[-1]
        return draft if both else replace(draft, reason=ONE_WING)
    codes = draft.codes.copy()
    codes[draft.rows] = quality.CODE["too_few"]
    none = np.zeros(len(draft.rows), dtype=bool)
    return replace(_keep(draft, none), codes=codes, reason=TOO_FEW_QUOTES)


def _reject(draft: Draft, where: Bools, reason: str) -> Draft:
    """The draft without the points at `where`, which count as rejected."""
    if not where.any():
        return draft
    codes = draft.codes.copy()
    codes[draft.rows[where]] = quality.CODE[reason]
    return _keep(replace(draft, codes=codes), ~where)


def _keep(draft: Draft, where: Bools) -> Draft:
    points = QuotePoints(*(getattr(draft.points, name)[where] for name in QuotePoints.__slots__))
    error = draft.error[where] if len(draft.error) else draft.error
    return replace(draft, rows=draft.rows[where], points=points,
                   half_spread=draft.half_spread[where], error=error)


def _beyond_grid(draft: Draft) -> Floats:
    """By how many standard deviations the points lie beyond the grid's ends; 0 within."""
    points = draft.points
    if not len(points.strike):
        return np.empty(0)
    vol = points.mid_iv[np.argmin(np.abs(points.log_moneyness))]
    z = points.log_moneyness / (vol * np.sqrt(draft.tau))
    return np.asarray(np.maximum(np.maximum(GRID_Z[0] - z, z - GRID_Z[-1]), 0.0))


def _residual(draft: Draft) -> Floats:
    assert draft.curve is not None
    variance = svi.total_variance(draft.curve, draft.points.log_moneyness)
    return np.asarray(np.sqrt(variance / draft.tau) - draft.points.mid_iv)
