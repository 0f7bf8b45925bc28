"""American options with discrete cash dividends in the escrowed model.

The underlying is S(t) = X(t) + the value at t of the dividends in (t, T], X lognormal of
volatility σ and drift rate − borrow, so that the European price is Black's on the forward with
the same σ, and American implied volatilities are comparable to European ones. A call is exercised
at the price before an ex-dividend drop, a put after it.

The early-exercise premium comes of a lattice (`ml.pricing.american_lattice`,
`ml.pricing.american_kernel`). Bounds on its error, held against QuantLib's engines by the tests,
for volatilities of 5 % to 150 %, a day to two years, rates of −1 % to 8 %, borrows to 5 % and up
to 8 dividends: premium within 5e-5 of the spot; implied volatility within 1 bp (or 2e-4 of itself,
if that is more) out of the money of both spot and forward, to 3 standard deviations; within 5 bp
(or 1e-3 of itself) to one standard deviation in the money. The latter two hold where the price
exceeds exercise by 1e-4 of the spot, and a point of volatility moves it by at least 2 % of what it
moves a European option at the money.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ml.pricing import black, implied
from ml.pricing.american_newton import MAX_TOTAL, MIN_TOTAL
from ml.pricing.american_side import Side
from ml.pricing.carry import Carry
from ml.types import Bools, Floats

# Out of these nothing is computed: years, (|rate| + |borrow|) τ, size of numbers, strike / forward.
_LEAST_TAU, _MOST_TAU, _MOST_GROWTH, _MOST_SIZE, _MOST_RATIO = 1e-8, 1e3, 20.0, 1e15, 1e6


def early_exercise_premium(
    forward: float,
    strike: Floats,
    tau: float,
    vol: Floats | float,
    is_call: Bools | bool,
    carry: Carry,
) -> Floats:
    """American minus European price in currency; strike, vol and is_call broadcast to (n,).

    Never negative, and exactly 0 where early exercise is never optimal. NaN out of domain: inputs
    not finite or not positive (vol may be 0), σ √τ beyond 5.

    >>> carry = Carry(0.04, 0.0, np.array([0.1]), np.array([1.8]))
    >>> early_exercise_premium(500.0, np.array([480.0]), 0.25, 0.2, False, carry).round(3)
    array([0.221])
    """
    (strikes, vols), calls, _ = black.stacked((strike, vol), is_call)
    values = np.full(len(calls), np.nan)
    usable = _usable(forward, strikes, tau, carry) & (vols >= 0.0)
    for is_side in (False, True):
        rows = np.flatnonzero(usable & (calls == is_side))
        if len(rows):
            side = Side(float(forward), float(tau), carry, is_side)
            values[rows] = _premium(side, strikes[rows], vols[rows]) * carry.discount(tau)
    return values


def _premium(side: Side, strike: Floats, vol: Floats) -> Floats:
    """At least what exercise now, or without volatility at its best instant, is worth more."""
    value, total = np.full(len(vol), np.nan), vol * math.sqrt(side.tau)
    still = total < MIN_TOTAL
    value[still] = 0.0
    moving = np.flatnonzero(~still & (total <= MAX_TOTAL))
    value[moving] = side.premium(strike[moving], vol[moving])
    best = np.where(still, side.best_exercise(strike), side.exercise(strike))
    european = black.price(side.forward, strike, side.tau, vol, side.is_call)
    return np.asarray(np.maximum(value, best - european))


def american_price(
    forward: float,
    strike: Floats,
    tau: float,
    vol: Floats | float,
    is_call: Bools | bool,
    carry: Carry,
) -> Floats:
    """American option price in currency, shape (n,); NaN as in `early_exercise_premium`.

    >>> american_price(100.0, np.array([110.0]), 0.5, 0.2, False, Carry(0.05)).round(4)
    array([12.914])
    """
    early = early_exercise_premium(forward, strike, tau, vol, is_call, carry)
    return black.price(forward, strike, tau, vol, is_call, carry.discount(tau)) + early


def american_implied_vol(
    price: Floats,
    forward: float,
    strike: Floats,
    tau: float,
    is_call: Bools | bool,
    carry: Carry,
) -> Floats:
    """The volatility at which the American price equals `price`, of shape (n,) or (rows, n).

    Rows are prices of the same options, as bid, mid and ask, and share the work. NaN where
    there is none, and `american_reasons` says why: at or below the value of exercise now or at
    expiry, at or above the European bound, or out of domain.

    >>> american_implied_vol(
    ...     np.array([12.914]), 100.0, np.array([110.0]), 0.5, False, Carry(0.05)).round(4)
    array([0.2])
    """
    return _inverted(price, forward, strike, tau, is_call, carry)[0]


def american_reasons(
    price: Floats,
    forward: float,
    strike: Floats,
    tau: float,
    is_call: Bools | bool,
    carry: Carry,
) -> NDArray[np.int8]:
    """Why `american_implied_vol` is NaN: a code of `ml.pricing.implied`, of the price's shape."""
    return _inverted(price, forward, strike, tau, is_call, carry)[1].astype(np.int8)


def _inverted(
    price: Floats, forward: float, strike: Floats, tau: float, is_call: Bools | bool, carry: Carry
) -> tuple[Floats, NDArray[np.int64]]:
    (strikes,), calls, _ = black.stacked((strike,), is_call)
    prices = np.array(price, dtype=np.float64).reshape(-1, len(calls))
    vols = np.full(prices.shape, np.nan)
    codes = np.full(prices.shape, implied.OUT_OF_DOMAIN, dtype=np.int64)
    usable = _usable(forward, strikes, tau, carry)
    for is_side in (False, True):
        columns = np.flatnonzero(usable & (calls == is_side))
        if len(columns):
            side = Side(float(forward), float(tau), carry, is_side)
            carried = np.minimum(prices[:, columns], _MOST_SIZE * _MOST_RATIO)
            vols[:, columns], codes[:, columns] = side.invert(
                carried / carry.discount(tau), strikes[columns])
    if not usable.all():
        found = implied.reasons(prices, forward, strikes, tau, calls)
        codes = np.where(usable | (found == implied.SOLVED), codes, found)
    return vols.reshape(np.shape(price)), codes.reshape(np.shape(price))


def _usable(forward: float, strike: Floats, tau: float, carry: Carry) -> Bools:
    """Options that are computed at all."""
    sizes = np.array([forward, *carry.dividend_amounts])
    if not (_LEAST_TAU <= tau <= _MOST_TAU and (sizes < _MOST_SIZE).all()):
        return np.zeros(len(strike), dtype=np.bool_)
    if (abs(carry.rate) + abs(carry.borrow)) * tau > _MOST_GROWTH or forward < 1.0 / _MOST_SIZE:
        return np.zeros(len(strike), dtype=np.bool_)
    return np.asarray((strike < forward * _MOST_RATIO) & (strike > forward / _MOST_RATIO))
