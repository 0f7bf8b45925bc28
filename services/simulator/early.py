"""What the right to exercise early is worth, cheap enough for every quote.

A lattice per quote would be too slow. The premium, as a share of the forward, changes slowly at
a given distance from the money, so curves of it over that distance are computed at the ends of
ten-minute spans, for the market as it is then, and what lies between is interpolated: cubic in
the distance, linear in time. A curve belongs to an instant of the market alone, so that a quote
stays a pure function of its second. The error against the lattice is a hundredth of a cent on
average and a cent at most, in the money beside the exercise boundary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from ml.calendar import MIN_TAU
from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.types import Bools, Floats
from services.simulator.holding import RATE, Holding
from services.simulator.paths import DAY, YEAR_S, Steps
from services.simulator.surface import MarketState

SPAN = 600
"""Seconds."""
CACHED_CURVES = 4096
LOWEST = 0.05
"""Strike over forward: from there down a curve goes on level."""
_WINGS = np.array([3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0])
NODES: Floats = np.concatenate([-_WINGS[::-1], np.arange(-3.0, 3.1, 0.125), _WINGS])
"""Where curves are computed: u = (K/F − 1) / (σ_ATM √τ). Beyond they are straight in K."""
_APART = 1 << 30  # begins of asked spans lie closer than that
At = Callable[[int], tuple[MarketState, float]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Options that are alive, each at an instant; arrays (n,)."""

    step: Steps
    expires: Steps
    is_call: Bools
    u: Floats
    """(K/F − 1) / (σ_ATM √τ)."""


class EarlyExercise:
    """Premiums of one symbol's options; `at` gives the market's state and spot at a second."""

    def __init__(self, holding: Holding, at: At) -> None:
        self._holding, self._at = holding, at
        self._ex = holding.ex
        # Compile now: later it would hold up the clients that are connected.
        early_exercise_premium(100.0, np.array([100.0]), 0.1, 0.2, False, Carry(RATE))
        self._curve = lru_cache(maxsize=CACHED_CURVES)(self._computed)

    def premium(self, asked: Asked) -> tuple[Floats, Floats]:
        """Premium as a share of the forward, at least 0, and its slope by u; (n,) each."""
        begin, end = self._span(asked.step)
        spans = np.stack([asked.expires, begin, end])
        _, first, group = np.unique(asked.expires * _APART + (begin - begin.min()), True, True)
        curves = np.array([[self._curve(second, expires) for second in ends]
                           for expires, *ends in spans[:, first].T.tolist()])
        later = ((asked.step - begin) / np.maximum(end - begin, 1))[:, None]
        nodes = np.clip(np.searchsorted(NODES, asked.u) - 1, 0, len(NODES) - 2)
        # (n, value and slope, both ends of the node's interval), between the span's two ends.
        right = asked.is_call.astype(np.intp)
        cells = [(1.0 - later) * curves[group, 0, right, :, place]
                 + later * curves[group, 1, right, :, place] for place in (nodes, nodes + 1)]
        return _hermite(asked.u, NODES[nodes], NODES[nodes + 1], *cells)

    def _span(self, step: Steps) -> tuple[Steps, Steps]:
        """Between which instants to interpolate: within a day, and not across a dividend."""
        begin = step // SPAN * SPAN
        end = np.where((begin + SPAN) % DAY == 0, begin + SPAN - 1, begin + SPAN)
        if len(self._ex):
            following = np.searchsorted(self._ex, step, side="right")
            begin = np.maximum(begin, self._ex[following - 1])
            end = np.minimum(end, self._ex[following] - 1)
        return begin, end

    def _computed(self, second: int, expires: int) -> Floats:
        """Premium over forward and its slope at `NODES`: (rights, 2, nodes), puts first."""
        state, spot = self._at(second)
        tau = max((expires - second) / YEAR_S, MIN_TAU)
        carry = self._holding.carry(second, expires)
        forward = carry.forward(spot, tau)
        width = float(np.sqrt(state.atm_total_variance(np.array(tau))))
        strike = forward * np.maximum(1.0 + NODES * width, LOWEST)
        vol = np.sqrt(state.total_variance(np.log(strike / forward), np.array(tau)) / tau)
        value = np.stack([early_exercise_premium(forward, strike, tau, vol, is_call, carry)
                          for is_call in (False, True)]) / forward
        slope = PchipInterpolator(NODES, value, axis=1).derivative()(NODES)
        return np.stack([value, slope], axis=1)


def _hermite(u: Floats, low: Floats, high: Floats, at_low: Floats,
             at_high: Floats) -> tuple[Floats, Floats]:
    """The cubic between two nodes with given (value, slope) rows, straight beyond them."""
    inside = np.clip(u, low, high)
    gap = high - low
    s = (inside - low) / gap
    (p, m), (q, n) = at_low.T, at_high.T
    rise = q - p
    cubic = (m + n) * gap - 2.0 * rise
    square = 3.0 * rise - (2.0 * m + n) * gap
    slope = (m * gap + s * (2.0 * square + 3.0 * s * cubic)) / gap
    value = p + s * (m * gap + s * (square + s * cubic)) + (u - inside) * slope
    return np.maximum(value, 0.0), np.where(value > 0.0, slope, 0.0)
