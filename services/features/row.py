"""From a smile to the row of `option_features` that is also the message on `option-features`."""

import math

from ml.types import Bools, Floats, SmileSnapshot
from services.common.messages import Column, FeatureRow, Source


def feature_row(smile: SmileSnapshot, features: Floats, source: Source) -> FeatureRow:
    """The row of one smile; what is NaN in it is null in the row, and past expiry τ is zero."""
    svi = smile.svi
    return FeatureRow(
        symbol=smile.symbol,
        expiry=smile.expiry,
        ts=smile.at,
        source=source,
        tau=smile.tau if smile.tau > 0.0 else 0.0,
        underlying=number(smile.underlying),
        forward=number(smile.forward),
        forward_error=number(smile.forward_error),
        discount=number(smile.discount),
        borrow=number(smile.borrow),
        atm_vol=number(smile.atm_vol),
        svi_a=None if svi is None else number(svi.a),
        svi_b=None if svi is None else number(svi.b),
        svi_rho=None if svi is None else number(svi.rho),
        svi_m=None if svi is None else number(svi.m),
        svi_sigma=None if svi is None else number(svi.sigma),
        fit_error=number(smile.fit_error),
        butterfly_ok=bool(smile.butterfly_ok),
        quotes_total=smile.quotes_total,
        quotes_used=len(smile.quotes.strike),
        rejects=smile.rejects,
        grid_vol=column(smile.grid_vol),
        grid_observed=flags(smile.grid_observed),
        features=column(features),
        quote_strike=smile.quotes.strike.tolist(),
        quote_bid_iv=column(smile.quotes.bid_iv),
        quote_mid_iv=column(smile.quotes.mid_iv),
        quote_ask_iv=column(smile.quotes.ask_iv),
        reason=smile.reason,
    )


def number(value: float) -> float | None:
    """The value as a plain float, or null where it is not finite."""
    return float(value) if math.isfinite(value) else None


def column(values: Floats) -> Column:
    """The values as a list, null where they are not finite."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def flags(values: Bools) -> list[bool]:
    """The flags as a plain list."""
    return [bool(value) for value in values]
