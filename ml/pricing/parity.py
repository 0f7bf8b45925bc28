"""American put-call parity: the inequality it is, and the equality left without the premiums."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ml.compiled import compiled
from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.pricing.forward import Integers, Pairs, middle
from ml.pricing.implied import implied_vol
from ml.types import Floats

NODES: Final = 6
"""Strikes of an expiry at which the premium is computed; between them it is interpolated."""

_ANY_VOL = 0.2
_LEAST_VOL, _MOST_VOL = 0.7, 1.5  # of the median; what is beyond is a bad quote
_ANGLES = np.pi * (np.arange(NODES) + 0.5) / NODES
_CHEBYSHEV = np.cos(_ANGLES)
_BARYCENTRIC = (-1.0) ** np.arange(NODES) * np.sin(_ANGLES)
_IS_CALL = np.arange(2 * NODES) < NODES


def american_bounds(
    spot: Floats | float,
    dividends_value: Floats | float,
    strike: Floats,
    discount: Floats | float,
    borrow_discount: Floats | float = 1.0,
) -> tuple[Floats, Floats]:
    """Lowest and highest call minus put of American exercise, in currency, shape (n,).

    S − PV(dividends) − K ≤ C − P ≤ S − K D (Merton, 1973; Hull, "Options, Futures, and Other
    Derivatives", ch. 11), with S e^(−q τ), that is S times `borrow_discount`, where the borrow q
    makes the bound wider, and K for K D where the rate is negative.

    >>> low, high = american_bounds(100.0, 1.0, np.array([100.0]), 0.99)
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([-1.0], [1.0])
    """
    held = spot * borrow_discount
    low = np.minimum(spot, held) - dividends_value - strike * np.maximum(discount, 1.0)
    high = np.maximum(spot, held) - strike * np.minimum(discount, 1.0)
    return np.asarray(low), np.asarray(high)


def european_pairs(
    strike: Floats,
    call_mid: Floats,
    put_mid: Floats,
    vol: Floats,
    tau: float,
    forward: float,
    carry: Carry,
) -> tuple[Floats, Floats]:
    """Call and put mids of one expiry less the premium of early exercise; arrays of shape (n,).

    `vol` is the volatility of each strike, at which the premium of both sides is taken. Where that
    can't be told, mids are left as they are.

    >>> call, put = european_pairs(np.array([480.0]), np.array([29.0]), np.array([9.0]),
    ...                            np.array([0.2]), 0.25, 500.0, Carry(0.04))
    >>> call.tolist(), put.round(2).tolist()
    ([29.0], [8.78])
    """
    is_call = np.arange(2 * len(strike)) < len(strike)
    early = early_exercise_premium(
        forward, np.tile(strike, 2), tau, np.tile(vol, 2), is_call, carry)
    call, put = np.split(np.where(np.isfinite(early), early, 0.0), 2)
    return call_mid - call, put_mid - put


def without_premium(
    pairs: Pairs,
    bare: Pairs,
    forwards: Floats,
    taus: Floats,
    carries: Sequence[Carry | None],
) -> Pairs:
    """The pairs of m expiries less the premium of early exercise, as `european_pairs` takes it.

    `bare` are the same pairs less an earlier guess of it, or themselves: their out-of-the-money
    side tells the volatility. An expiry without a carry is left as it is. The premium is computed
    at `NODES` strikes of each expiry and interpolated between them, 0.2 % of it off at most.
    """
    expiry = np.repeat(np.arange(len(taus)), np.diff(pairs.begins))
    discounts = np.array([carry.discount(tau) if carry else math.nan
                          for carry, tau in zip(carries, taus.tolist(), strict=True)])
    is_call = pairs.strike >= forwards[expiry]
    out_of_money = (bare.straddle + np.where(is_call, 1.0, -1.0) * bare.difference) / 2
    vol = implied_vol(out_of_money, forwards[expiry], pairs.strike, taus[expiry], is_call,
                      discounts[expiry])
    nodes, early = np.zeros((2, len(taus), NODES)), np.zeros((len(taus), 2 * NODES))
    vols = np.empty_like(nodes[0])
    _lay_nodes(pairs.begins, pairs.strike, vol, nodes[0], vols)
    for number, (carry, tau) in enumerate(zip(carries, taus.tolist(), strict=True)):
        if carry is not None and pairs.begins[number] < pairs.begins[number + 1]:
            early[number] = early_exercise_premium(
                float(forwards[number]), np.tile(nodes[0, number], 2), tau,
                np.tile(vols[number], 2), _IS_CALL, carry)
    call, put = np.zeros((2, len(pairs.strike)))
    _interpolate(pairs.begins, pairs.strike, np.nan_to_num(early), call, put)
    return replace(pairs, difference=pairs.difference - call + put,
                   straddle=pairs.straddle - call - put)


@compiled
def _lay_nodes(
    begins: Integers, strike: Floats, vol: Floats, nodes: Floats, vols: Floats
) -> None:
    """Strikes of the nodes, and the mean volatility of the pairs about each."""
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
            total, weights = 1e-9 * usual, 1e-9
            for row in range(first, end):
                near = 1.0 - abs(strike[row] - at) * NODES / max(2.0 * width, 1e-9)
                if near > 0.0 and math.isfinite(vol[row]):
                    total += near * min(max(vol[row], _LEAST_VOL * usual), _MOST_VOL * usual)
                    weights += near
            nodes[i, node], vols[i, node] = at, total / weights


@compiled
def _interpolate(
    begins: Integers, strike: Floats, early: Floats, call: Floats, put: Floats
) -> None:
    """Polynomial through Chebyshev's points, by the barycentric formula.

    Berrut and Trefethen (2004), "Barycentric Lagrange interpolation", eq. 4.2.
    """
    for i in range(len(early)):
        first, end = begins[i], begins[i + 1]
        for row in range(first, end):
            low, width = strike[first], strike[end - 1] - strike[first]
            x = 2.0 * (strike[row] - low) / width - 1.0 if width > 0.0 else _CHEBYSHEV[0]
            total_call = total_put = total = 0.0
            for node in range(NODES):
                distance = x - _CHEBYSHEV[node]
                term = _BARYCENTRIC[node] / (distance if abs(distance) > 1e-12 else 1e-12)
                total_call += term * early[i, node]
                total_put += term * early[i, NODES + node]
                total += term
            call[row] = max(total_call / total, 0.0)
            put[row] = max(total_put / total, 0.0)
