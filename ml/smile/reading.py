"""A surface as it is shown: on one clock, with its fixed tenors and the quotes it was made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import sqrt

import numpy as np

from ml.calendar import session_bounds, session_day, trading_year_fraction, trading_years
from ml.smile.desk import FixedTenor, Residuals, fixed_tenors, rich_cheap
from ml.smile.surface import Surface
from ml.types import ChainQuotes, DeskMeasures, QuotePoints, SmileSnapshot, Violation


@dataclass(frozen=True, slots=True)
class Clock:
    """What volatilities are per year of; total variance is the same on every clock."""

    trading: bool = False
    """A year of open sessions instead of one of 365 days."""
    closed_weight: float = 0.0
    """What a second counts while the exchange is closed, on the trading clock."""

    def __str__(self) -> str:
        weight = f", closed hours weighted {self.closed_weight:g}" if self.closed_weight else ""
        return f"trading time (252 × 6.5 h{weight})" if self.trading else "calendar time (ACT/365)"


@dataclass(frozen=True, slots=True)
class Reading:
    """One expiry: its smile with volatilities and `tau` on the clock."""

    smile: SmileSnapshot
    chain: ChainQuotes
    days: float
    """Calendar days to the expiry's instant; NaN after it."""
    residuals: Residuals

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What the smile violates as it is; () without one."""
        smile = self.smile
        met: dict[Violation, bool] = {"butterfly": smile.butterfly_ok,
                                      "calendar": smile.calendar_ok, "lee": smile.lee_ok}
        return () if smile.curve is None else tuple(name for name, ok in met.items() if not ok)

    @property
    def half_spread(self) -> float:
        """Median half-spread of the used quotes in volatility; NaN if there are none."""
        known = self.residuals.half_spread[np.isfinite(self.residuals.half_spread)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def inside(self) -> float:
        """Share of the used quotes whose bid and ask enclose the smile; NaN if there are none."""
        bound = self.residuals.inside
        return float(bound.mean()) if self.smile.curve and len(bound) else float("nan")


@dataclass(frozen=True, slots=True)
class SurfaceReading:
    """One symbol at one instant."""

    surface: Surface
    expiries: tuple[Reading, ...]
    tenors: tuple[FixedTenor, ...]
    clock: Clock


def read_surface(
    surface: Surface, chains: Sequence[ChainQuotes], clock: Clock = Clock()
) -> SurfaceReading:
    """The surface on a clock; `chains` are those that it was built of.

    Fixed tenors are interpolated on the calendar clock and then restated, as all the rest is.
    """
    by_expiry = {chain.expiry: chain for chain in chains}
    expiries = tuple(_read(smile, by_expiry[smile.expiry], clock) for smile in surface.smiles)
    tenors = tuple(_tenor_on(tenor, surface, clock) for tenor in fixed_tenors(surface.smiles))
    return SurfaceReading(surface, expiries, tenors, clock)


def ex_date(at: datetime, years: float) -> date:
    """The date of a dividend whose ex-instant is `years` (ACT/365) after `at`.

    That instant is just after a close, so that it is the first session opening then.
    """
    moment = at + timedelta(days=365 * years)
    day = session_day(moment)
    while (session := session_bounds(day)) is None or session[0] < moment:
        day += timedelta(days=1)
    return day


def restated(smile: SmileSnapshot, tau: float) -> SmileSnapshot:
    """The smile with its time to expiry called `tau` years: σ √(τ / τ′) with the same variance.

    A volatility of 18.00 % over 0.0822 calendar years (30 days) is 17.71 % over 0.0849 of trading.
    """
    if smile.curve is None or not tau > 0:
        return smile
    times = sqrt(smile.tau / tau)
    points = smile.quotes
    return replace(
        smile, tau=tau, atm_vol=smile.atm_vol * times, grid_vol=smile.grid_vol * times,
        fit_error=smile.fit_error * times, moved=smile.moved * times,
        quotes=QuotePoints(points.strike, points.log_moneyness, points.bid_iv * times,
                           points.mid_iv * times, points.ask_iv * times),
        desk=None if smile.desk is None else _scaled(smile.desk, times))


def _read(smile: SmileSnapshot, chain: ChainQuotes, clock: Clock) -> Reading:
    days = smile.tau * 365
    if clock.trading:
        smile = restated(smile, trading_year_fraction(
            chain.at, chain.expiry, chain.settlement, clock.closed_weight))
    return Reading(smile, chain, days, rich_cheap(smile))


def _tenor_on(tenor: FixedTenor, surface: Surface, clock: Clock) -> FixedTenor:
    if not clock.trading:
        return tenor
    end = surface.at + timedelta(days=tenor.days)
    tau = trading_years(surface.at, end, clock.closed_weight)
    times = sqrt(tenor.tau / tau) if tau > 0 else float("nan")
    return replace(tenor, tau=tau, atm_vol=tenor.atm_vol * times, desk=_scaled(tenor.desk, times))


def _scaled(desk: DeskMeasures, times: float) -> DeskMeasures:
    return DeskMeasures(*(getattr(desk, name) * times for name in DeskMeasures.__slots__))
