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

from ml.compiled import compiled
from ml.pricing import american_kernel as kernel
from ml.pricing import black, implied
from ml.pricing.american_lattice import Lattice, lay_out
from ml.pricing.carry import Carry
from ml.types import Bools, Floats

Codes = NDArray[np.int64]

MAX_TOTAL = 5.0
"""σ √τ beyond which no early exercise is computed."""
_COARSE, _FINE = 8, 32  # steps of the lattice's coarsest level
_LARGE = 0.015  # premium over vega, in volatility, that wants the fine lattice,
_SMALL = 0.0002  # and to which the coarse lattice's coarser levels are good enough
_APART = 0.98  # ratio of the two volatilities at least
_FAR = 0.002  # change of premium over vega from which a side gets a premium of its own
_LEAST = 1e-3  # share of the European volatility below which no solution is sought
_STEPS = 40
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
        return self._lattice(_COARSE)

    @cached_property
    def fine(self) -> Lattice:
        return self._lattice(_FINE)

    def _lattice(self, base: int) -> Lattice:
        times = np.array(self.carry.dividend_times, dtype=np.float64)
        amounts = np.array(self.carry.dividend_amounts, dtype=np.float64)
        return lay_out(
            self.tau, self.carry.rate, self.carry.borrow, times, amounts, self.is_call, base
        )

    def premium(self, strike: Floats, vol: Floats) -> Floats:
        """Premium, by the lattice that its size wants."""
        value, _ = self.rolled(strike, vol, np.ones(len(vol), dtype=np.int64))
        large = np.flatnonzero(value > _LARGE * self.vega(strike, vol))
        if len(large):
            value[large] = self.finest(strike[large], vol[large])
        return value

    def rolled(self, strike: Floats, vol: Floats, level: Codes) -> tuple[Floats, Floats]:
        """Premium from two levels of the coarse lattice, and that of level 1 by itself."""
        values, commons = np.empty(len(vol)), np.empty(len(vol))
        kernel.premiums(
            self.coarse, self.forward, strike, vol, level, self.is_call, values, commons
        )
        return values, commons

    def finest(self, strike: Floats, vol: Floats) -> Floats:
        """Premium from the fine lattice."""
        values, commons = np.empty(len(vol)), np.empty(len(vol))
        level = np.zeros(len(vol), dtype=np.int64)
        kernel.premiums(self.fine, self.forward, strike, vol, level, self.is_call, values, commons)
        return values

    def never_optimal(self, strike: Floats) -> Bools:
        """Where the forward to expiry is worth more than exercise at each instant, for sure."""
        growth, cost = self.coarse.borrow_growth, self._costs(strike)
        if self.is_call:
            return np.asarray((growth <= 1.0).all() & (cost >= strike).all(axis=0))
        return np.asarray((growth >= 1.0).all() & (cost <= strike).all(axis=0))

    def exercise(self, strike: Floats) -> Floats:
        """Value of exercise now and, in rows, at each later instant without volatility."""
        gain = self.forward * self.coarse.borrow_growth[:, None] - self._costs(strike)
        return gain if self.is_call else -gain

    def _costs(self, strike: Floats) -> Floats:
        lattice = self.coarse
        return np.asarray(lattice.rate_growth[:, None] * strike - lattice.cash[:, None])

    def vega(self, strike: Floats, vol: Floats) -> Floats:
        """European vega."""
        return black.vega(self.forward, strike, self.tau, vol)

    def european(self, strike: Floats, vol: Floats) -> Floats:
        """European price."""
        return black.price(self.forward, strike, self.tau, vol, self.is_call)

    def invert(self, price: Floats, strike: Floats) -> tuple[Floats, Codes]:
        """Volatility and reason of each price, (rows, n); a column's rows are of one option."""
        vol, code = implied.solve(price, self.forward, strike, self.tau, self.is_call)
        solved = code == implied.SOLVED
        code[solved & (price <= self.exercise(strike)[0])] = implied.AT_OR_BELOW_INTRINSIC
        code[solved & ~(vol * math.sqrt(self.tau) <= MAX_TOTAL)] = implied.OUT_OF_DOMAIN
        vol[code != implied.SOLVED] = np.nan
        columns = np.flatnonzero(np.isfinite(vol).any(axis=0) & ~self.never_optimal(strike))
        if len(columns):
            found = _invert_quickly(self, price[:, columns], strike[columns], vol[:, columns])
            code[:, columns] = np.where(
                np.isnan(found) & ~np.isnan(vol[:, columns]),
                implied.AT_OR_BELOW_INTRINSIC, code[:, columns])
            vol[:, columns] = found
        return vol, code


def _invert_quickly(side: Side, price: Floats, strike: Floats, start: Floats) -> Floats:
    """From European to American volatilities, (rows, n), by the coarse lattice where that does."""
    anchor = _anchors(start)
    column = np.arange(len(strike))
    first = start[anchor, column]
    vega = side.vega(strike, first)
    value, common_first = side.rolled(strike, first, np.zeros(len(strike), dtype=np.int64))
    second = implied.implied_vol(
        price[anchor, column] - value, side.forward, strike, side.tau, side.is_call
    )
    hard = (value > _LARGE * vega) | np.isnan(second)
    some = value > 0.0
    second = np.minimum(second, _APART * first)
    easy = np.flatnonzero(some & ~hard)
    found = start.copy()
    if len(easy):
        found[:, easy] = _by_power(
            side, price[:, easy], strike[easy], start[:, easy], first[easy], second[easy],
            common_first[easy], value[easy], vega[easy])
        hard[easy] |= (np.isnan(found[:, easy]) & ~np.isnan(start[:, easy])).any(axis=0)
    rows, columns = np.nonzero(np.isfinite(start) & (hard & some))
    if len(rows):
        found[rows, columns] = _search(
            side, price[rows, columns], strike[columns], start[rows, columns])
    return found


def _anchors(vol: Floats) -> NDArray[np.intp]:
    """Of each column the middle row, or the first that has a volatility."""
    middle = len(vol) // 2
    finite = np.isfinite(vol)
    return np.where(finite[middle], middle, finite.argmax(axis=0))


def _by_power(
    side: Side, price: Floats, strike: Floats, start: Floats, first: Floats, second: Floats,
    common_first: Floats, coarse: Floats, vega: Floats,
) -> Floats:  # fmt: skip
    """Volatilities with the premium as a power of volatility; NaN where that leads nowhere."""
    level = np.where(coarse > _SMALL * vega, 1, 0)
    value, common = side.rolled(strike, second, level)
    with np.errstate(all="ignore"):
        power = np.log(common / common_first) / np.log(second / first)
    power = np.where(np.isfinite(power), power, 0.0)
    known, value, power = (np.broadcast_to(each, price.shape) for each in (second, value, power))
    found = _solved(side, price, strike, start, known, value, power)
    with np.errstate(all="ignore"):
        far = value * np.abs((found / known) ** power - 1.0) > _FAR * vega
    rows, columns = np.nonzero(far)
    if len(rows):
        own, _ = side.rolled(strike[columns], found[rows, columns], level[columns])
        found[rows, columns] = _solved(
            side, price[rows, columns], strike[columns], start[rows, columns],
            found[rows, columns], own, power[rows, columns])
    return found


def _solved(
    side: Side, price: Floats, strike: Floats, start: Floats, known: Floats, value: Floats,
    power: Floats,
) -> Floats:  # fmt: skip
    rows = np.array(np.broadcast_arrays(price, strike, start, known, value, power))
    found = np.empty(price.size)
    _solve(rows.reshape(6, -1), side.forward, side.tau, side.is_call, found)
    return found.reshape(price.shape)


@compiled
def _solve(rows: Floats, forward: float, tau: float, is_call: bool, found: Floats) -> None:
    """σ with Black(σ) + value · (σ / known)^power = price, by Newton from start; NaN if it strays.

    Rows are price, strike, start, known, value and power.
    """
    root = math.sqrt(tau)
    for i in range(len(found)):
        strike, vol = rows[1, i], rows[2, i]
        for _ in range(_STEPS):
            early = rows[4, i] * (vol / rows[3, i]) ** rows[5, i]
            error = black.undiscounted(forward, strike, vol * root, is_call) + early - rows[0, i]
            slope = black.forward_density(forward, strike, vol * root) * root
            slope += rows[5, i] * early / vol
            step = error / slope
            if not (slope > 0.0 and step < vol):
                vol = math.nan
                break
            vol -= step
            if abs(step) < _TOLERANCE * vol:
                break
        found[i] = vol if vol <= rows[2, i] else math.nan


def _search(side: Side, price: Floats, strike: Floats, start: Floats) -> Floats:
    """Volatility of each price (n,) by false position, each premium computed; NaN without one."""

    def error(vol: Floats, of: NDArray[np.intp]) -> Floats:
        value = side.european(strike[of], vol) + side.finest(strike[of], vol)
        return np.maximum(value, side.exercise(strike[of])[0]) - price[of]

    everything = np.arange(len(price))
    high, above = start.copy(), error(start, everything)
    low, below = high.copy(), above.copy()
    left = np.flatnonzero(above > 0.0)
    while len(left):
        low[left] *= 0.8
        below[left] = error(low[left], left)
        over = left[below[left] > 0.0]
        high[over], above[over] = low[over], below[over]
        left = over[low[over] > _LEAST * start[over]]
    left = np.flatnonzero((below < 0.0) & (above > 0.0))
    for step in range(_STEPS):
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
