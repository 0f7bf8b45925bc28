"""The lattice on which one expiry's American options are rolled back.

Its nodes are equidistant in a Brownian motion W, the underlying without its dividends being
X(t) = X(0) e^((r − q) t + σ W − σ² t / 2): one lattice serves every strike and volatility. Its time
steps end on ex-dividend instants. Going back one step averages over 2·TAPS + 1 nodes with weights
that have the first 2·TAPS + 1 moments of the normal distribution, so that a polynomial of that
degree is averaged exactly. There are three levels of 1, 2 and 4 times the steps, each with nodes
√2 times as dense, for extrapolation.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.types import Floats

TAPS: Final = 6
LEVELS: Final = 3
CAPACITY: Final = 1024
"""Nodes that a slice may have."""
_VARIANCE = 1.8
"""Of the longest step, in squared node distances: wide enough to smooth what is between nodes."""
_UNEVEN = 1.8
"""The longest step over the shortest, lest that be too short to smooth; but for the first step,
after which nothing needs smoothing, and down to _FINEST of the step asked for."""
_FINEST = 0.4
_SHORT_CALL, _SHORT_PUT = 0.3, 0.25
"""How close to expiry, in steps of the coarsest level, the last ex-dividend instant becomes the
last slice: what is lost is exercise after it."""
_REACH = 6.5  # standard deviations that the density covers


def _moment_inverse() -> Floats:
    node = np.arange(TAPS + 1.0)
    moments = np.where(node > 0, 2.0, 1.0) * node ** (2.0 * np.arange(TAPS + 1)[:, None])
    return np.asarray(np.linalg.inv(moments), dtype=np.float64)


_MOMENT_INVERSE = _moment_inverse()


class Lattice(NamedTuple):
    """Times ascend from now to the last slice, the expiry or shortly before; arrays (slices,)."""

    time: Floats
    rate_growth: Floats
    """e^(r (T − t))"""
    borrow_growth: Floats
    """e^(q (T − t))"""
    cash: Floats
    """What dividends until expiry add to the exercise value, carried to expiry at the rate."""
    interval: NDArray[np.int64]
    """Row of `weights` for the step from each slice, (slices − 1,)."""
    variance: Floats
    """Of each interval's step in squared node distances, (intervals,)."""
    weights: Floats
    """(intervals, TAPS + 1)."""
    density: Floats
    """Probability of each node at the last slice, by level, (LEVELS, nodes)."""
    spacing: float
    """Node distance of the coarsest level, in √years."""
    tau: float
    short: bool
    """The last slice is an ex-dividend instant."""
    dates_only: bool
    """Exercise can be optimal on ex-dividend instants only, which all levels have."""


@compiled
def lay_out(
    tau: float, rate: float, borrow: float, times: Floats, amounts: Floats, is_call: bool,
    base: int,
) -> Lattice:
    """The lattice of about `base` steps on the coarsest level."""
    edges = _edges(tau, times, (_SHORT_CALL if is_call else _SHORT_PUT) * tau / base)
    steps = _steps(edges, tau / base)
    intervals, longest = len(steps), 0.0
    for k in range(intervals):
        longest = max(longest, (edges[k + 1] - edges[k]) / steps[k])
    spacing = math.sqrt(longest / _VARIANCE)
    fine = 1 << (LEVELS - 1)
    time, interval = _slices(edges, steps, fine)
    variance, weights = np.empty(intervals), np.empty((intervals, TAPS + 1))
    for k in range(intervals):
        variance[k] = (edges[k + 1] - edges[k]) / steps[k] / spacing**2
        _set_weights(variance[k], weights[k])
    rate_growth, borrow_growth = np.empty(len(time)), np.empty(len(time))
    for i in range(len(time)):
        rate_growth[i] = math.exp(rate * (tau - time[i]))
        borrow_growth[i] = math.exp(borrow * (tau - time[i]))
    cash = _cash(time, tau, rate, rate - borrow, times, amounts, is_call)
    density = _density(interval, weights, math.sqrt(time[-1]) / spacing)
    return Lattice(
        time, rate_growth, borrow_growth, cash, interval, variance, weights, density, spacing, tau,
        time[-1] < tau or cash[-1] > 0.0, is_call and rate >= 0.0 and borrow <= 0.0,
    )


@compiled
def _edges(tau: float, times: Floats, short: float) -> Floats:
    """Now, the ex-dividend instants, and the expiry unless it is `short` of the last of them."""
    edges = np.zeros(len(times) + 2)
    count = 1
    for time in times:
        if edges[count - 1] < time <= tau:
            edges[count] = time
            count += 1
    if count == 1 or tau - edges[count - 1] > short:
        edges[count] = tau
        count += 1
    return edges[:count]


@compiled
def _steps(edges: Floats, asked: float) -> NDArray[np.int64]:
    """Steps of each interval on the coarsest level, about as long as asked for."""
    longest = asked
    for k in range(1, len(edges) - 1):
        longest = min(longest, max(_UNEVEN * (edges[k + 1] - edges[k]), _FINEST * asked))
    steps = np.empty(len(edges) - 1, dtype=np.int64)
    for k in range(len(steps)):
        steps[k] = max(1, math.ceil((edges[k + 1] - edges[k]) / longest - 0.2))
    return steps


@compiled
def _slices(
    edges: Floats, steps: NDArray[np.int64], fine: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Time of each slice, and the interval after it, with `fine` times the steps."""
    total = 0
    for k in range(len(steps)):
        total += fine * steps[k]
    time, interval = np.empty(total + 1), np.empty(total, dtype=np.int64)
    i = 0
    for k in range(len(steps)):
        for j in range(fine * steps[k]):
            time[i] = edges[k] + (edges[k + 1] - edges[k]) * j / (fine * steps[k])
            interval[i] = k
            i += 1
    time[total] = edges[-1]
    return time, interval


@compiled
def _set_weights(variance: float, weights: Floats) -> None:
    """Solve for the weights whose even moments are 1, v, 3 v², 15 v³, ..."""
    for node in range(TAPS + 1):
        weights[node] = 0.0
        moment = 1.0
        for order in range(TAPS + 1):
            weights[node] += _MOMENT_INVERSE[node, order] * moment
            moment *= (2 * order + 1) * variance


@compiled
def _cash(
    time: Floats, tau: float, rate: float, growth: float, times: Floats, amounts: Floats,
    is_call: bool,
) -> Floats:
    """Of dividends to come; at their instant a call is exercised before the drop, a put after."""
    cash = np.zeros(len(time))
    for k in range(len(times)):
        for i in range(len(time)):
            ahead = times[k] >= time[i] if is_call else times[k] > time[i]
            if ahead and 0.0 < times[k] <= tau:
                value = math.exp(rate * (tau - time[i]) - growth * (times[k] - time[i]))
                cash[i] += amounts[k] * value
    return cash


@compiled
def _density(interval: NDArray[np.int64], weights: Floats, width: float) -> Floats:
    """The root's probability moved forward step by step; `width` is its standard deviation then.

    That is in node distances of the coarsest level.
    """
    half = int(_REACH * width * math.sqrt(2.0 ** (LEVELS - 1))) + TAPS + 1
    density = np.zeros((LEVELS, 2 * half + 1))
    old = np.empty(2 * half + 1)
    for level in range(LEVELS):
        density[level, half] = 1.0
        for i in range(0, len(interval), 1 << (LEVELS - 1 - level)):
            for j in range(2 * half + 1):
                old[j] = density[level, j]
            for j in range(TAPS, 2 * half + 1 - TAPS):
                value = weights[interval[i], 0] * old[j]
                for k in range(1, TAPS + 1):
                    value += weights[interval[i], k] * (old[j - k] + old[j + k])
                density[level, j] = value
    return density
