"""Kernels: the early-exercise premium of one option, rolled back on a lattice.

Exercise is allowed at the lattice's slices only. The premium over the European price of the same
lattice then errs by the exercise dates' distance to the power of one and above, of which two
levels extrapolate the first away (Richardson). Two kinks are mended so that nothing else is left
but noise: where holding and exercising are worth the same, between two nodes, the sum over nodes
misses what the Euler-Maclaurin formula says (`_mend`); and where an ex-dividend instant is so close
to expiry that the last step is no step for the lattice, Black's formula does it (`_start_short`).

All values are carried to expiry at the rate, so that going back needs no discounting.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.pricing.american_lattice import CAPACITY, LEVELS, TAPS, Lattice
from ml.pricing.black import undiscounted
from ml.types import Floats

_ROWS = 6  # of work space
_REACH = 30.0  # what is cut off weighs exp(−_REACH / 2) at most
_CLIP = 8.0  # standard deviations
_RESOLVED = 0.3  # variance of a step, in squared node distances, that smooths a kink
_FINE = 4  # points to a node distance


@compiled
def premiums(
    lattice: Lattice, forward: float, strike: Floats, vol: Floats, level: NDArray[np.int64],
    is_call: bool, values: Floats, commons: Floats,
) -> None:
    """Each option's premium, extrapolated from `level` 0 or 1 and the next one, to `values`.

    `commons` gets that of level 1 by itself; where `level` is −1, so do `values`.
    """
    work = np.empty((_ROWS, CAPACITY))
    for i in range(len(strike)):
        values[i], commons[i] = 0.0, 0.0
        if never_optimal(lattice, strike[i], is_call):
            continue
        for number in range(2):  # one call, for each is compiled anew
            k = 1 if number == 0 else 2 * level[i]
            if k < 0 or (number > 0 and commons[i] <= 0.0) or (k == 0 and lattice.dates_only):
                break
            value = roll_back(lattice, k, forward, strike[i], vol[i], is_call, work)
            if k == 1:
                values[i], commons[i] = value, value
            elif lattice.dates_only:
                values[i] = value
            else:
                values[i] = 2.0 * value - commons[i] if k == 2 else 2.0 * commons[i] - value
        values[i] = max(values[i], 0.0)


@compiled
def never_optimal(lattice: Lattice, strike: float, is_call: bool) -> bool:
    """True if at each slice the forward to expiry is worth more than exercise."""
    for i in range(len(lattice.time)):
        cost = lattice.rate_growth[i] * strike - lattice.cash[i]
        growth = lattice.borrow_growth[i]
        if is_call and (growth > 1.0 or cost < strike):
            return False
        if not is_call and (growth < 1.0 or cost > strike):
            return False
    return True


@compiled
def roll_back(
    lattice: Lattice, level: int, forward: float, strike: float, vol: float, is_call: bool,
    work: Floats,
) -> float:
    """Premium of one level."""
    side = 1.0 if is_call else -1.0
    spacing = lattice.spacing * math.sqrt(0.5**level)
    low, count = _range(lattice, forward, strike, vol, spacing)
    size = count + 2 * TAPS
    old, new, excess, price = work[0], work[1], work[2], work[3]
    ratio = math.exp(vol * spacing)
    price[0] = math.exp(vol * spacing * (low - TAPS))
    for j in range(1, size):
        price[j] = price[j - 1] * ratio
    last = len(lattice.interval)
    a = side * forward * math.exp(-0.5 * vol * vol * lattice.time[last])
    c = side * strike
    if lattice.short:
        exercised = _start_short(lattice, forward, strike, vol, side, spacing, low, size, work)
    else:
        exercised = _start(a, c, vol, spacing, size, work)
    european = _expected(lattice.density[level], low - TAPS, a, c, size, work)
    for j in range(size):
        new[j] = old[j]
    # Out of the money the pads stay 0. In the money they are worth the best exercise to come,
    # which is linear in the underlying and thus not changed by going back.
    edge, nearest = (size - TAPS, size - TAPS) if is_call else (0, TAPS - 1)
    pad_growth, pad_cost = 1.0, c
    if lattice.short:
        now = a * lattice.borrow_growth[last]
        cost = side * (lattice.rate_growth[last] * strike - lattice.cash[last])
        if now * price[nearest] - cost > a * price[nearest] - c:
            pad_growth, pad_cost = lattice.borrow_growth[last], cost
    stride, row, factor = 1 << (LEVELS - 1 - level), -1, 1.0
    for i in range(last - stride, 0, -stride):
        if lattice.interval[i] != row:
            row = lattice.interval[i]
            factor = math.exp(0.5 * vol * vol * (lattice.time[i + stride] - lattice.time[i]))
        a *= factor
        now = a * lattice.borrow_growth[i]
        cost = side * (lattice.rate_growth[i] * strike - lattice.cash[i])
        number = _step(old, new, excess, price, lattice.weights, row, now, cost, count)
        if now * price[nearest] - cost > a * pad_growth * price[nearest] - pad_cost:
            pad_growth, pad_cost = lattice.borrow_growth[i], cost
        for j in range(edge, edge + TAPS):
            new[j] = a * pad_growth * price[j] - pad_cost
        ahead, behind = lattice.variance[row], lattice.time[i] / spacing**2
        if 0 < number < count and behind > _RESOLVED and (is_call or ahead > _RESOLVED):
            k = TAPS - 1 + (count - number if is_call else number)
            if (excess[k] > 0.0) != (excess[k + 1] > 0.0) and TAPS < k < size - TAPS - 2:
                _mend(new, excess, k)
        exercised |= number > 0
        old, new = new, old
    if not exercised:
        return 0.0
    k, row = TAPS - low, lattice.interval[0]
    american = lattice.weights[row, 0] * old[k]
    for j in range(1, TAPS + 1):
        american += lattice.weights[row, j] * (old[k - j] + old[k + j])
    return float(american - european)


@compiled
def _range(
    lattice: Lattice, forward: float, strike: float, vol: float, spacing: float
) -> tuple[int, int]:
    """First node from the root's and number of nodes that matter, besides the pads.

    A path that leaves the range at w and still matters must come back to the strike ζ from there,
    which has the weight exp(−(2 w − ζ)² / 2) (reflection principle), against exp(−ζ² / 2) of the
    option itself; under the measure of the underlying the same holds of w and ζ less σ √τ.
    """
    total = vol * math.sqrt(lattice.tau)
    growth = lattice.rate_growth[0] / lattice.borrow_growth[0] / forward
    late = math.log(strike / forward)
    early = math.log(growth * strike)
    cash = lattice.cash[0] / lattice.rate_growth[0]
    early_less_cash = math.log(growth * max(strike - cash, 1e-3 * strike))
    lower = max(min(late, early_less_cash) / total, -_CLIP) + 0.5 * total
    upper = min(max(late, early) / total, _CLIP) + 0.5 * total
    bottom, top = 0.0, 0.0
    for shift in (0.0, total):
        strike_below, strike_above = lower - shift, upper - shift
        end = shift + 0.5 * (strike_below - math.sqrt(_REACH + strike_below**2))
        bottom = min(bottom, end)
        end = shift + 0.5 * (strike_above + math.sqrt(_REACH + strike_above**2))
        top = max(top, end)
    nodes = math.sqrt(lattice.tau) / spacing
    low = max(min(math.floor(bottom * nodes), -1), 8 - CAPACITY // 2)
    count = max(math.ceil(top * nodes), 1) - low + 1
    return low, min((count + 7) // 8 * 8, CAPACITY - 2 * TAPS)


@compiled
def _start(a: float, c: float, vol: float, spacing: float, size: int, work: Floats) -> bool:
    """The payoff as last slice, as American (work[0]) and as European value (work[4])."""
    value, excess, price, european = work[0], work[2], work[3], work[4]
    for j in range(size):
        excess[j] = a * price[j] - c
        value[j] = max(excess[j], 0.0)
    kink = math.log(c / a / price[0]) / (vol * spacing)
    if 1.0 <= kink < size - 3.0:
        _mend(value, excess, int(kink))
    for j in range(size):
        european[j] = value[j]
    return False


@compiled
def _start_short(
    lattice: Lattice, forward: float, strike: float, vol: float, side: float, spacing: float,
    low: int, size: int, work: Floats,
) -> bool:
    """The last ex-dividend instant as last slice: the European value, or exercise. True if that.

    Around the strike both vary within a node distance: there they are sampled and
    projected on the nodes.
    """
    value, price, european, fine = work[0], work[3], work[4], work[5]
    last = len(lattice.interval)
    start = forward * math.exp(-0.5 * vol * vol * lattice.time[last])
    growth = lattice.borrow_growth[last]
    cost = lattice.rate_growth[last] * strike - lattice.cash[last]
    exercised = False
    for j in range(size):
        x = start * price[j]
        european[j] = max(side * (x - strike), 0.0)
        value[j] = max(european[j], side * (x * growth - cost))
        exercised |= value[j] > european[j]
    step = vol * spacing
    total = vol * math.sqrt(lattice.tau - lattice.time[last])
    strikes = math.log(strike / start), math.log(max(cost / growth, 1e-3 * strike) / start)
    margin = 6.0 * total / step + 1.0
    bottom, top = min(strikes) / step - margin - low, max(strikes) / step + margin - low
    first = int(min(max(bottom + TAPS, 2.0), size - 3.0))
    final = int(min(max(top + TAPS + 1.0, 2.0), size - 3.0, first + CAPACITY / _FINE - 6.0))
    count = _FINE * (final - first + 4) + 1
    ratio = math.exp(step / _FINE)
    for american in (False, True):
        x = start * price[first - 2]
        for k in range(count):
            fine[k] = undiscounted(x, strike, total, side > 0.0)
            if american:
                fine[k] = max(fine[k], side * (x * growth - cost))
            x *= ratio
        for j in range(first, final + 1):
            projected = _project(fine, _FINE * (j - first + 2))
            if american:
                value[j] = projected
            else:
                european[j] = projected
    return exercised


@compiled
def _project(fine: Floats, centre: int) -> float:
    """The node value whose sums with smooth functions are those of the sampled function.

    Weights are the cardinal function of cubic interpolation over two node distances either side.
    """
    total, norm = fine[centre], 1.0
    for i in range(1, 2 * _FINE):
        t = i / _FINE
        near = 0.5 * (1.0 - t * t) * (2.0 - t)
        weight = near if t < 1.0 else (1.0 - t) * (2.0 - t) * (3.0 - t) / 6.0
        total += weight * (fine[centre - i] + fine[centre + i])
        norm += 2.0 * weight
    return float(total / norm)


@compiled
def _expected(
    density: Floats, first: int, a: float, c: float, size: int, work: Floats
) -> float:
    """European value: the last slice under the lattice's own probabilities.

    Beyond the range in the money it is the payoff; beyond it out of the money nothing.
    """
    price, european = work[3], work[4]
    shift = (len(density) - 1) // 2 + first
    total = 0.0
    for j in range(max(0, -shift), min(size, len(density) - shift)):
        total += density[j + shift] * european[j]
    ratio = price[1] / price[0]
    if a > 0.0:
        x = a * price[size - 1] * ratio
        for j in range(max(size + shift, 0), len(density)):
            total += density[j] * max(x - c, 0.0)
            x *= ratio
    else:
        x = a * price[0] / ratio
        for j in range(min(shift, len(density)) - 1, -1, -1):
            total += density[j] * max(x - c, 0.0)
            x /= ratio
    return total


@compiled
def _step(
    old: Floats, new: Floats, excess: Floats, price: Floats, weights: Floats, row: int, a: float,
    c: float, count: int,
) -> int:
    """One step back for all nodes but the pads; the number of nodes where exercise is better."""
    w0, w1, w2, w3 = weights[row, 0], weights[row, 1], weights[row, 2], weights[row, 3]
    w4, w5, w6 = weights[row, 4], weights[row, 5], weights[row, 6]
    exercised = 0
    for j in range(count):
        hold = (
            w0 * old[j + 6] + w1 * (old[j + 5] + old[j + 7]) + w2 * (old[j + 4] + old[j + 8])
            + w3 * (old[j + 3] + old[j + 9]) + w4 * (old[j + 2] + old[j + 10])
            + w5 * (old[j + 1] + old[j + 11]) + w6 * (old[j] + old[j + 12])
        )
        now = a * price[j + 6] - c
        excess[j + 6] = hold - now
        new[j + 6] = max(hold, now)
        exercised += hold <= now
    return exercised


@compiled
def _mend(value: Floats, excess: Floats, i: int) -> None:
    """Make sums over nodes right where max(`excess`, 0) has its kink between nodes i and i + 1.

    At the crossing θ ∈ [0, 1] let s be the slope of `excess` and c its second derivative there.
    The sum of max(`excess`, 0) · f over nodes misses the integral by the Euler-Maclaurin terms
    −f s B₂(θ)/2 + (c f + 2 s f′) B₃(θ)/6 with the Bernoulli polynomials B₂ and B₃; the two nodes
    get that mass and moment. `excess` is taken as a cubic through its four nearest nodes.
    """
    before, left, right, after = excess[i - 1], excess[i], excess[i + 1], excess[i + 2]
    third = after - before + 3.0 * (left - right)
    second = right - 2.0 * left + before
    slope = 0.5 * (right - before) - third / 6.0
    at = left / (left - right)
    error = left + at * (slope + at * (0.5 * second + at * third / 6.0))
    tangent = slope + at * (second + 0.5 * at * third)
    if tangent * (right - left) > 0.0:
        at = min(max(at - error / tangent, 0.0), 1.0)
    jump = slope + at * (second + 0.5 * at * third)
    curve = second + at * third
    b2, b3 = at * at - at + 1.0 / 6.0, at * (at - 0.5) * (at - 1.0)
    sign = 1.0 if right > left else -1.0  # to the left of the kink everything is mirrored
    mass = sign * (0.5 * jump * b2 - curve * b3 / 6.0)
    moment = mass * at - sign * jump * b3 / 3.0
    value[i] += mass - moment
    value[i + 1] += moment
