"""The calls or the puts of one expiry: their premiums, and their prices turned to volatilities.

With the premium P(σ) an American price is Black(σ) + P(σ). The European volatility of the price is
the start, for it is above the solution only by P / vega. P is taken at two volatilities, between
and around which it is a power of σ; what bid, mid and ask need of it is thus had at once. Where it
is large, each price has a search of its own on a finer lattice.

All prices here are carried to expiry at the rate: today's times e^(r τ).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.pricing import american_kernel as kernel
from ml.pricing import black, implied
from ml.pricing.american_lattice import Lattice, lay_out
from ml.pricing.american_newton import (
    FINE,
    FINER,
    FINEST,
    LARGE,
    LARGE_SHARE,
    MIN_TOTAL,
    ROUGH,
    begin,
    finish,
    second_point,
)
from ml.pricing.carry import Carry
from ml.types import Bools, Floats

Codes = NDArray[np.int64]

_COARSE, _FINE = 8, 32  # steps of the lattice's coarsest level
_LEAST = 1e-3  # share of the European volatility below which no solution is sought
_FAR = 0.01  # premium's change over vega, as a share of volatility, that wants a new premium,
_NEAR = 1e-5  # and in volatility where it is large
_REPEATS = 8
_SEARCH_STEPS = 40
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Side:
    """Calls or puts of one expiry; strikes and volatilities are arrays (n,)."""

    forward: float
    tau: float
    carry: Carry
    is_call: bool

    @cached_property
    def coarse(self) -> Lattice:
        """The lattice that serves most premiums."""
        return self._lattice(_COARSE)

    @cached_property
    def fine(self) -> Lattice:
        """The lattice for large premiums."""
        return self._lattice(_FINE)

    def _lattice(self, base: int) -> Lattice:
        times = np.array(self.carry.dividend_times, dtype=np.float64)
        amounts = np.array(self.carry.dividend_amounts, dtype=np.float64)
        return lay_out(
            self.tau, self.carry.rate, self.carry.borrow, times, amounts, self.is_call, base
        )

    def premium(self, strike: Floats, vol: Floats) -> Floats:
        """Premium, by the lattice that its size wants."""
        value, _ = self.rolled(strike, vol, np.full(len(vol), FINER))
        vega = black.vega(self.forward, strike, self.tau, vol)
        large = np.flatnonzero(value > np.minimum(LARGE, LARGE_SHARE * vol) * vega)
        if len(large):
            value[large] = self.finest(strike[large], vol[large])
        return value

    def rolled(self, strike: Floats, vol: Floats, level: Codes) -> tuple[Floats, Floats]:
        """Premium as well as `level` says, and roughly: that of the coarse lattice's level 1.

        Levels are those of `ml.pricing.american_kernel.premiums`; FINEST wants the fine lattice.
        """
        values, commons = np.empty(len(vol)), np.empty(len(vol))
        rough = np.where(level == FINEST, ROUGH, level)
        kernel.premiums(
            self.coarse, self.forward, strike, vol, rough, self.is_call, values, commons
        )
        large = np.flatnonzero(level == FINEST)
        if len(large):
            values[large] = self.finest(strike[large], vol[large])
        return values, commons

    def finest(self, strike: Floats, vol: Floats) -> Floats:
        """Premium from the fine lattice, from its finer levels where exercise is near."""
        values, commons = np.empty(len(vol)), np.empty(len(vol))
        level = np.where(self.exercise(strike) > 0.0, FINER, FINE)
        kernel.premiums(self.fine, self.forward, strike, vol, level, self.is_call, values, commons)
        return values

    def finished(self, price: Floats, start: Floats, points: Floats) -> tuple[Floats, Bools]:
        """Volatilities by `american_newton.finish`, and where the premium is far from known."""
        found, far = np.empty(price.shape), np.empty(price.shape, dtype=np.bool_)
        finish(np.ascontiguousarray(price), np.ascontiguousarray(start), points,
               self.forward, self.tau, self.is_call, found, far)
        return found, far

    def exercise(self, strike: Floats) -> Floats:
        """Value of exercise now."""
        gain = self.forward * self.coarse.borrow_growth[0] + self.coarse.cash[0]
        gain = gain - self.coarse.rate_growth[0] * strike
        return np.asarray(gain if self.is_call else -gain)

    def best_exercise(self, strike: Floats) -> Floats:
        """Value of exercise at its best instant if the underlying moves along its forwards."""
        gain = self.forward * self.coarse.borrow_growth + self.coarse.cash
        gain = gain[:, None] - self.coarse.rate_growth[:, None] * strike
        return np.asarray((gain if self.is_call else -gain).max(axis=0))

    def invert(self, price: Floats, strike: Floats) -> tuple[Floats, Codes]:
        """Volatility and reason of each price, (rows, n); a column's rows are of one option."""
        vol, code = np.empty(price.shape), np.empty(price.shape, dtype=np.int64)
        anchor = np.empty((3, len(strike)))
        begin(
            price, strike, self.exercise(strike), self.forward, self.tau, self.is_call,
            vol, code, anchor)
        columns = np.flatnonzero(np.isfinite(anchor[0]))
        if len(columns):
            found = _invert(self, price[:, columns], strike[columns], vol[:, columns],
                            np.ascontiguousarray(anchor[:, columns]))
            lost = np.isnan(found) & ~np.isnan(vol[:, columns])
            code[:, columns] = np.where(lost, implied.AT_OR_BELOW_INTRINSIC, code[:, columns])
            vol[:, columns] = found
        return vol, code


def _invert(side: Side, price: Floats, strike: Floats, start: Floats, anchor: Floats) -> Floats:
    """From European to American volatilities, (rows, n), NaN where there is none."""
    value, _ = side.rolled(strike, anchor[0], np.full(len(strike), ROUGH))
    second, level = np.empty(len(strike)), np.empty(len(strike), dtype=np.int64)
    second_point(anchor, value, strike, side.forward, side.tau, side.is_call, second, level)
    found = start.copy()
    easy = np.flatnonzero(level >= 0)
    if len(easy):
        found[:, easy] = _by_power(side, price[:, easy], strike[easy], start[:, easy],
                                   anchor[:, easy], value[easy], second[easy], level[easy])
    hard = (level < 0) & (value > 0.0)
    hard |= (np.isnan(found) & np.isfinite(start)).any(axis=0)
    rows, columns = np.nonzero(np.isfinite(start) & hard)
    if len(rows):
        found[rows, columns] = _search(
            side, price[rows, columns], strike[columns], start[rows, columns])
    return found


def _by_power(
    side: Side, price: Floats, strike: Floats, start: Floats, anchor: Floats, first: Floats,
    second: Floats, level: Codes,
) -> Floats:
    """Volatilities with the premium as a power of volatility; NaN where that leads nowhere.

    A price whose premium is far from that known gets one of its own, again if need be.
    """
    value, common = side.rolled(strike, second, level)
    power = _powers(common / first, second / anchor[0])
    allowed = np.where(level == FINEST, _NEAR, _FAR * second) * anchor[1]
    found, far = side.finished(price, start, np.array([strike, second, value, power, allowed]))
    for _ in range(_REPEATS):
        rows, columns = np.nonzero(far)
        if not len(rows):
            break
        at = found[rows, columns]
        own, _ = side.rolled(strike[columns], at, level[columns])
        points = np.array([strike[columns], at, own, power[columns], allowed[columns]])
        again, still = side.finished(price[rows, columns][None], start[rows, columns][None], points)
        found[rows, columns], far[rows, columns] = again[0], still[0]
    found[far] = np.nan
    return found


def _powers(premium_ratio: Floats, vol_ratio: Floats) -> Floats:
    with np.errstate(all="ignore"):
        power = np.log(premium_ratio) / np.log(vol_ratio)
    return np.where(np.isfinite(power), power, 0.0)


def _search(side: Side, price: Floats, strike: Floats, start: Floats) -> Floats:
    """Volatility of each price (n,) by false position, each premium computed; NaN without one."""

    def error(vol: Floats, of: NDArray[np.intp]) -> Floats:
        value = black.price(side.forward, strike[of], side.tau, vol, side.is_call)
        value += side.finest(strike[of], vol)
        return np.maximum(value, side.exercise(strike[of])) - price[of]

    least = np.maximum(_LEAST * start, 2.0 * MIN_TOTAL / math.sqrt(side.tau))
    high, above = start.copy(), error(start, np.arange(len(price)))
    low, below = high.copy(), above.copy()
    left = np.flatnonzero(above > 0.0)
    while len(left):
        low[left] *= 0.8
        below[left] = error(low[left], left)
        over = left[below[left] > 0.0]
        high[over], above[over] = low[over], below[over]
        left = over[low[over] > least[over]]
    left = np.flatnonzero((below < 0.0) & (above > 0.0))
    for step in range(_SEARCH_STEPS):
        vol = (low * above - high * below)[left] / (above - below)[left]
        vol = 0.5 * (low + high)[left] if step % 3 == 2 else vol
        found = error(vol, left)
        under, over = left[found < 0.0], left[found >= 0.0]
        low[under], below[under] = vol[found < 0.0], found[found < 0.0]
        high[over], above[over] = vol[found >= 0.0], found[found >= 0.0]
        left = left[(high - low)[left] > _TOLERANCE * high[left]]
        if not len(left):
            break
    return np.where((below <= 0.0) | (above <= 0.0), 0.5 * (low + high), np.nan)
