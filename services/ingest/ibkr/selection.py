"""Which contracts to watch within the market data lines that there are. Pure functions.

Around the money both rights are watched, for the forward by parity; towards the wings only the
right that is out of the money, spread over z = ln(K/S) / width from −2.5 to 1.5.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.common.messages import Right

Z_LOW, Z_HIGH = -2.5, 1.5
FEWEST_LINES = 8
"""Fewer than this make no smile: rather watch fewer expiries."""
MOVE_Z = 0.25
"""An expiry is chosen anew once spot has moved by this much z."""
WIDTH_RATIO = 1.4
"""An expiry is chosen anew once its width has changed by this factor."""
LEAST_WIDTH = 0.002
ROUGH_VOL = 0.2
LEAST_YEARS = 1 / (365 * 24)


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One contract, one market data line."""

    expiry: date
    strike: float
    right: Right


@dataclass(frozen=True, slots=True)
class Ladder:
    """The strikes of an expiry, ascending, and its width σ√τ, roughly."""

    expiry: date
    strikes: tuple[float, ...]
    width: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched of an expiry, and around what it was chosen."""

    centre: float
    width: float
    lines: tuple[Line, ...]

    def fits(self, ladder: Ladder, spot: float, count: int) -> bool:
        """Whether the plan still serves, so that nothing need change."""
        moved = abs(math.log(spot / self.centre)) / self.width
        ratio = max(ladder.width / self.width, self.width / ladder.width)
        return moved < MOVE_Z and ratio < WIDTH_RATIO and len(self.lines) <= count


def rough_width(years: float) -> float:
    """A first guess at σ√τ, before there are quotes."""
    return max(ROUGH_VOL * math.sqrt(max(years, LEAST_YEARS)), LEAST_WIDTH)


def straddle_width(straddle: float, spot: float) -> float:
    """σ√τ from the price of the straddle at the money.

    Brenner and Subrahmanyam (1988): straddle ≈ S σ√τ √(2/π).

    >>> round(straddle_width(8.0, 500.0), 4)
    0.0201
    """
    return max(straddle / (spot * math.sqrt(2 / math.pi)), LEAST_WIDTH)


def choose(ladders: Sequence[Ladder], spot: float, budget: int,
           held: Mapping[date, Plan]) -> dict[date, Plan]:
    """A plan per expiry with at most `budget` lines in all.

    Nearest expiries come first; what one does not need goes to the next. A held plan that still
    fits is kept as it is.
    """
    ladders = [ladder for ladder in ladders if ladder.strikes]
    ladders = ladders[:max(1, budget // FEWEST_LINES)]
    plans: dict[date, Plan] = {}
    for place, ladder in enumerate(ladders):
        count = budget // (len(ladders) - place)
        plan = held.get(ladder.expiry)
        if plan is None or not plan.fits(ladder, spot, count):
            plan = Plan(spot, ladder.width, _lines(ladder, spot, count))
        plans[ladder.expiry] = plan
        budget -= len(plan.lines)
    return plans


def nearest_first(plans: Mapping[date, Plan]) -> list[Line]:
    """All lines, those nearest the money first, so that a refusal costs a wing."""
    ranked = [(abs(math.log(line.strike / plan.centre)) / plan.width, line)
              for plan in plans.values() for line in plan.lines]
    return [line for _, line in sorted(ranked)]


def _lines(ladder: Ladder, spot: float, count: int) -> tuple[Line, ...]:
    """At most `count` lines of an expiry, nearest the money first."""
    z = {strike: math.log(strike / spot) / ladder.width for strike in ladder.strikes}
    by_nearness = sorted(ladder.strikes, key=lambda strike: abs(z[strike]))
    pairs = by_nearness[:max(1, min(count // 4, count // 2))]
    wings = _spread({strike: z[strike] for strike in by_nearness[len(pairs):]
                     if Z_LOW <= z[strike] <= Z_HIGH}, count - 2 * len(pairs))
    spare = count - 2 * len(pairs) - len(wings)
    both = {*pairs, *sorted(wings, key=lambda strike: abs(z[strike]))[:max(spare, 0)]}
    chosen = sorted({*pairs, *wings}, key=lambda strike: abs(z[strike]))
    return tuple(Line(ladder.expiry, strike, right) for strike in chosen
                 for right in _rights(strike, spot, strike in both))[:count]


def _rights(strike: float, spot: float, both: bool) -> tuple[Right, ...]:
    """The right out of the money first."""
    if strike >= spot:
        return ("C", "P") if both else ("C",)
    return ("P", "C") if both else ("P",)


def _spread(z: Mapping[float, float], count: int) -> list[float]:
    """`count` strikes of those in `z`, spread evenly over it; all of them if there are fewer."""
    free = sorted(z, key=lambda strike: z[strike])
    if len(free) <= count or count < 1:
        return free[:max(count, 0)]
    low, high = z[free[0]], z[free[-1]]
    step = (high - low) / max(count - 1, 1)
    chosen: list[float] = []
    # From both ends inwards, so that the ends are surely among them.
    for place in sorted(range(count), key=lambda at: min(at, count - 1 - at)):
        target = low + step * place
        best = min(free, key=lambda strike: abs(z[strike] - target))
        free.remove(best)
        chosen.append(best)
    return chosen
