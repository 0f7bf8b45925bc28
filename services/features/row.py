"""From a smile to the row of `option_features` that is also the message on `option-features`."""

import math
from typing import Any

from ml.types import Bools, DeskMeasures, Floats, RawSvi, SmileSnapshot
from services.common.messages import Column, FeatureRow, Source


def feature_row(smile: SmileSnapshot, features: Floats, source: Source) -> FeatureRow:
    """The row of one smile; what is NaN in it is null in the row, and past expiry τ is zero."""
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
        fit_error=number(smile.fit_error),
        butterfly_ok=bool(smile.butterfly_ok),
        quotes_total=smile.quotes_total,
        quotes_used=0 if smile.reason else len(smile.quotes.strike),
        rejects=smile.rejects,
        grid_vol=column(smile.grid_vol),
        grid_observed=flags(smile.grid_observed),
        features=column(features),
        quote_strike=smile.quotes.strike.tolist(),
        quote_bid_iv=column(smile.quotes.bid_iv),
        quote_mid_iv=column(smile.quotes.mid_iv),
        quote_ask_iv=column(smile.quotes.ask_iv),
        reason=smile.reason,
        forward_source=smile.forward_source,
        rate=_rate(smile),
        calendar_ok=bool(smile.calendar_ok),
        lee_ok=bool(smile.lee_ok),
        repaired=list(smile.repaired),
        moved=number(smile.moved),
        confidence=number(smile.confidence),
        **_curve(smile),
        **_desk(smile),
    )


def _curve(smile: SmileSnapshot) -> dict[str, Any]:
    svi, curve = smile.svi, smile.curve
    values = {f"svi_{name}": None if svi is None else number(getattr(svi, name))
              for name in RawSvi.__slots__}
    return {**values, "bumps": None if curve is None else curve.bumps.tolist()}


def _desk(smile: SmileSnapshot) -> dict[str, Any]:
    desk = smile.desk
    return {name: None if desk is None else number(getattr(desk, name))
            for name in DeskMeasures.__slots__}


def _rate(smile: SmileSnapshot) -> float | None:
    """The interest rate r in discount = exp(−r τ)."""
    if not (smile.discount > 0.0 and smile.tau > 0.0):
        return None
    return number(-math.log(smile.discount) / smile.tau)


def number(value: float) -> float | None:
    """The value as a plain float, or null where it is not finite."""
    return float(value) if math.isfinite(value) else None


def column(values: Floats) -> Column:
    """The values as a list, null where they are not finite."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def flags(values: Bools) -> list[bool]:
    """The flags as a plain list."""
    return [bool(value) for value in values]
