"""The error of one forecast on the quotes observed at its time, beside the baselines'.

Errors are root mean squares over the observed mids on the grid, in basis points of volatility
(0.0001); what can't be had is NaN.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from ml.baselines import band_at, held_by_strike, on_grid, score_curve, score_smile
from ml.features import filtered_smile
from ml.types import Bools, Floats

BP = 1e-4


@dataclass(frozen=True, slots=True)
class Due:
    """A forecast whose target time has come; smile and band are (17,)."""

    symbol: str
    expiry: date
    made_at: datetime
    horizon_s: int
    model_name: str
    target_at: datetime
    role: str
    smile: Floats
    lower: Floats
    upper: Floats
    observed_at: datetime | None
    """The first smile's instant from the target time on; None where there was none in time."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The quotes observed at one instant, those on the grid; arrays have shape (m,)."""

    tau: float
    forward: float
    log_moneyness: Floats
    mid_iv: Floats
    half_spread: Floats


@dataclass(frozen=True, slots=True)
class Filter:
    """The filtered persistence that forecasts are held against."""

    step_s: float
    window: int
    weight: float


@dataclass(frozen=True, slots=True)
class Past:
    """What the baselines knew when a forecast was made; smiles are (17,)."""

    latest: Floats
    filtered: Floats
    tau: float
    forward: float
    """Years to expiry and forward of the latest smile."""

    @classmethod
    def of(cls, grid_vol: Floats, weight: float, tau: float, forward: float) -> "Past":
        """Of smiles (W, 17) at the filter's steps, the newest last, NaN where there was none."""
        return cls(grid_vol[-1], filtered_smile(grid_vol, weight), tau, forward)


@dataclass(frozen=True, slots=True)
class Score:
    """One forecast's score; `quotes` is 0 where nothing was observed in time."""

    quotes: int = 0
    error_bp: float = np.nan
    persistence_bp: float = np.nan
    filtered_persistence_bp: float = np.nan
    sticky_strike_bp: float = np.nan
    coverage: float = np.nan
    half_spread_bp: float = np.nan


UNOBSERVED = Score()


def observed(tau: float, forward: float, atm_vol: float, strike: Floats, bid_iv: Floats,
             mid_iv: Floats, ask_iv: Floats) -> Observed:
    """The quotes (n,) of one smile, of which those on its grid with a known mid are kept."""
    log_moneyness = np.log(strike / forward)
    used = on_grid(log_moneyness, atm_vol, tau) & np.isfinite(mid_iv)
    return Observed(tau, forward, log_moneyness[used], mid_iv[used],
                    (ask_iv[used] - bid_iv[used]) / 2)


def score(due: Due, seen: Observed, past: Past | None) -> Score:
    """The score of a forecast; without a past the baselines' errors are NaN."""
    if not seen.mid_iv.size:
        return UNOBSERVED
    latest = filtered = np.full_like(due.smile, np.nan)
    sticky_strike = np.nan
    if past is not None:
        latest, filtered = past.latest, past.filtered
        curve = held_by_strike(latest, past.tau, past.forward, seen.forward)
        sticky_strike = score_curve(curve, seen.log_moneyness, seen.mid_iv) / BP
    return Score(
        quotes=len(seen.mid_iv),
        error_bp=_error_bp(due.smile, seen),
        persistence_bp=_error_bp(latest, seen),
        filtered_persistence_bp=_error_bp(filtered, seen),
        sticky_strike_bp=sticky_strike,
        coverage=_coverage(due, seen),
        half_spread_bp=_median(seen.half_spread) / BP,
    )


def _error_bp(smile: Floats, seen: Observed) -> float:
    return score_smile(smile, seen.tau, seen.log_moneyness, seen.mid_iv) / BP


def _coverage(due: Due, seen: Observed) -> float:
    """Share of the observed mids within the band; NaN where there is no band."""
    lower, upper = (band_at(edge, due.smile, seen.tau, seen.log_moneyness)
                    for edge in (due.lower, due.upper))
    known: Bools = np.isfinite(lower) & np.isfinite(upper)
    inside = (lower <= seen.mid_iv) & (seen.mid_iv <= upper)
    return float(inside[known].mean()) if known.any() else np.nan


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan
