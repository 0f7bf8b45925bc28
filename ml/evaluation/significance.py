"""How sure a difference between two forecasts is: a test of the mean, an interval of a ratio.

Forecasts of one step of time share what happens next, and so do forecasts whose horizons overlap:
losses are added up by step first, and steps nearer than the horizon count as dependent. Days are
independent of each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from ml.types import Floats, Ints

NIGHT_S = 6 * 3600.0
"""Instants further apart than this are of different sessions."""
MIN_FREEDOM = 1.0
"""Least degrees of freedom of an error's estimate that a p-value is given for."""
MIN_BLOCKS = 5
"""Least independent stretches of time that an interval is given for."""
_SLACK_S = 1e-6  # what a datetime loses as seconds since 1970
_AT_ONCE = 2**18  # blocks drawn together, so that memory stays small
Statistic = Callable[[Floats], Floats]
"""From sums (D, K) to numbers (D,)."""


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """The test of equal losses; NaN where there are too few independent steps to tell."""

    statistic: float
    """Mean over its error; below zero the first forecast is the better one."""
    p_value: float
    """Two-sided, by Student's t."""
    mean: float
    """Weighted mean of loss − rival."""
    error: float
    """Its standard error."""
    steps: int
    """Those of time that hold a loss."""


def diebold_mariano(loss: Floats, rival: Floats, at_s: Floats, horizon_s: float, step_s: float,
                    weight: Floats | None = None) -> DieboldMariano:
    """Whether two forecasts' losses (N,), made at `at_s` (N,), differ in the mean.

    `weight` (N,) is how many forecasts each loss is the mean of, by default one. The mean is over
    these, so that its sign is that of R² out of sample, turned. Pairs of which a loss is unknown
    are left out. Losses are added up by step of the epoch's clock, n steps in all, and the
    error counts covariances between steps of one day whose forecasts can share a part of the
    horizon (and between at least n^(1/3) steps; Diebold and Mariano 1995, "Comparing predictive
    accuracy"). Its bias from taking out the mean is corrected as Harvey, Leybourne and Newbold
    1997 do: with a share p of all n² pairs of steps counted, each by the product of its weights,
    the variance of the mean is divided by 1 − p, which for one unbroken day, h steps and equal
    weights is their (n + 1 − 2h + h(h − 1)/n)/n. Student's t has 1/p − 1 degrees of freedom, the
    lag window's equivalent, which is their n − 1 for h = 1.

    Losses 1, 2, 3, 6 beside zeros, a day apart: mean 3, error √(3.5/3) = 1.080, statistic 2.777,
    p-value 0.069.
    """
    known = np.isfinite(loss - rival)
    difference, times = (loss - rival)[known], at_s[known]
    counted = np.ones(len(times)) if weight is None else weight[known]
    steps, sums = by_step(times, np.column_stack([counted, counted * difference]), step_s)
    if not len(steps):
        return _undecided(np.nan, 0)
    weights, size = sums[:, 0], len(steps)
    mean = float(sums[:, 1].sum() / weights.sum())
    lags = _lags(times, horizon_s, step_s, size)
    centred = np.stack([sums[:, 1] - weights * mean, weights])
    variance, pairs = _variance_of_sum(centred, _slots(steps, step_s, lags), lags)
    share = pairs / weights.sum()**2
    freedom = 1.0 / share - 1.0
    if freedom < MIN_FREEDOM or variance <= 0.0:
        return _undecided(mean, size)
    error = float(np.sqrt(variance / (1.0 - share)) / weights.sum())
    statistic = mean / error
    return DieboldMariano(statistic, float(2.0 * student.sf(abs(statistic), freedom)), mean, error,
                          size)


def _undecided(mean: float, steps: int) -> DieboldMariano:
    return DieboldMariano(np.nan, np.nan, mean, np.nan, steps)


def by_step(at_s: Floats, values: Floats, step_s: float) -> tuple[Ints, Floats]:
    """Steps of the epoch's clock that hold an instant, ascending (n,), and what `values` (N, K)
    add up to in each, (n, K)."""
    steps, places = np.unique(np.floor((at_s + _SLACK_S) / step_s), return_inverse=True)
    sums = np.stack([np.bincount(places, column, len(steps)) for column in values.T], axis=1)
    return steps.astype(np.int64), np.asarray(sums, float)


def sessions(times: Floats) -> Ints:
    """The number, from 0, of the session that each of ascending instants (n,) is of."""
    return np.cumsum(np.diff(times, prepend=times[:1]) > NIGHT_S)


def _lags(at_s: Floats, horizon_s: float, step_s: float, size: int) -> int:
    """How many steps apart forecasts are at most that count as dependent."""
    overlapping = math.ceil(horizon_s / step_s - _SLACK_S) - 1
    # Of instants that are not steps apart, a late one meets an early one of a step further on.
    scattered = np.ptp((at_s + _SLACK_S) % step_s) > 2.0 * _SLACK_S
    return max(overlapping + int(scattered), int(np.cbrt(size)) - 1, 0)


def _slots(steps: Ints, step_s: float, lags: int) -> Ints:
    """Each step's place on a line on which gaps, and nights always, are just wider than `lags`."""
    gap = np.diff(steps, prepend=steps[:1])
    return np.cumsum(np.where(gap * step_s > NIGHT_S, lags + 1, np.minimum(gap, lags + 1)))


def _variance_of_sum(values: Floats, slots: Ints, lags: int) -> tuple[float, float]:
    """Of centred values and weights (2, n): the estimated variance of the sum of the first, and
    the sum of the second's products over the ordered pairs that it counts.

    Missing slots are zeros (Parzen 1963). The rectangular window is unbiased for overlapping
    horizons but can fall to nothing, so that Bartlett's of the same lags is its floor.
    """
    line = np.zeros((2, slots[-1] + 1 + lags))
    line[:, slots] = values
    products = np.array([[2.0 * row[lag:] @ row[:len(row) - lag] for row in line]
                         for lag in range(lags + 1)])
    products[0] /= 2.0
    bartlett = 1.0 - np.arange(lags + 1) / (lags + 1)
    return max(float(products[:, 0].sum()), float(bartlett @ products[:, 0])), \
        float(products[:, 1].sum())


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a statistic; NaN where there is too little to tell."""

    lower: float
    upper: float


def block_bootstrap(sums: Floats, at_s: Floats, block_s: float, statistic: Statistic, *,
                    level: float = 0.9, draws: int = 1000, seed: int = 0) -> Interval:
    """Interval of a statistic of summed columns `sums` (N, K), seen at `at_s` (N,).

    Stretches of time `block_s` long are drawn with replacement, circular within a day (Politis and
    Romano 1992, "A circular block-resampling procedure for stationary data"), and their columns
    summed: `statistic` maps these (D, K) to (D,). With columns (loss, rival) and
    1 − loss/rival it is the interval of R² out of sample; where every loss is 0.9 of its rival,
    (0.1, 0.1). NaN where time holds fewer than `MIN_BLOCKS` blocks.
    """
    instants, places = np.unique(at_s, return_inverse=True)
    times = np.asarray(instants, float)
    columns = np.zeros((len(times), sums.shape[1]))
    np.add.at(columns, places, sums)
    blocks, count = _blocks(times, columns, block_s)
    if count < MIN_BLOCKS:
        return Interval(np.nan, np.nan)
    random, piece = np.random.default_rng(seed), max(1, _AT_ONCE // count)
    drawn = np.concatenate([
        blocks[random.integers(0, len(blocks), (min(piece, draws - done), count))].sum(axis=1)
        for done in range(0, draws, piece)])  # (D, K)
    tails = (1.0 - level) / 2.0
    lower, upper = np.quantile(statistic(drawn), (tails, 1.0 - tails))
    return Interval(float(lower), float(upper))


def _blocks(times: Floats, columns: Floats, block_s: float) -> tuple[Floats, int]:
    """The sums of the block that begins at each instant (n, K), and how many make up the whole."""
    day, parts, spanned = sessions(times), [], 0.0
    for number in range(int(day[-1]) + 1 if len(day) else 0):
        chosen = day == number
        inside, values = times[chosen], columns[chosen]
        gap = float(np.median(np.diff(inside))) if len(inside) > 1 else block_s
        length = inside[-1] - inside[0] + gap
        spanned += length
        around = np.concatenate([inside, inside + length])
        total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values, values]), axis=0)
        # A day shorter than a block is a block of its own.
        end = np.searchsorted(around, inside + min(block_s, length) - 1e-6)
        parts.append(total[end] - total[:len(inside)])
    return (np.concatenate(parts) if parts else columns), int(spanned / block_s)


def r2_interval(loss: Floats, rival: Floats, at_s: Floats, horizon_s: float) -> Interval:
    """The 90 % interval of 1 − Σ loss / Σ rival (N,) over stretches of two horizons.

    Stretches of one would leave out a third of the variance that overlapping horizons bring.
    """
    known = np.isfinite(loss - rival)
    return block_bootstrap(np.column_stack([loss, rival])[known], at_s[known], 2.0 * horizon_s,
                           lambda sums: 1.0 - sums[:, 0] / sums[:, 1])
