"""Made-up histories of smiles, as series, for the tests of training and serving."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from ml.calendar import expiry_instant, session_bounds, session_day
from ml.features import INSTANT_FEATURES
from ml.history import Observed, Series
from ml.smile.grid import GRID_Z, vol_at

DAYS = (date(2026, 8, 3), date(2026, 8, 4), date(2026, 8, 5), date(2026, 8, 6), date(2026, 8, 7))
SHAPE = 1.0 - 0.12 * GRID_Z + 0.03 * GRID_Z**2
"""Of a smile, in units of its at-the-money volatility."""
QUOTED_Z = np.linspace(-2.4, 1.4, 24)


def make_history(days: int = 3, minutes: int = 120, expiries: int = 2, seed: int = 0,
                 step_s: float = 60.0, pull: float = 0.0, noise: float = 0.0) -> list[Series]:
    """Series of `expiries`, each `minutes` a day from the open on.

    The at-the-money volatility is a random walk of 3 bp a minute, pulled back to 18 % by `pull`
    a minute; `noise` is the standard deviation of what quotes add to it.
    """
    random = np.random.default_rng(seed)
    at = [moment for day in DAYS[:days] for moment in _minutes(day, minutes, step_s)]
    dates = [date(2026, 8, 14) + timedelta(weeks=number) for number in range(expiries)]
    return [_series(expiry, at, step_s, pull, noise, random) for expiry in dates]


def _minutes(day: date, minutes: int, step_s: float) -> list[datetime]:
    session = session_bounds(day)
    assert session is not None
    steps = int(minutes * 60 / step_s)
    return [session[0] + timedelta(seconds=step_s * number) for number in range(1, steps + 1)]


def _series(expiry: date, at: list[datetime], step_s: float, pull: float, noise: float,
            random: np.random.Generator) -> Series:
    shocks = random.normal(0.0, 3e-4 * np.sqrt(step_s / 60.0), len(at))
    atm = np.empty(len(at))
    level = 0.18
    for row, shock in enumerate(shocks):
        level += pull * (0.18 - level) + shock
        atm[row] = level
    observed_atm = atm + random.normal(0.0, noise, len(at))
    forward = 640.0 * np.exp(np.cumsum(random.normal(0.0, 2e-4, len(at))))
    tau = np.array([(expiry_instant(expiry) - one).total_seconds() for one in at]) / 31_536_000
    grid = observed_atm[:, None] * SHAPE
    return Series(
        symbol="SPY", expiry=expiry, at=at, times_s=np.array([one.timestamp() for one in at]),
        day=[session_day(one) for one in at], tau=tau, underlying=forward, forward=forward,
        atm_vol=observed_atm, grid_vol=grid, grid_observed=np.ones(grid.shape, bool),
        features=_features(at, tau, grid, random),
        quotes=[_quotes(smile, years) for smile, years in zip(grid, tau, strict=True)])


def _features(at: list[datetime], tau: np.ndarray, grid: np.ndarray,
              random: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0.0, np.pi, len(at))
    columns = dict.fromkeys(INSTANT_FEATURES, np.zeros(len(at)))
    columns |= {"log_tau": np.log(tau), "atm_vol": grid[:, 10], "skew": grid[:, 6] - grid[:, 14],
                "curvature": grid[:, 6] + grid[:, 14] - 2 * grid[:, 10],
                "half_spread": random.uniform(5e-4, 8e-4, len(at)),
                "session_sin": np.sin(angle), "session_cos": np.cos(angle)}
    return np.column_stack([columns[name] for name in INSTANT_FEATURES])


def _quotes(smile: np.ndarray, tau: float) -> Observed:
    log_moneyness = QUOTED_Z * smile[10] * np.sqrt(tau)
    mid = vol_at(smile, tau, log_moneyness)
    return Observed(log_moneyness, mid, np.full(len(mid), 6e-4))


def utc(*parts: int) -> datetime:
    """An aware instant."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
