"""From a draft and its final curve to the record that all others read."""

from dataclasses import replace

import numpy as np

from ml.smile import filter as quality
from ml.smile.arbitrage import SliceCheck
from ml.smile.confidence import confidence, evidence_of
from ml.smile.curve import total_variance
from ml.smile.desk import measures
from ml.smile.draft import Draft, middle
from ml.smile.grid import GRID_SIZE, GRID_Z
from ml.types import Floats, SmileCurve, SmileSnapshot, Violation

_NAN = float("nan")


def without_curve(draft: Draft) -> SmileSnapshot:
    """The record of an expiry that has no smile: what was found, and the reason."""
    quotes, fit = draft.quotes, draft.forward
    return SmileSnapshot(
        symbol=quotes.symbol, expiry=quotes.expiry, at=quotes.at, tau=draft.tau,
        underlying=quotes.underlying,
        forward=fit.forward if fit else _NAN, forward_error=fit.error if fit else _NAN,
        discount=fit.discount if fit else _NAN, borrow=fit.borrow if fit else _NAN,
        forward_source=fit.source if fit else None,
        atm_vol=_NAN, svi=None, fit_error=_NAN, butterfly_ok=False,
        grid_vol=np.full(GRID_SIZE, _NAN), grid_observed=np.zeros(GRID_SIZE, dtype=bool),
        quotes=draft.points, quotes_total=len(quotes.strike),
        rejects=quality.count(draft.codes), quote_age_s=_age(draft), reason=draft.reason,
    )


def with_curve(
    draft: Draft, curve: SmileCurve, check: SliceCheck, repaired: tuple[Violation, ...],
    moved: float,
) -> SmileSnapshot:
    """The record of a smile; `moved` is how far its repair moved the grid, in volatility."""
    points, tau = draft.points, draft.tau
    atm_vol, grid_vol, moneyness = on_grid(curve, tau)
    fitted = np.sqrt(total_variance(curve, points.log_moneyness) / tau)
    smile = replace(
        without_curve(draft), svi=curve.svi, curve=curve, atm_vol=atm_vol, grid_vol=grid_vol,
        grid_observed=(moneyness >= points.log_moneyness[0])
        & (moneyness <= points.log_moneyness[-1]),
        fit_error=float(np.sqrt(np.mean((fitted - points.mid_iv) ** 2))),
        half_spread=middle(draft.half_spread),
        butterfly_ok=check.butterfly_ok, calendar_ok=check.calendar_ok, lee_ok=check.lee_ok,
        repaired=repaired, moved=moved, desk=measures(curve, tau),
    )
    return replace(smile, confidence=confidence(evidence_of(smile)))


def on_grid(curve: SmileCurve, tau: float) -> tuple[float, Floats, Floats]:
    """At-the-money volatility, volatilities (17,) on the grid, and its log-moneyness (17,)."""
    deviation = float(np.sqrt(total_variance(curve, np.zeros(1))[0]))
    moneyness = GRID_Z * deviation
    return deviation / tau**0.5, np.sqrt(total_variance(curve, moneyness) / tau), moneyness


def _age(draft: Draft) -> float:
    ages = draft.quotes.quote_age_s[draft.rows]
    return middle(ages[np.isfinite(ages)])
