"""How sure a difference between two forecasts is: a test of the mean, an interval of a ratio.

Forecasts of one instant share what happens next, and so do forecasts whose horizons overlap: losses
are averaged by instant first, and instants nearer than the horizon count as dependent. Days are
independent of each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ml.types import Floats

NIGHT_S = 6 * 3600.0
"""Instants further apart than this are of different sessions."""
MIN_FREEDOM = 1.0
"""Least degrees of freedom of an error's estimate that a p-value is given for."""
MIN_BLOCKS = 5
"""Least independent stretches of time that an interval is given for."""
_AT_ONCE = 2**18  # blocks drawn together, so that memory stays small
Statistic = Callable[[Floats], Floats]
"""From sums (D, K) to numbers (D,)."""


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """The test of equal losses; NaN where there are too few independent instants to tell."""

    statistic: float
    """Mean over its error; below zero the first forecast is the better one."""
    p_value: float
    """Two-sided, by Student's t."""
    mean: float
    """Mean of loss − rival over instants."""
    error: float
    """Its standard error."""
    instants: int


def diebold_mariano(loss: Floats, rival: Floats, at_s: Floats, horizon_s: float,
                    step_s: float) -> DieboldMariano:
    """Whether two forecasts' losses (N,), made at `at_s` (N,), differ in the mean.

    Several losses of one instant are averaged; pairs of which one is unknown are left out. The
    error counts covariances between instants of one day less than a horizon apart (and at least
    n^(1/3) steps), n being the instants (Diebold and Mariano 1995, "Comparing predictive
    accuracy"). Its bias from taking out the mean is corrected as Harvey, Leybourne and Newbold
    1997 do: with p ordered pairs of instants counted, the variance of the mean is divided by
    1 − p/n², which for one unbroken day and h steps is their (n + 1 − 2h + h(h − 1)/n)/n. Student's
    t has n²/p − 1 degrees of freedom, the lag window's equivalent, which is their n − 1 for h = 1.

    Losses 1, 2, 3, 6 beside zeros, a day apart: mean 3, error √(3.5/3) = 1.080, statistic 2.777,
    p-value 0.069.
    """
    known = np.isfinite(loss - rival)
    times, means = by_instant(at_s[known], (loss - rival)[known, None])
    if not len(times):
        return _undecided(np.nan, 0)
    difference, size = means[:, 0], len(times)
    mean = float(difference.mean())
    lags = max(round(horizon_s / step_s) - 1, int(size ** (1 / 3)) - 1, 0)
    variance, pairs = _variance_of_sum(difference - mean, _slots(times, step_s, lags), lags)
    share = pairs / size**2
    freedom = 1.0 / share - 1.0
    if freedom < MIN_FREEDOM or variance <= 0.0:
        return _undecided(mean, size)
    error = float(np.sqrt(variance / (1.0 - share))) / size
    statistic = mean / error
    return DieboldMariano(statistic, float(2.0 * student.sf(abs(statistic), freedom)), mean, error,
                          size)


def _undecided(mean: float, instants: int) -> DieboldMariano:
    return DieboldMariano(np.nan, np.nan, mean, np.nan, instants)


def by_instant(at_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Distinct instants ascending (n,), and the mean of `values` (N, K) at each, (n, K)."""
    times, places, counts = np.unique(at_s, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(places, column, len(times)) for column in values.T], axis=1)
    return times, sums / counts[:, None]


def sessions(times: Floats) -> NDArray[np.int64]:
    """The number, from 0, of the session that each of ascending instants (n,) is of."""
    return np.cumsum(np.diff(times, prepend=times[:1]) > NIGHT_S)


def _slots(times: Floats, step_s: float, lags: int) -> NDArray[np.int64]:
    """Each instant's place on a clock of steps on which days are more than `lags` apart."""
    day = sessions(times)
    first = np.unique(day, return_index=True)[1]
    inside = np.round((times - times[first][day]) / step_s).astype(np.int64)
    # Two instants nearer than a step must not fall into one slot: the later one moves on.
    order = np.arange(len(times)) - first[day]
    inside = np.maximum.accumulate(inside - order + day * len(times)) - day * len(times) + order
    length = np.maximum.reduceat(inside, first) + 1 + lags
    return np.asarray((np.cumsum(length) - length)[day] + inside)


def _variance_of_sum(centred: Floats, slots: NDArray[np.int64], lags: int) -> tuple[float, float]:
    """Estimated variance of the sum of values (n,), and how many ordered pairs it counts.

    Missing slots are zeros (Parzen 1963). The rectangular window is unbiased for overlapping
    horizons but can fall to nothing, so that Bartlett's of the same lags is its floor.
    """
    line = np.zeros((2, slots[-1] + 1 + lags))
    line[0, slots], line[1, slots] = centred, 1.0
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
