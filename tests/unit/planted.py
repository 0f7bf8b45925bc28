"""Made-up markets of which it is known how much of them can be forecast; no option is priced.

A smile is its usual shape plus a level and a slope:

    smile_t = SHAPE · 18 % + level_t · LEVEL + slope_t · SLOPE

The level is a random walk that answers to the last minute's scaled return, the slope reverts to
zero. Without either answer or pull nothing can be forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from ml.calendar import expiry_instant, session_bounds, session_day, session_fraction
from ml.dataset import Dataset
from ml.features import INSTANT_FEATURES
from ml.folds import Part
from ml.history import Observed, Series
from ml.smile.grid import GRID_Z, vol_at
from tests.unit.smiles import SHAPE

LEVEL = np.ones(17) / np.sqrt(17)
SLOPE = (GRID_Z - GRID_Z.mean()) / np.linalg.norm(GRID_Z - GRID_Z.mean())
STEP_VOL = 1.2e-3
"""Standard deviation of the level's minute changes along `LEVEL`: 3 bp at each point."""
RETURN_VOL = 2e-4
QUOTED_Z = np.linspace(-2.3, 1.3, 8)
FIRST_DAY = date(2026, 3, 2)
EXPIRY = date(2026, 5, 15)


@dataclass(frozen=True, slots=True)
class Market:
    """What is planted, per minute."""

    answer: float = 0.0
    """Share of the level's variance that answers to the last return."""
    pull: float = 0.0
    """Share of the slope that is gone after a minute; 1 for none to be there at all."""
    slope_vol: float = 0.0
    """Standard deviation of the slope, along `SLOPE`."""


RANDOM_WALK = Market()


@dataclass(frozen=True, slots=True)
class Planted:
    """A history and what drives it; T rows."""

    series: Series
    scaled_return: np.ndarray
    slope: np.ndarray
    market: Market

    def best(self, dataset: Dataset, part: Part) -> np.ndarray:
        """The best possible forecast of the change against the filtered smile, (n, H, 17)."""
        at = np.searchsorted(self.series.times_s, dataset.samples.at_s[part.places])
        steps = np.asarray(dataset.args.horizons_s) / 60.0
        answered = np.sqrt(self.market.answer) * STEP_VOL * self.scaled_return[at]
        reverted = self.slope[at, None] * ((1.0 - self.market.pull) ** steps - 1.0)
        latest = self.series.grid_vol[at] - dataset.samples.filtered[part.places]
        return (latest[:, None] + answered[:, None, None] * LEVEL
                + reverted[:, :, None] * SLOPE)


def plant(market: Market, days: int, minutes: int, seed: int) -> Planted:
    """One expiry over this many days, each with this many minutes from the open on."""
    random = np.random.default_rng(seed)
    at = _instants(days, minutes)
    scaled = random.normal(0.0, 1.0, len(at))
    forward = 640.0 * np.exp(np.cumsum(RETURN_VOL * scaled))
    level = np.cumsum(STEP_VOL * (np.sqrt(market.answer) * np.append(0.0, scaled[:-1])
                                  + np.sqrt(1.0 - market.answer) * random.normal(size=len(at))))
    slope = _reverting(market, random.normal(size=len(at)))
    grid = 0.18 * SHAPE + np.outer(level - level.mean(), LEVEL) + np.outer(slope, SLOPE)
    return Planted(_series(at, forward, grid, random), scaled, slope, market)


def _reverting(market: Market, shocks: np.ndarray) -> np.ndarray:
    kept = 1.0 - market.pull
    slope = np.empty(len(shocks))
    now = market.slope_vol * shocks[0]
    for row, shock in enumerate(shocks):
        now = kept * now + np.sqrt(1.0 - kept**2) * market.slope_vol * shock
        slope[row] = now
    return slope


def _instants(days: int, minutes: int) -> list[datetime]:
    dates = (FIRST_DAY + timedelta(days=number) for number in range(2 * days + 7))
    sessions = [session for session in map(session_bounds, dates) if session is not None]
    return [session[0] + timedelta(minutes=minute) for session in sessions[:days]
            for minute in range(1, minutes + 1)]


def _series(at: Sequence[datetime], forward: np.ndarray, grid: np.ndarray,
            random: np.random.Generator) -> Series:
    tau = np.array([(expiry_instant(EXPIRY) - one).total_seconds() for one in at]) / 31_536_000
    return Series(
        symbol="SPY", expiry=EXPIRY, at=list(at),
        times_s=np.array([one.timestamp() for one in at]), day=[session_day(one) for one in at],
        tau=tau, underlying=forward, forward=forward, atm_vol=grid[:, 10], grid_vol=grid,
        grid_observed=np.ones(grid.shape, bool), features=_features(at, tau, grid, random),
        quotes=[_quotes(smile, years) for smile, years in zip(grid, tau, strict=True)])


def _features(at: Sequence[datetime], tau: np.ndarray, grid: np.ndarray,
              random: np.random.Generator) -> np.ndarray:
    """Those of the smile are right, the others noise."""
    angle = np.pi * np.array([session_fraction(one) for one in at])
    columns = {name: random.normal(size=len(at)) for name in INSTANT_FEATURES}
    columns |= {"log_tau": np.log(tau), "atm_vol": grid[:, 10], "skew": grid[:, 6] - grid[:, 14],
                "curvature": grid[:, 6] + grid[:, 14] - 2 * grid[:, 10],
                "session_sin": np.sin(angle), "session_cos": np.cos(angle)}
    return np.column_stack([columns[name] for name in INSTANT_FEATURES])


def _quotes(smile: np.ndarray, tau: float) -> Observed:
    log_moneyness = QUOTED_Z * smile[10] * np.sqrt(tau)
    return Observed(log_moneyness, vol_at(smile, tau, log_moneyness),
                    np.full(len(log_moneyness), 6e-4))
