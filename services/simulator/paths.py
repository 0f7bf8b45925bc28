"""The factors that drive the synthetic market: a pure function of seed, symbol and second.

Six paths, one value a second, around the clock and around the year: the logarithm of the spot,
and five stationary Ornstein-Uhlenbeck (OU) factors. Their values at each UTC midnight come from
one exact recursion since 2000; between two midnights each path is the exact bridge of its
process, drawn from a generator keyed by the day. So a day costs one vectorised computation, any
day can be asked alone, the path is continuous across midnight, and an observer sees a plain OU
process: a bridge towards an endpoint drawn from the right law plants no predictability.

The spot's variance is `VARIANCE_RATIO` of the surface's instantaneous variance, uniform over
the 24 hours (year fractions are ACT/365); its shocks are correlated with those of the variance
factors (the leverage effect). Predictable by design is only the mean reversion: half-lives of
weeks and days, which an intraday forecast can't see, and of minutes in `fast`, whose stationary
deviation is 0.25 % of the volatility.
"""

from collections import OrderedDict
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ml.types import Floats
from services.simulator import noise
from services.simulator.errors import NoMarket
from services.simulator.factors import FACTORS, SPOT_HALF_LIFE_DAYS, VARIANCE_RATIO, Factor
from services.simulator.surface import instantaneous_variance

Steps = NDArray[np.int64]
"""Whole seconds since 1970, UTC."""

DAY = 86_400
YEAR_S = 365.0 * DAY
FIRST_DAY, LAST_DAY = 10_957, 47_482
"""2000-01-01 and 2100-01-01 as days since 1970."""
CACHED_DAYS = 4


class FactorPaths:
    """The paths of one symbol; `at` is the only thing to ask."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._seed, self._symbol = seed, symbol
        self._midnights = self._all_midnights()
        self._days: OrderedDict[int, Floats] = OrderedDict()

    def at(self, steps: Steps) -> Floats:
        """Factors at `steps` of any shape: (6, *shape), rows log-spot offset and `FACTORS`.

        Raises:
            NoMarket: outside 2000 to 2099.
        """
        days, seconds = np.divmod(steps, DAY)
        first, last = int(days.min()), int(days.max())
        if first == last:
            return self._day(first)[:, seconds]
        values = np.empty((1 + len(FACTORS), *steps.shape))
        for day in np.unique(days):
            here = days == day
            values[:, here] = self._day(int(day))[:, seconds[here]]
        return values

    def midnight_spot(self, day: int) -> float:
        """The log-spot offset at the start of a UTC day, without computing the day."""
        return float(self._midnights[0, self._place(day)])

    def _place(self, day: int) -> int:
        if not FIRST_DAY <= day < LAST_DAY:
            raise NoMarket("the synthetic market runs from 2000 to 2099")
        return day - FIRST_DAY

    def _day(self, day: int) -> Floats:
        if day not in self._days:
            self._days[day] = self._compute_day(day)
            if len(self._days) > CACHED_DAYS:
                self._days.popitem(last=False)
        self._days.move_to_end(day)
        return self._days[day]

    def _normals(self, name: object, shape: tuple[int, ...]) -> Floats:
        bits = np.random.Philox(key=noise.key(self._seed, self._symbol, name))
        return np.random.Generator(bits).standard_normal(shape)

    def _all_midnights(self) -> Floats:
        shocks = self._normals("midnights", (1 + len(FACTORS), LAST_DAY - FIRST_DAY + 1))
        values = np.empty_like(shocks)
        for row, factor in enumerate(FACTORS, start=1):
            values[row] = _recursion(factor, _correlated(factor, shocks[row], shocks[0]))
        daily = np.sqrt(_spot_variance(values[1], values[3]) * DAY / YEAR_S)
        decay = np.exp(-np.log(2.0) / SPOT_HALF_LIFE_DAYS)
        values[0] = _recur(0.0, decay, daily * shocks[0])
        return values

    def _compute_day(self, day: int) -> Floats:
        place = self._place(day)
        starts, ends = self._midnights[:, place], self._midnights[:, place + 1]
        shocks = self._normals(day, (1 + len(FACTORS), DAY))
        values = np.empty_like(shocks)
        for row, factor in enumerate(FACTORS, start=1):
            own = _correlated(factor, shocks[row], shocks[0])
            values[row] = _bridge(factor, own, starts[row], ends[row])
        variance = _spot_variance(values[1], values[3]) / YEAR_S
        values[0] = _spot_bridge(variance, shocks[0], starts[0], ends[0])
        return values


def _spot_variance(level: Floats, short: Floats) -> Floats:
    """Variance of the log-spot per year."""
    variance: Floats = VARIANCE_RATIO * instantaneous_variance(level, short)
    return variance


def _correlated(factor: Factor, own: Floats, spot: Floats) -> Floats:
    share = factor.leverage
    mixed: Floats = share * spot + np.sqrt(1.0 - share * share) * own
    return mixed


def _recursion(factor: Factor, shocks: Floats) -> Floats:
    """Stationary OU values at successive midnights; the shock of index d leads to d + 1."""
    decay = np.exp(-factor.rate)
    drive = factor.deviation * np.sqrt(1.0 - decay * decay) * shocks
    start = factor.deviation * shocks[0]
    return _recur(start, decay, drive)


def _recur(start: float, decay: float, drive: Floats) -> Floats:
    """x₀ = start, xᵢ₊₁ = decay · xᵢ + driveᵢ; as long as `drive`, whose last is not used."""
    steps = accumulate(drive[:-1].tolist(), lambda x, shock: decay * x + shock, initial=start)
    return np.fromiter(steps, dtype=np.float64, count=len(drive))


def _bridge(factor: Factor, shocks: Floats, start: float, end: float) -> Floats:
    """The OU path over one day between two given values; shape (DAY,), the end excluded.

    A free path plus the correction sinh(κt)/sinh(κT) of its miss has the exact law of the
    bridge (Gaussian conditioning); the ratio is written so that it can't overflow.
    """
    rate = factor.rate / DAY
    decay = np.exp(-rate)
    drive = factor.deviation * np.sqrt(1.0 - decay * decay) * shocks
    step = np.arange(DAY)
    growth = np.exp(rate * np.arange(DAY + 1))  # at most 2^72, for half-lives of 20 minutes
    free = (start + np.concatenate([[0.0], np.cumsum(drive * growth[1:])])) / growth
    pull = (np.exp(rate * (step - DAY)) * np.expm1(-2.0 * rate * step)
            / np.expm1(-2.0 * rate * DAY))
    path: Floats = free[:-1] + (end - free[-1]) * pull
    return path


def _spot_bridge(variance: Floats, shocks: Floats, start: float, end: float) -> Floats:
    """The log-spot over one day, its clock running by accumulated variance; shape (DAY,)."""
    free = start + np.concatenate([[0.0], np.cumsum(np.sqrt(variance) * shocks)])
    clock = np.concatenate([[0.0], np.cumsum(variance)])
    path: Floats = free[:-1] + (end - free[-1]) * clock[:-1] / clock[-1]
    return path
