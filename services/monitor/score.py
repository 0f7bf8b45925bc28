"""The error of one forecast on the quotes observed at its time, beside the baselines'.

Errors are root mean squares over the observed mids on the grid, in basis points of volatility
(0.0001); what can't be had is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from ml.baselines import band_at, held_by_strike, on_grid, score_curve, score_smile
from ml.types import Bools, Floats
from services.monitor.past import Past

BP = 1e-4
BASELINES = ("persistence", "filtered_persistence", "sticky_strike", "ewma", "ar", "har",
             "kalman")
"""Those of the table; its columns are called so, and `_bp`."""


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
    source: str
    model_version: str
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
class Score:
    """One forecast's score; `quotes` is 0 where nothing was observed in time."""

    quotes: int = 0
    error_bp: float = np.nan
    baselines_bp: Mapping[str, float] = field(default_factory=dict)
    """Error of each of `BASELINES` that is known."""
    coverage: float = np.nan
    half_spread_bp: float = np.nan

    def against(self) -> list[float]:
        """The errors of `BASELINES`, in that order."""
        return [self.baselines_bp.get(name, np.nan) for name in BASELINES]


UNOBSERVED = Score()


def observed(tau: float, forward: float, atm_vol: float, strike: Floats, bid_iv: Floats,
             mid_iv: Floats, ask_iv: Floats) -> Observed:
    """The quotes (n,) of one smile, of which those on its grid with a known mid are kept."""
    log_moneyness = np.log(strike / forward)
    used = on_grid(log_moneyness, atm_vol, tau) & np.isfinite(mid_iv)
    return Observed(tau, forward, log_moneyness[used], mid_iv[used],
                    (ask_iv[used] - bid_iv[used]) / 2)


def score(due: Due, seen: Observed, baselines_bp: Mapping[str, float]) -> Score:
    """The score of a forecast, with what the baselines missed the same quotes by."""
    if not seen.mid_iv.size:
        return UNOBSERVED
    return Score(
        quotes=len(seen.mid_iv),
        error_bp=_error_bp(due.smile, seen),
        baselines_bp=baselines_bp,
        coverage=_coverage(due, seen),
        half_spread_bp=_median(seen.half_spread) / BP,
    )


def baseline_errors(past: Past | None, held: Mapping[str, Floats],
                    seen: Observed) -> dict[str, float]:
    """Errors in bp of what a desk would have held; empty without a past or quotes.

    `held` are further smiles (17,) by baseline, held by moneyness.
    """
    if past is None or not seen.mid_iv.size:
        return {}
    curve = held_by_strike(past.latest, past.tau, past.forward, seen.forward)
    smiles = {"persistence": past.latest, "filtered_persistence": past.filtered, **held}
    return {"sticky_strike": score_curve(curve, seen.log_moneyness, seen.mid_iv) / BP,
            **{name: _error_bp(smile, seen) for name, smile in smiles.items()}}


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
