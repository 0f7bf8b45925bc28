"""The forward of one expiry from put-call parity, C − P = D (F − K), near the money.

Two steps. With the discount D free, C − P over many strikes is a line whose slope tells D; that
holds for European exercise only. With D given, each strike quoted on both sides tells a forward
of its own, K + (C − P) / D, and a robust mean of those near the money is the expiry's.

Residuals weigh as those of Student's t with four degrees of freedom (Lange, Little and Taylor,
1989, "Robust statistical modeling using the t distribution"), so that a stale or adjusted pair
hardly counts, however far off it is.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.types import Bools, Floats

Integers = NDArray[np.int64]

MAX_PAIRS: Final = 16
REACH: Final = 1.0
"""Pairs count within so many straddles of the forward: one is 0.8 standard deviations."""
SLOPE_PAIRS, SLOPE_REACH = 100, 3.0
"""As those two, for the slope, which gains from distant strikes."""

_FREEDOM = 4.0  # of Student's t
_ITERATIONS = 12
_CONVERGED = 1e-3  # standard errors
_LEAST_SCALE = 0.3  # of a mid's own deviation: agreement beyond that is chance
_LEAST_DEVIATION = 5e-6  # of the strike: a quote is no more precise than its tick
_SQUARES = 1.45  # variance of this robust mean over mean weighted square: 1.52 normal, 1.37 t
_PRIOR_PAIRS = 2.0  # pairs' worth of belief about how mids err,
_PRIOR_SQUARE = 3.0  # which may be so many times the variance stated
_COMMON = 0.2  # of a pair's deviation: by so much neighbours err alike, as real quotes do


@dataclass(frozen=True, slots=True)
class Pairs:
    """Usable strikes quoted on both sides, of m expiries one after the other; shape (n,).

    Strikes ascend within an expiry.
    """

    begins: Integers
    """Where each expiry begins, and n at the end, shape (m + 1,)."""
    rows: NDArray[np.intp]
    """Where each pair stands in the quotes it was made of."""
    strike: Floats
    difference: Floats
    """Call mid minus put mid."""
    straddle: Floats
    """Call mid plus put mid."""
    deviation: Floats
    """Standard deviation of the difference, in currency."""


def make_pairs(
    expiry: Integers, expiries: int, strike: Floats, call_mid: Floats, put_mid: Floats,
    deviation: Floats,
) -> Pairs:
    """Pairs of `expiries` expiries, whose number each row gives; absurd ones are left out."""
    with np.errstate(all="ignore"):
        difference, straddle = call_mid - put_mid, call_mid + put_mid
        usable = (strike > 0) & (straddle > 0) & (deviation >= 0)
        usable &= np.isfinite(strike + difference + straddle + deviation)
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((strike[rows], expiry[rows]))]
    begins = np.searchsorted(expiry[rows], np.arange(expiries + 1))
    deviation = np.maximum(deviation[rows], _LEAST_DEVIATION * strike[rows])
    return Pairs(begins, rows, strike[rows], difference[rows], straddle[rows], deviation)


def parity_forwards(
    pairs: Pairs, discount: Floats, discount_error: Floats
) -> tuple[Floats, Bools]:
    """Per expiry forward, standard error, number of pairs, straddle; and which pairs were used.

    `discount` is given per expiry, with its relative standard error, shape (m,). The straddle is
    that at the money. Returns arrays of shape (m, 4) and (n,); NaN without a usable pair.
    """
    fits, used = _fit(pairs, discount, False, MAX_PAIRS, REACH)
    forward, error, lever, count, straddle = fits.T
    error = np.hypot(error, lever * discount_error)
    return np.stack([forward, error, count, straddle], axis=1), used


def parity_discounts(
    pairs: Pairs, flat: Floats, most: int = SLOPE_PAIRS, reach: float = SLOPE_REACH
) -> tuple[Floats, Floats, Bools]:
    """Per expiry the discount that the slope of C − P over strikes tells, and its standard error.

    And which pairs were used, shape (n,): those within `reach` straddles of the forward, but `most`
    of them. `flat` is a guess, shape (m,), from which the search starts. The error is infinite
    with fewer than three pairs.
    """
    fits, used = _fit(pairs, flat, True, most, reach)
    return fits[:, 0].copy(), fits[:, 1].copy(), used


def _fit(
    pairs: Pairs, slope: Floats, free: bool, most: int, reach: float
) -> tuple[Floats, Bools]:
    fits = np.full((len(slope), 5), np.nan)
    used = np.zeros(len(pairs.strike), dtype=np.bool_)
    _fit_all(pairs.begins, pairs.strike, pairs.difference, pairs.deviation, pairs.straddle,
             slope, free, most, reach, fits, used)
    return fits, used


@compiled
def _fit_all(
    begins: Integers, strike: Floats, difference: Floats, deviation: Floats, straddle: Floats,
    slope: Floats, free: bool, most: int, reach: float, fits: Floats, used: Bools,
) -> None:
    """Per expiry a row of `fits`: D and error if it is free, else all that is said of forwards."""
    rows = np.empty(most, dtype=np.int64)
    work = np.empty((6, max(len(strike), 3)))
    for i in range(len(slope)):
        first, end = begins[i], begins[i + 1]
        fits[i, 3] = 0.0
        centre = _centre(first, end, strike, difference, deviation, slope[i], work)
        count = 0
        for _ in range(1 if free else 2):
            if not centre > 0.0:
                break
            count = _nearest(first, end, strike, straddle, centre, reach, rows, work[0])
            for j in range(count):
                row = rows[j]
                work[0, j], work[1, j] = centre - strike[row], difference[row]
                work[2, j] = deviation[row] ** -2
            level, line, level_error, line_error, lever = _line(work, count, slope[i], free)
            if free:
                fits[i, 0], fits[i, 1] = line, line_error
                break
            centre += level / line
            fits[i, 0], fits[i, 1], fits[i, 2] = centre, level_error / line, lever
        fits[i, 3] = count
        for j in range(count):
            used[rows[j]] = True
            work[0, j] = straddle[rows[j]]
        fits[i, 4] = middle(work[0], min(count, 3))


@compiled
def _centre(
    first: int, end: int, strike: Floats, difference: Floats, deviation: Floats, slope: float,
    work: Floats,
) -> float:
    """Median forward of the more precise half of the pairs; NaN without any."""
    count = 0
    for row in range(first, end):
        work[0, row - first] = deviation[row]
    limit = middle(work[0], end - first)
    for row in range(first, end):
        if deviation[row] <= limit:
            work[0, count] = strike[row] + difference[row] / slope
            count += 1
    return middle(work[0], count)


@compiled
def _nearest(
    first: int, end: int, strike: Floats, straddle: Floats, centre: float, reach: float,
    rows: Integers, work: Floats,
) -> int:
    """Fills `rows` with the usable strikes nearest to the centre, and counts them.

    Those within `reach` straddles of it, but three at least.
    """
    above = first
    while above < end and strike[above] < centre:
        above += 1
    below = above - 1
    width, count = math.inf, 0
    while count < len(rows):
        up = strike[above] - centre if above < end else math.inf
        down = centre - strike[below] if below >= first else math.inf
        if min(up, down) == math.inf or (count >= 3 and min(up, down) > width):
            break
        row = above if up < down else below
        if up < down:
            above += 1
        else:
            below -= 1
        rows[count] = row
        count += 1
        if count == 3:
            work[0], work[1], work[2] = straddle[rows[0]], straddle[rows[1]], straddle[rows[2]]
            width = reach * middle(work, 3)
    return count


@compiled
def _line(
    work: Floats, count: int, slope: float, free: bool
) -> tuple[float, float, float, float, float]:
    """Robust line through x, y of weights in rows 0 to 2 of `work`, its slope free or given.

    Level at x = 0, slope, the standard errors of both, and how the level over the slope moves
    with the slope's logarithm. Rows 3 to 5 are scratch.
    """
    level, old = math.nan, math.nan
    total = squares = emphases = mean_x = spread = 0.0
    for j in range(count):
        work[3, j] = work[1, j] - slope * work[0, j]
    level = middle(work[3], count)
    for _ in range(_ITERATIONS):
        for j in range(count):
            work[4, j] = abs(work[1, j] - level - slope * work[0, j]) * math.sqrt(work[2, j])
            work[5, j] = work[4, j]
        scale = max(1.4826 * middle(work[5], count), _LEAST_SCALE)
        total = squares = emphases = mean_x = mean_y = 0.0
        for j in range(count):
            emphasis = (_FREEDOM + 1.0) / (_FREEDOM + (work[4, j] / scale) ** 2)
            work[3, j] = emphasis * work[2, j]
            emphases += emphasis
            squares += emphasis * work[4, j] ** 2
            total += work[3, j]
            mean_x += work[3, j] * work[0, j]
            mean_y += work[3, j] * work[1, j]
        mean_x, mean_y = mean_x / total, mean_y / total
        if free:
            spread = product = 0.0
            for j in range(count):
                spread += work[3, j] * (work[0, j] - mean_x) ** 2
                product += work[3, j] * (work[0, j] - mean_x) * (work[1, j] - mean_y)
            slope = product / spread
        old, level = level, mean_y - slope * mean_x
        if abs(level - old) * math.sqrt(total) < _CONVERGED:
            break
    freedom = max(emphases - (2.0 if free else 1.0), 0.0)
    inflation = (_PRIOR_PAIRS * _PRIOR_SQUARE + _SQUARES * squares) / (_PRIOR_PAIRS + freedom)
    slope_error = math.inf
    if count >= 3 and spread > 0.0:
        slope_error = math.sqrt((inflation + _COMMON**2 * emphases) / spread)
    level_error = math.sqrt((inflation + _COMMON**2 * emphases) / total)
    return level, slope, level_error, slope_error, mean_x


@compiled
def middle(values: Floats, count: int) -> float:
    """The upper median of the first `count` values, which it reorders; NaN of none.

    Hoare (1961), "Algorithm 65: find".
    """
    if count == 0:
        return math.nan
    middle, low, high = count // 2, 0, count - 1
    while low < high:
        pivot, i, j = values[middle], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        low = i if j < middle else low
        high = j if middle < i else high
    return float(values[middle])
