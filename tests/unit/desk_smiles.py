"""Made-up smiles with a known curve, for what is read off them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from ml.smile.curve import plain, volatility
from ml.smile.grid import GRID_Z
from ml.types import DeskMeasures, QuotePoints, RawSvi, SmileCurve, SmileSnapshot

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)


def make_curve(days: float, atm_vol: float = 0.16) -> SmileCurve:
    """A skewed SVI whose at-the-money volatility is about `atm_vol`."""
    deviation = atm_vol * np.sqrt(days / 365)
    return plain(RawSvi(0.5 * deviation**2, 0.25 * deviation, -0.5, 0.1 * deviation,
                        1.8 * deviation))


def make_smile(
    days: float, atm_vol: float = 0.16, half_spread: float = 0.002, forward: float = 600.0
) -> SmileSnapshot:
    """A smile of 33 quotes whose mids lie on its curve."""
    tau, curve = days / 365, make_curve(days, atm_vol)
    atm_vol = float(volatility(curve, tau, np.zeros(1))[0])
    k = np.linspace(-2.5, 1.5, 33) * atm_vol * np.sqrt(tau)
    mid = volatility(curve, tau, k)
    grid_vol = volatility(curve, tau, GRID_Z * atm_vol * np.sqrt(tau))
    return SmileSnapshot(
        symbol="SPY", expiry=date(2026, 8, 14) + timedelta(days=round(days)), at=AT, tau=tau,
        underlying=599.0, forward=forward, forward_error=0.01, discount=0.998, borrow=0.01,
        atm_vol=atm_vol, svi=curve.svi, fit_error=0.0004, butterfly_ok=True, grid_vol=grid_vol,
        grid_observed=np.ones(len(GRID_Z), dtype=bool),
        quotes=QuotePoints(forward * np.exp(k), k, mid - half_spread, mid, mid + half_spread),
        quotes_total=70, rejects={"stale": 4}, quote_age_s=5.0, forward_source="parity",
        curve=curve, calendar_ok=True, lee_ok=True, half_spread=half_spread, confidence=0.9,
        desk=DeskMeasures(-0.2, -0.02, 0.003, 0.17))
