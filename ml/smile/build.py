"""From one expiry's quotes at one instant to its smile."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.calendar import year_fraction
from ml.pricing import black
from ml.pricing.forward import ForwardFit, implied_forward
from ml.pricing.implied import implied_vol
from ml.smile import filter as quality
from ml.smile import svi
from ml.smile.filter import ACCEPTED, Codes, QuoteLimits
from ml.smile.grid import GRID_SIZE, GRID_Z
from ml.types import Bools, ChainQuotes, Floats, QuotePoints, RawSvi, SmileSnapshot

MIN_QUOTES = 5
"""Out-of-the-money quotes that a smile needs."""
MIN_PAIRS = 2
"""Strikes quoted on both sides that a forward needs."""

EXPIRED: Final = "expired"
TOO_FEW_PAIRS: Final = "too few strikes with both call and put"
TOO_FEW_QUOTES: Final = "too few quotes"
ONE_WING: Final = "quotes on one side of the forward only"
VAGUE_FORWARD: Final = "forward too uncertain"
NO_FIT: Final = "no stable fit"

MAX_FORWARD_ERROR = 0.25
"""Standard error of the forward beyond which z means nothing, in F σ_ATM √τ."""
MAX_FIT_ERROR = 0.15
"""Fit error beyond which the quotes are no smile, as a share of σ_ATM (real ones: below 0.07)."""

_NAN = float("nan")
_LIMITS = QuoteLimits()
_NO_FORWARD = ForwardFit(_NAN, _NAN, _NAN, 0)
_OUTLIER_SPREADS = 4.0  # an outlier is off the curve by so many times its error,
_OUTLIER_SCALES = 8.0  # by so many times what the median quote is off,
_OUTLIER_VOL = 0.002  # and by at least this volatility
_ROUNDER = (0.3, 1.0)  # widths tried where the best curve has butterfly arbitrage, and
_ROUNDER_COST = 1.5  # how much larger their fit error may be, or
_ROUNDER_SPREADS = 0.5  # how much of the median half-spread it may reach
_FARTHEST = 1.5  # standard deviations beyond the grid's ends, from where quotes are left out
_SPREAD_FLOOR = 0.5  # of the median half-spread: no quote is trusted more than that
_CHECK_Z = np.linspace(GRID_Z[0], GRID_Z[-1], 65)
_TOLERANCE = 1e-9


def _no_points() -> QuotePoints:
    return QuotePoints(*(np.empty(0) for _ in QuotePoints.__slots__))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A smile in the making; `reason` says where the making ended."""

    quotes: ChainQuotes
    tau: float
    codes: Codes
    forward: ForwardFit = _NO_FORWARD
    points: QuotePoints = field(default_factory=_no_points)
    rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """Where the points stand in the quotes."""
    curve: RawSvi | None = None
    reason: str | None = None


def build_smile(
    quotes: ChainQuotes, warm: RawSvi | None = None, limits: QuoteLimits = _LIMITS
) -> SmileSnapshot:
    """The smile of one expiry at one instant: filter, forward, volatilities, SVI, grid.

    `warm` is the same expiry's fit of an instant before, if there is one. Never raises on bad
    quotes: the snapshot's `reason` says why there is no smile, and what was found until then
    (counts, forward, points) stays in it. On the grid the SVI curve is also read beyond the
    quoted strikes, where Lee's bounds keep it sane; `grid_observed` tells the two apart.
    Quotes in the money, or beyond the grid by more than 1.5 standard deviations, are neither
    rejected nor used.
    """
    tau = year_fraction(quotes.at, quotes.expiry, quotes.settlement)
    with np.errstate(all="ignore"):
        draft = _Draft(quotes, tau, quality.screen(quotes, limits))
        draft = replace(draft, reason=None if tau > 0 else EXPIRED)
        if draft.reason is None:
            draft = _with_forward(draft)
        if draft.reason is None:
            draft = _with_points(draft, limits)
        if draft.reason is None:
            draft = _with_curve(draft, warm)
        if draft.reason is None:
            draft = _without_outliers(draft)
        if draft.reason is None:
            draft = _checked(_without_butterfly(draft))
        return _snapshot(draft)


def _with_forward(draft: _Draft) -> _Draft:
    quotes = draft.quotes
    calls = np.flatnonzero((draft.codes == ACCEPTED) & quotes.is_call)
    puts = np.flatnonzero((draft.codes == ACCEPTED) & ~quotes.is_call)
    strike, call, put = np.intersect1d(
        quotes.strike[calls], quotes.strike[puts], return_indices=True
    )
    calls, puts = calls[call], puts[put]
    mid, half = (quotes.bid + quotes.ask) / 2, (quotes.ask - quotes.bid) / 2
    # A mid is as uncertain as a uniform variable within its spread.
    weight = 3.0 / (half[calls] ** 2 + half[puts] ** 2)
    fit = implied_forward(strike, mid[calls], mid[puts], weight, quotes.underlying, draft.tau)
    if fit is None or fit.pairs < MIN_PAIRS or not np.isfinite(fit.error):
        return replace(draft, reason=TOO_FEW_PAIRS)
    cheap = quality.below_intrinsic(quotes, fit.forward, fit.discount)
    codes = quality.mark(draft.codes, cheap, "below_intrinsic")
    return replace(draft, forward=fit, codes=codes)


def _with_points(draft: _Draft, limits: QuoteLimits) -> _Draft:
    """Implied volatilities of the accepted out-of-the-money quotes, by ascending strike."""
    quotes, forward = draft.quotes, draft.forward
    out_of_money = quotes.is_call == (quotes.strike >= forward.forward)
    rows = np.flatnonzero((draft.codes == ACCEPTED) & out_of_money)
    rows = rows[np.argsort(quotes.strike[rows], kind="stable")]
    strike, bid, ask = quotes.strike[rows], quotes.bid[rows], quotes.ask[rows]
    bid_iv, mid_iv, ask_iv = implied_vol(
        np.stack([bid, (bid + ask) / 2, ask]),
        forward.forward, strike, draft.tau, quotes.is_call[rows], forward.discount,
    )
    moneyness = np.log(strike / forward.forward)
    found = replace(
        draft, rows=rows, points=QuotePoints(strike, moneyness, bid_iv, mid_iv, ask_iv)
    )
    found = _reject(found, np.isnan(mid_iv), "no_vol")
    points = found.points
    wide = quality.too_wide_in_vol(points.bid_iv, points.mid_iv, points.ask_iv, limits)
    found = _reject(found, wide, "too_wide")
    found = _keep(found, _beyond_grid(found) <= _FARTHEST)
    return replace(found, reason=_shortage(found.points))


def _with_curve(
    draft: _Draft, warm: RawSvi | None, min_sigma: float = svi.MIN_SIGMA
) -> _Draft:
    points, tau = draft.points, draft.tau
    error = _error(draft)
    error = np.maximum(error, _SPREAD_FLOOR * _middle(error))
    weight = 1.0 / (2 * points.mid_iv * tau * error) ** 2  # dw = 2 σ τ dσ
    curve = svi.fit(points.log_moneyness, points.mid_iv**2 * tau, weight, warm, min_sigma)
    return replace(draft, curve=curve, reason=None if curve else NO_FIT)


def _without_outliers(draft: _Draft) -> _Draft:
    """Fitted again without the quotes that are far off, where there are any."""
    off = np.abs(_residual(draft))
    error = _error(draft)
    far = off > np.maximum(_OUTLIER_SPREADS * error, _OUTLIER_VOL)
    far &= off / error > _OUTLIER_SCALES * _middle(off / error)
    if not far.any():
        return draft
    kept = _reject(draft, far, "outlier")
    reason = _shortage(kept.points)
    return replace(kept, curve=None, reason=reason) if reason else _with_curve(kept, draft.curve)


def _without_butterfly(draft: _Draft) -> _Draft:
    """A rounder curve where the best one has butterfly arbitrage and the rounder fits as well.

    The arbitrage is mostly where nothing is quoted, beside a vertex drawn sharp by a few quotes.
    """
    if _butterfly_ok(draft):
        return draft
    enough = max(_ROUNDER_COST * _misfit(draft), _ROUNDER_SPREADS * _middle(_half_spread(draft)))
    for width in _ROUNDER:
        rounder = _with_curve(draft, None, width)
        if rounder.curve and _butterfly_ok(rounder) and _misfit(rounder) <= enough:
            return rounder
    return draft


def _butterfly_ok(draft: _Draft) -> bool:
    assert draft.curve is not None
    deviation = np.sqrt(svi.total_variance(draft.curve, np.zeros(1))[0])
    return bool((svi.durrleman(draft.curve, _CHECK_Z * deviation) >= -_TOLERANCE).all())


def _misfit(draft: _Draft) -> float:
    return float(np.sqrt(np.mean(_residual(draft) ** 2)))


def _checked(draft: _Draft) -> _Draft:
    """The draft, or the reason why its curve is not to be believed."""
    assert draft.curve is not None
    deviation = float(np.sqrt(svi.total_variance(draft.curve, np.zeros(1))[0]))
    if not draft.forward.error <= MAX_FORWARD_ERROR * draft.forward.forward * deviation:
        return replace(draft, curve=None, reason=VAGUE_FORWARD)
    if not _misfit(draft) * np.sqrt(draft.tau) <= MAX_FIT_ERROR * deviation:
        return replace(draft, curve=None, reason=NO_FIT)
    return draft


def _reject(draft: _Draft, where: Bools, reason: str) -> _Draft:
    """The draft without the points at `where`, which count as rejected."""
    if not where.any():
        return draft
    codes = draft.codes.copy()
    codes[draft.rows[where]] = quality.CODE[reason]
    return _keep(replace(draft, codes=codes), ~where)


def _keep(draft: _Draft, where: Bools) -> _Draft:
    points = QuotePoints(*(getattr(draft.points, name)[where] for name in QuotePoints.__slots__))
    return replace(draft, rows=draft.rows[where], points=points)


def _shortage(points: QuotePoints) -> str | None:
    if len(points.strike) < MIN_QUOTES:
        return TOO_FEW_QUOTES
    both = points.log_moneyness[0] < 0 <= points.log_moneyness[-1]
    return None if both else ONE_WING


def _beyond_grid(draft: _Draft) -> Floats:
    """By how many standard deviations the points lie beyond the grid's ends; 0 within."""
    points = draft.points
    if not len(points.strike):
        return np.empty(0)
    vol = points.mid_iv[np.argmin(np.abs(points.log_moneyness))]
    z = points.log_moneyness / (vol * np.sqrt(draft.tau))
    return np.asarray(np.maximum(np.maximum(GRID_Z[0] - z, z - GRID_Z[-1]), 0.0))


def _error(draft: _Draft) -> Floats:
    """What the curve may be off the mids: half the spread, and more beyond the grid.

    Five parameters cannot follow the far wings too, and it is the grid that matters.
    """
    return np.asarray(_half_spread(draft) * (1 + _beyond_grid(draft) ** 2))


def _half_spread(draft: _Draft) -> Floats:
    """Half the bid-ask spread of the points, in volatility: from price and vega."""
    quotes, points, fit = draft.quotes, draft.points, draft.forward
    half = (quotes.ask[draft.rows] - quotes.bid[draft.rows]) / 2
    vega = black.vega(fit.forward, points.strike, draft.tau, points.mid_iv, fit.discount)
    return np.asarray(np.minimum(half / vega, points.mid_iv))


def _residual(draft: _Draft) -> Floats:
    assert draft.curve is not None
    variance = svi.total_variance(draft.curve, draft.points.log_moneyness)
    return np.asarray(np.sqrt(variance / draft.tau) - draft.points.mid_iv)


def _snapshot(draft: _Draft) -> SmileSnapshot:
    quotes, fit, tau = draft.quotes, draft.forward, draft.tau
    atm_vol, grid_vol = _NAN, np.full(GRID_SIZE, _NAN)
    observed = np.zeros(GRID_SIZE, dtype=bool)
    fit_error, butterfly_ok = _NAN, False
    if draft.curve is not None:
        atm_vol, grid_vol, observed = _on_grid(draft.curve, tau, draft.points.log_moneyness)
        fit_error, butterfly_ok = _misfit(draft), _butterfly_ok(draft)
    ages = quotes.quote_age_s[draft.rows]
    ages = ages[np.isfinite(ages)]
    return SmileSnapshot(
        symbol=quotes.symbol, expiry=quotes.expiry, at=quotes.at, tau=tau,
        underlying=quotes.underlying, forward=fit.forward, forward_error=fit.error,
        discount=fit.discount, borrow=_borrow(quotes.underlying, fit, tau),
        atm_vol=atm_vol, svi=draft.curve, fit_error=fit_error, butterfly_ok=butterfly_ok,
        grid_vol=grid_vol, grid_observed=observed, quotes=draft.points,
        quotes_total=len(quotes.strike), rejects=quality.count(draft.codes),
        quote_age_s=_middle(ages), reason=draft.reason,
    )


def _borrow(underlying: float, fit: ForwardFit, tau: float) -> float:
    """q in F = S exp((r − q) τ) with D = exp(−r τ), that is ln(S / (D F)) / τ."""
    value = float((np.log(underlying) - np.log(fit.discount * fit.forward)) / tau)
    return value if np.isfinite(value) else _NAN


def _middle(values: Floats) -> float:
    """The upper median, a tenth of the time of NumPy's; NaN of nothing."""
    return float(np.sort(values)[len(values) // 2]) if len(values) else _NAN


def _on_grid(curve: RawSvi, tau: float, quoted: Floats) -> tuple[float, Floats, Bools]:
    """At-the-money volatility, volatilities on the grid, and which lie within the quotes."""
    atm_vol = float(np.sqrt(svi.total_variance(curve, np.zeros(1))[0] / tau))
    moneyness = GRID_Z * atm_vol * np.sqrt(tau)
    grid_vol = np.sqrt(svi.total_variance(curve, moneyness) / tau)
    return atm_vol, grid_vol, (moneyness >= quoted[0]) & (moneyness <= quoted[-1])
