"""The forwards of American expiries, whose parity holds once early exercise is taken off.

The premium of a put near the money is almost a power of the underlying's growth, that of a call
one of what a holder of the underlying is paid before expiry. Growth and dividends in turn come of
the forwards that are left when the premiums are taken off. So the premiums are computed twice,
and in between are scaled by those powers until both agree. A borrow beyond about 15 % a year is
not found: calls are then worth their exercise, and say nothing of the forward.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from ml.compiled import compiled
from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.pricing.conventions import Conventions
from ml.pricing.forward import Integers, Pairs, middle, parity_discounts, parity_forwards
from ml.pricing.implied import implied_vol
from ml.pricing.term import TermStructure, discounts_of, fit_term
from ml.types import Bools, Floats

NODES: Final = 6
"""Strikes of an expiry at which the premium is computed; between them it is interpolated."""

_ROUNDS = (3, 2)  # of scaling the premiums, after computing them for the first and second time
_PUT_POWER, _CALL_POWER = 1.4, 1.6  # by growth and by payments; fitted to the lattice's premiums
_SCALING_ERROR = 0.15  # of the change by those powers: what they may be off
_LEAST_FACTOR, _MOST_FACTOR = 0.3, 3.0
_PREMIUM_ERROR = 0.05  # of the premium taken off: what growth and dividends may be off
_CAUTION = 4.0  # times that in the term structure, where all expiries' premiums err alike
_SLOPE_REACH = 1.5  # straddles; farther in the money the premium is most of the time value
_WEAK = 3.0  # an own error, over that of the others' forward, with which theirs is the better guess
_LITTLE_BORROW = 3.0  # times the borrow is less than the rate
_ANY_VOL = 0.2
_ABOUT = 0.3  # of the strikes' range: pairs so near tell a node's volatility
_LEAST_VOL, _MOST_VOL = 0.7, 1.5  # of the median; what is beyond is a bad quote
_CHEBYSHEV = np.cos(np.pi * np.arange(NODES) / (NODES - 1))
_BARYCENTRIC = (-1.0) ** np.arange(NODES) * np.where(np.arange(NODES) % (NODES - 1), 1.0, 0.5)
_IS_CALL = np.arange(2 * NODES) < NODES


@dataclass(frozen=True, slots=True)
class _Premiums:
    """Premiums of all pairs, and what they were computed with per expiry."""

    call: Floats
    put: Floats
    """In currency, shape (n,)."""
    growth: Floats
    payments: Floats
    """As `_drivers` gives them, shape (m,)."""


def american_forwards(
    at: datetime, pairs: Pairs, taus: Floats, spot: float, style: Conventions
) -> tuple[Floats, Floats, TermStructure | None]:
    """Forwards of m expiries of American exercise, and the term structure they make.

    The first are as `parity_forwards` gives them, (m, 4), of pairs without premiums; then comes
    what the premiums may be wrong by, in currency, (m,).
    """
    flat = np.exp(-style.rate * taus)
    fits, near = parity_forwards(pairs, flat, style.rate_deviation * taus)
    raw, _, wide = parity_discounts(pairs, flat, reach=_SLOPE_REACH)
    term = fit_term(at, taus, fits[:, 0], fits[:, 1], spot, style)
    pairs = _subset(pairs, near | wide)
    error = np.zeros(len(taus))
    if term is None or not len(pairs.strike):
        return fits, error, term
    premiums, bare = None, pairs
    for rounds in _ROUNDS:
        premiums = _computed(pairs, bare, fits, taus, term, premiums)
        for _ in range(rounds):
            bare = _without(pairs, premiums, taus, term)
            error = _PREMIUM_ERROR * _mean(np.abs(pairs.difference - bare.difference), pairs)
            discount, uncertain = discounts_of((term.rate, term.rate_covariance), taus)
            fits, _ = parity_forwards(bare, discount, uncertain)
            total = np.hypot(fits[:, 1], _CAUTION * error)
            term = fit_term(at, taus, fits[:, 0], total, spot, style) or term
    slope, slope_error, _ = parity_discounts(bare, discount, reach=_SLOPE_REACH)
    slope_error = np.hypot(slope_error, _CAUTION * _PREMIUM_ERROR * (slope - raw))
    slopes = (slope, slope_error)
    return fits, error, fit_term(at, taus, fits[:, 0], total, spot, style, slopes) or term


def _without(pairs: Pairs, premiums: _Premiums, taus: Floats, term: TermStructure) -> Pairs:
    """The pairs less the premiums, scaled to what growth and dividends are thought to be now."""
    expiry = _expiry_of(pairs)
    call_factor, put_factor = _factors(premiums, taus, term)
    call, put = call_factor[expiry] * premiums.call, put_factor[expiry] * premiums.put
    return replace(pairs, difference=pairs.difference - call + put,
                   straddle=pairs.straddle - call - put)


def _factors(premiums: _Premiums, taus: Floats, term: TermStructure) -> tuple[Floats, Floats]:
    """By how much calls' and puts' premiums have grown since, per expiry."""
    growth, payments = _drivers(taus, term)
    return (_power(payments, premiums.payments, _CALL_POWER),
            _power(growth, premiums.growth, _PUT_POWER))


def _drivers(taus: Floats, term: TermStructure) -> tuple[Floats, Floats]:
    """Mean growth until each expiry, and what a holder of the underlying is paid before it."""
    growth, dividends, _ = term.drivers(taus)
    return growth, dividends + term.spot * taus * np.maximum(-growth, 0.0)


def _power(now: Floats, then: Floats, power: float) -> Floats:
    ratio = np.where((then > 0) & (now > 0), now / then, 1.0)
    return np.asarray(np.clip(ratio**power, _LEAST_FACTOR, _MOST_FACTOR))


def _computed(
    pairs: Pairs, bare: Pairs, fits: Floats, taus: Floats, term: TermStructure,
    before: _Premiums | None,
) -> _Premiums:
    """Premiums by growth and dividends of `term`; those of `before` where scaling them will do.

    The out-of-the-money side of `bare`, the pairs less an earlier guess, tells the volatility.
    """
    own_is_better = fits[:, 1] <= _WEAK * term.left_out[:, 1]
    forwards = np.where(own_is_better, fits[:, 0], term.left_out[:, 0])
    stale = fits[:, 2] > 0
    if before is not None:
        scaled = _mean_change(before.call, before.put, pairs, _factors(before, taus, term))
        stale &= _SCALING_ERROR * scaled > fits[:, 1]
    carries = [term.carry_at(tau) if wanted else None
               for tau, wanted in zip(taus.tolist(), stale.tolist(), strict=True)]
    call, put = premium_of_pairs(pairs, bare, forwards, taus, carries)
    growth, payments = _drivers(taus, term)
    if before is not None:
        kept = ~stale[_expiry_of(pairs)]
        call, put = np.where(kept, before.call, call), np.where(kept, before.put, put)
        growth = np.where(stale, growth, before.growth)
        payments = np.where(stale, payments, before.payments)
    return _Premiums(call, put, growth, payments)


def premium_of_pairs(
    pairs: Pairs, bare: Pairs, forwards: Floats, taus: Floats, carries: Sequence[Carry | None]
) -> tuple[Floats, Floats]:
    """Premium of early exercise of the calls and the puts of m expiries, in currency, (n,) each.

    It is computed at `NODES` strikes of each expiry and interpolated between them, within 2 % of
    the expiry's largest. Volatilities are those of the out-of-the-money side of `bare`. 0 for an
    expiry without a carry.
    """
    expiry = _expiry_of(pairs)
    discounts = np.array([carry.discount(tau) if carry else math.nan
                          for carry, tau in zip(carries, taus.tolist(), strict=True)])
    is_call = pairs.strike >= forwards[expiry]
    out_of_money = (bare.straddle + np.where(is_call, 1.0, -1.0) * bare.difference) / 2
    vol = implied_vol(out_of_money, forwards[expiry], pairs.strike, taus[expiry], is_call,
                      discounts[expiry])
    nodes, vols = np.empty((2, len(taus), NODES))
    early = np.zeros((len(taus), 2 * NODES))
    _lay_nodes(pairs.begins, pairs.strike, vol, nodes, vols)
    for number, (carry, tau) in enumerate(zip(carries, taus.tolist(), strict=True)):
        if carry is not None and pairs.begins[number] < pairs.begins[number + 1]:
            early[number] = _at_nodes(float(forwards[number]), nodes[number], tau, vols[number],
                                      carry)
    call, put = np.zeros((2, len(pairs.strike)))
    # The root bends less over strikes than the premium, which grows like an exponential.
    _interpolate(pairs.begins, pairs.strike, np.sqrt(np.nan_to_num(early)), call, put)
    return call, put


def _at_nodes(forward: float, nodes: Floats, tau: float, vols: Floats, carry: Carry) -> Floats:
    """Premiums of the calls at the nodes, then those of the puts.

    Without dividends and with little borrow, a call is exercised early far in the money only.
    """
    ahead = ((carry.dividend_times > 0) & (carry.dividend_times <= tau)).any()
    if ahead or not carry.rate >= _LITTLE_BORROW * carry.borrow:
        return early_exercise_premium(
            forward, np.tile(nodes, 2), tau, np.tile(vols, 2), _IS_CALL, carry)
    puts = early_exercise_premium(forward, nodes, tau, vols, False, carry)
    return np.append(np.zeros(NODES), puts)


def _expiry_of(pairs: Pairs) -> Integers:
    return np.repeat(np.arange(len(pairs.begins) - 1), np.diff(pairs.begins))


def _mean_change(
    call: Floats, put: Floats, pairs: Pairs, factors: tuple[Floats, Floats]
) -> Floats:
    """Mean change of the premiums by the factors, per expiry, in currency."""
    expiry = _expiry_of(pairs)
    change = np.abs(factors[0] - 1.0)[expiry] * call + np.abs(factors[1] - 1.0)[expiry] * put
    return _mean(change, pairs)


def _mean(values: Floats, pairs: Pairs) -> Floats:
    """Mean of the pairs' values per expiry; 0 without pairs."""
    total = np.append(0.0, np.cumsum(values))
    return np.asarray(np.diff(total[pairs.begins]) / np.maximum(np.diff(pairs.begins), 1))


def _subset(pairs: Pairs, used: Bools) -> Pairs:
    begins = np.append(0, np.cumsum(used))[pairs.begins]
    return Pairs(begins, *(getattr(pairs, name)[used] for name in Pairs.__slots__[1:]))


@compiled
def _lay_nodes(
    begins: Integers, strike: Floats, vol: Floats, nodes: Floats, vols: Floats
) -> None:
    """Strikes of the nodes, and the volatility there by a line through the pairs about each."""
    work = np.empty(max(len(strike), 1))
    for i in range(len(nodes)):
        first, end, known = begins[i], begins[i + 1], 0
        for row in range(first, end):
            if math.isfinite(vol[row]):
                work[known] = vol[row]
                known += 1
        usual = middle(work, known) if known > 0 else _ANY_VOL
        low = strike[first] if end > first else 0.0
        width = strike[end - 1] - low if end > first else 0.0
        for node in range(NODES):
            at = low + 0.5 * width * (1.0 + _CHEBYSHEV[node])
            total, x, y, xx, xy = 1e-9, 0.0, 1e-9 * usual, 1e-9, 0.0
            for row in range(first, end):
                distance = (strike[row] - at) / max(_ABOUT * width, 1e-9)
                weight = 1.0 - abs(distance)
                if weight > 0.0 and math.isfinite(vol[row]):
                    value = min(max(vol[row], _LEAST_VOL * usual), _MOST_VOL * usual)
                    total += weight
                    x += weight * distance
                    y += weight * value
                    xx += weight * distance * distance
                    xy += weight * distance * value
            slope = (total * xy - x * y) / (total * xx - x * x)
            line = (y - slope * x) / total
            nodes[i, node] = at
            vols[i, node] = min(max(line, _LEAST_VOL * usual), _MOST_VOL * usual)


@compiled
def _interpolate(
    begins: Integers, strike: Floats, roots: Floats, call: Floats, put: Floats
) -> None:
    """Polynomial through Chebyshev's extreme points, by the barycentric formula.

    Berrut and Trefethen (2004), "Barycentric Lagrange interpolation", eqs. 4.2 and 5.4.
    """
    for i in range(len(roots)):
        first, end = begins[i], begins[i + 1]
        for row in range(first, end):
            low, width = strike[first], strike[end - 1] - strike[first]
            x = 2.0 * (strike[row] - low) / width - 1.0 if width > 0.0 else _CHEBYSHEV[0]
            total_call = total_put = total = 0.0
            for node in range(NODES):
                distance = x - _CHEBYSHEV[node]
                term = _BARYCENTRIC[node] / (distance if abs(distance) > 1e-12 else 1e-12)
                total_call += term * roots[i, node]
                total_put += term * roots[i, NODES + node]
                total += term
            call[row] = max(total_call / total, 0.0) ** 2
            put[row] = max(total_put / total, 0.0) ** 2
