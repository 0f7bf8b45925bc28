"""Bands that keep their coverage when the regime changes: adaptive conformal calibration.

A model's band is calibrated once, on quotes of its training time. Live and in evaluation its
half-widths are multiplied by a scale s per symbol and horizon that learns from what was missed:

    ln s ← ln s + γ (missed − (1 − level))

`missed` is the share of observed mids outside the band that was issued. This is the online
update of Gibbs and Candès (2021), "Adaptive conformal inference under distribution shift", eq. 2,
on the band's own scale as in the quantile tracker of Angelopoulos, Candès and Tibshirani (2023),
"Conformal PID control for time series prediction"; in logarithms, since volatility of volatility
changes by factors. Whatever the market does, as long as s is within its bounds the mean miss over
T steps is off 1 − level by |ln of s at the end over s at the beginning| / (γ T).

Time is cut into the model's steps on the epoch clock. Of the forecasts made in one step, those of
each expiry's first instant are judged, once their target has been observed. The scale is the same
for all of a step and depends on what was observed in earlier steps alone: so it needs no more than
was known, does not depend on the order of rows within a step, and a restart finds it again from
the stored scale of the last forecast and what was observed since. All expiries observed in a step
are one vote, their mean.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ml.baselines import band_at, on_grid
from ml.smile.grid import MAX_VOL, MIN_VOL
from ml.smile.grid_repair import has_butterfly, repair
from ml.types import Floats, Ints

LEVEL = 0.9
"""Share of mids that a band is to hold."""
RATE = 0.3
"""γ for a horizon of one step. Where the noise doubles or halves in the middle of four simulated
sessions of a minute's steps, coverage stays within 1.1 % of its level at 1 to 30 steps, and ln s
moves by 0.13 (1 step) to 0.26 (30 steps) on its own. At 0.1 it is off by 3 % at 30 steps."""
LEAST, MOST = 0.1, 10.0
"""Bounds of the scale."""


def rate(horizon_s: float, step_s: float) -> float:
    """γ of a horizon: slower where outcomes come later and overlap more.

    Forecasts of h steps share what happens in them, so a single shock is seen h times over.
    """
    return RATE / math.sqrt(max(1.0, horizon_s / step_s))


@dataclass(slots=True)
class BandScale:
    """The scale of one symbol's bands at one horizon, from step to step."""

    rate: float
    level: float = LEVEL
    value: float = 1.0
    step: int | None = None
    """The step that `value` holds for; None before the first one."""
    missed: list[float] = field(default_factory=list)
    """Shares observed in that step; they count from the next one on."""

    def at(self, step: int) -> float:
        """The scale of forecasts made in this step, by what was observed in earlier ones."""
        if self.step is None:
            self.step = step
        if step > self.step:
            self._learn()
            self.step = step
        return self.value

    def observe(self, step: int, missed: float) -> None:
        """Take the share in [0, 1] of an expiry's mids, observed in this step, that were missed."""
        self.at(step)
        self.missed.append(missed)

    def _learn(self) -> None:
        if not self.missed:
            return
        mean = math.fsum(self.missed) / len(self.missed)
        grown = self.value * math.exp(self.rate * (mean - (1.0 - self.level)))
        self.value = min(max(grown, LEAST), MOST)
        self.missed.clear()


def scaled(change: Floats, scale: Floats) -> Floats:
    """Quantiles of change (…, H, 3, 17) with both sides of the band times `scale` (…, H).

    A median of 1 bp in a band from −1 to 4 bp, times 2, is a band from −3 to 7 bp.
    """
    middle = change[..., 1:2, :]
    return np.asarray(middle + (change - middle) * scale[..., None, None])


@dataclass(frozen=True, slots=True)
class Issue:
    """Forecasts as they are published, by horizon."""

    smile: Floats
    """(H, 17)"""
    lower: Floats
    upper: Floats
    moved: Floats
    """By how much a repair moved each smile, root mean square, (H,)."""


def issue(filtered: Floats, change: Floats, tau: Floats) -> Issue:
    """The forecasts of changes (H, 3, 17) of the filtered smile (17,), `tau` (H,) before expiry.

    Medians pass the arbitrage check and are repaired, past expiry they are left alone; a band that
    its smile then leaves is made to hold it. NaN where there is no band.
    """
    smiles = filtered + change  # (H, 3, 17)
    middle = np.clip(smiles[:, 1], MIN_VOL, MAX_VOL)
    moved = np.sqrt(np.mean((middle - smiles[:, 1]) ** 2, axis=1))
    for place in np.flatnonzero(has_butterfly(middle, tau) & (tau > 0.0)):
        middle[place], moved[place] = repair(smiles[place, 1], float(tau[place]))
    return Issue(middle, np.minimum(np.maximum(smiles[:, 0], MIN_VOL), middle),
                 np.maximum(np.minimum(smiles[:, 2], MAX_VOL), middle), moved)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What was observed of one expiry at one instant; arrays have shape (m,)."""

    tau: float
    atm_vol: float
    log_moneyness: Floats
    """ln(K / forward at that instant)."""
    mid_iv: Floats


def missed_share(smile: Floats, lower: Floats, upper: Floats, seen: Quoted) -> float:
    """Share of the mids on the grid that lie outside a forecast's band (17,).

    NaN where there is nothing to judge: no quote on the grid, or no band.
    """
    used = on_grid(seen.log_moneyness, seen.atm_vol, seen.tau) & np.isfinite(seen.mid_iv)
    low, high = (band_at(edge, smile, seen.tau, seen.log_moneyness[used])
                 for edge in (lower, upper))
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return math.nan
    mid = seen.mid_iv[used]
    return float(((mid < low) | (mid > high))[known].mean())


@dataclass(frozen=True, slots=True)
class Issued:
    """M forecasts with static bands in any order, and the Q quotes that they are judged on."""

    at_s: Floats
    """When each was made, epoch seconds, (M,)."""
    horizon_s: Floats
    """(M,)"""
    symbol: Ints
    """A number for each symbol, (M,)."""
    expiry: Ints
    """A number for each symbol's expiry, (M,)."""
    observed_s: Floats
    """When its quotes were observed, epoch seconds; NaN where never, (M,)."""
    starts: Ints
    """Forecast i has the quotes from starts[i] to before starts[i + 1], (M + 1,)."""
    mid: Floats
    """Observed mids, (Q,), and at the same quotes forecast and static band, (Q,) each."""
    middle: Floats
    lower: Floats
    upper: Floats


def adapt(issued: Issued, step_s: float, level: float = LEVEL) -> Floats:
    """The scale (M,) that each forecast's band would have had live; of 1 at the beginning.

    Give the quotes' edges as lower = middle − scale · (middle − lower), and so the upper one.
    Only the first forecasts of each expiry in a step are judged, as live.
    """
    scale = np.ones(len(issued.at_s))
    for symbol in np.unique(issued.symbol):
        for horizon_s in np.unique(issued.horizon_s):
            places = np.flatnonzero((issued.symbol == symbol) & (issued.horizon_s == horizon_s))
            line = BandScale(rate(float(horizon_s), step_s), level)
            _replay(issued, places, line, step_s, scale)
    return scale


def _replay(issued: Issued, places: Ints, line: BandScale, step_s: float, scale: Floats) -> None:
    """Fill in the scale of the forecasts at these places, of one symbol and horizon."""
    made = np.floor(issued.at_s[places] / step_s).astype(np.int64)
    judged = places[_first_in_step(issued.expiry[places], made, issued.at_s[places])]
    observed = np.floor(issued.observed_s[judged] / step_s)
    known = np.isfinite(observed)
    for step, issue, judge in _by_step(made, observed[known].astype(np.int64)):
        scale[places[issue]] = line.at(step)
        for place in judged[known][judge].tolist():
            missed = _missed(issued, place, float(scale[place]))
            if math.isfinite(missed):
                line.observe(step, missed)


def _by_step(made: Ints, observed: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Each step in turn, with the places of what was made and of what was observed in it."""
    by_made, by_observed = (np.argsort(steps, kind="stable") for steps in (made, observed))
    for step in np.union1d(made, observed).tolist():
        yield (step, *(order[slice(*np.searchsorted(steps[order], [step, step + 1]))]
                       for steps, order in ((made, by_made), (observed, by_observed))))


def _first_in_step(expiry: Ints, step: Ints, at_s: Floats) -> Ints:
    """Places of each expiry's first forecast in each step."""
    order = np.lexsort((at_s, step, expiry))
    pairs = np.stack([expiry[order], step[order]])
    new = np.append(True, (np.diff(pairs) != 0).any(axis=0))
    return np.asarray(order[new[:len(order)]])


def _missed(issued: Issued, place: int, scale: float) -> float:
    quotes = slice(issued.starts[place], issued.starts[place + 1])
    off = issued.mid[quotes] - issued.middle[quotes]
    low = (issued.lower[quotes] - issued.middle[quotes]) * scale
    high = (issued.upper[quotes] - issued.middle[quotes]) * scale
    known = np.isfinite(off) & np.isfinite(low) & np.isfinite(high)
    return float(((off < low) | (off > high))[known].mean()) if known.any() else math.nan
