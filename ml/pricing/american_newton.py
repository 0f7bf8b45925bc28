"""Kernels of the inversion of American prices: what is done per price besides premiums."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.pricing.black import forward_density, undiscounted
from ml.pricing.implied import AT_OR_BELOW_INTRINSIC, OUT_OF_DOMAIN, SOLVED, solve_one
from ml.types import Bools, Floats

MIN_TOTAL, MAX_TOTAL = 1e-5, 5.0
"""Bounds of σ √τ out of which no early exercise is computed."""
ROUGH: Final = -1
FINE: Final = 0
FINER: Final = 1
FINEST: Final = 2
"""How well a premium is to be had."""
LARGE, LARGE_SHARE = 0.015, 0.15
"""Premium over vega, in volatility and as a share of it, that wants FINEST."""
_SMALL = 0.0002  # premium over vega for which FINE is good enough
_TYPICAL = 1.15  # premium over a rough one
_APART = 0.98  # ratio of the two volatilities at least
_RESOLUTION = 1e-13  # of forward and strike: rounding of prices carried to expiry
_STEPS = 40
_TOLERANCE = 1e-8


@compiled
def begin(
    price: Floats, strike: Floats, exercise: Floats, forward: float, tau: float, is_call: bool,
    vol: Floats, code: NDArray[np.int64], anchor: Floats,
) -> None:
    """European volatilities and reasons (rows, n); prices that exercise now is worth are refused.

    Rows of `anchor`: volatility, vega and price of the middle row, or of the first that has one.
    """
    rows, root = len(price), math.sqrt(tau)
    for i in range(len(strike)):
        chosen = -1
        for row in range(rows):
            found, why = solve_one(price[row, i], forward, strike[i], tau, 1.0, is_call)
            least = exercise[i] + _RESOLUTION * (forward + strike[i])
            if why == SOLVED and price[row, i] <= least:
                found, why = math.nan, AT_OR_BELOW_INTRINSIC
            elif why == SOLVED and not MIN_TOTAL <= found * root <= MAX_TOTAL:
                found, why = math.nan, OUT_OF_DOMAIN
            vol[row, i], code[row, i] = found, why
            if why == SOLVED and (chosen < 0 or row == rows // 2):
                chosen = row
        anchor[0, i] = math.nan
        if chosen >= 0:
            anchor[0, i] = vol[chosen, i]
            anchor[1, i] = forward_density(forward, strike[i], anchor[0, i] * root) * root
            anchor[2, i] = price[chosen, i]


@compiled
def second_point(
    anchor: Floats, first: Floats, strike: Floats, forward: float, tau: float, is_call: bool,
    second: Floats, level: NDArray[np.int64],
) -> None:
    """Where to take the premium next, and how well; ROUGH where there is none or no telling."""
    for i in range(len(strike)):
        vol, vega, price = anchor[0, i], anchor[1, i], anchor[2, i]
        second[i], level[i] = vol, ROUGH
        if first[i] <= 0.0:
            continue
        found, why = solve_one(price - _TYPICAL * first[i], forward, strike[i], tau, 1.0, is_call)
        if why == SOLVED and found * math.sqrt(tau) >= 2.0 * MIN_TOTAL:
            second[i] = min(found, _APART * vol)
            large = first[i] > min(LARGE, LARGE_SHARE * vol) * vega
            level[i] = FINEST if large else FINE if first[i] < _SMALL * vega else FINER


@compiled
def finish(
    price: Floats, start: Floats, points: Floats, forward: float, tau: float, is_call: bool,
    found: Floats, far: Bools,
) -> None:
    """σ with Black(σ) + premium · (σ / known)^power = price, by Newton; NaN where that strays.

    Begins at `start`. `points` are strike, known volatility, premium there, power and the change
    allowed, (5, n). `far` tells where the premium changes by more than that.
    """
    strike, known, value, power, allowed = points
    root = math.sqrt(tau)
    for i in range(len(strike)):
        for row in range(len(price)):
            vol, early = start[row, i], 0.0
            for _ in range(_STEPS):
                early = value[i] * (vol / known[i]) ** power[i]
                error = undiscounted(forward, strike[i], vol * root, is_call) + early
                slope = forward_density(forward, strike[i], vol * root) * root
                slope += power[i] * early / vol
                step = (error - price[row, i]) / slope
                if not (slope > 0.0 and step < vol):
                    vol = math.nan
                    break
                vol -= step
                if abs(step) < _TOLERANCE * vol:
                    break
            solved = vol * root >= MIN_TOTAL and vol <= start[row, i] * (1.0 + _TOLERANCE)
            found[row, i] = vol if solved else math.nan
            far[row, i] = solved and abs(early - value[i]) > allowed[i]
