"""Errors of forecasts on the quotes observed at their targets, beside the baselines'.

Every forecast weighs the same, however many quotes its target has. 1 bp is 0.0001 of volatility.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from ml.baselines import band_at, held_by_strike, on_grid
from ml.contract import MEDIAN
from ml.dataset import Samples
from ml.history import Series
from ml.smile.grid import vol_at
from ml.types import Floats

BP = 1e4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was observed at one forecast's target."""

    sample: int
    tau: float
    forward: float
    log_moneyness: Floats
    mid_iv: Floats
    half_spread: Floats


@dataclass(frozen=True, slots=True)
class HorizonScore:
    """Root mean square errors in bp at one horizon, on observed quotes."""

    horizon_s: int
    samples: int
    quotes: int
    model_bp: float
    filtered_persistence_bp: float
    persistence_bp: float
    sticky_strike_bp: float
    r2: float
    """1 − MSE(model) / MSE(filtered persistence)."""
    coverage: float
    """Share of quotes within the band."""
    half_spread_bp: float
    """Median of the quotes' half-spreads."""


def outcomes(samples: Samples, history: Sequence[Series], horizon: int) -> Iterator[Outcome]:
    """What was observed for each sample at the horizon with this place, where anything was."""
    for place in np.flatnonzero(samples.target[:, horizon] >= 0):
        series, row = history[samples.series[place]], samples.target[place, horizon]
        quotes, tau = series.quotes[row], float(series.tau[row])
        used = on_grid(quotes.log_moneyness, series.atm_vol[row], tau) & np.isfinite(quotes.mid_iv)
        if used.any():
            yield Outcome(int(place), tau, float(series.forward[row]),
                          quotes.log_moneyness[used], quotes.mid_iv[used],
                          quotes.half_spread[used])


def score(change: Floats, samples: Samples, history: Sequence[Series],
          horizons_s: Sequence[int]) -> list[HorizonScore]:
    """Scores of forecast changes (N, H, 3, 17) by horizon; horizons never observed are left out.
    """
    scores = [_horizon_score(change[:, place], samples, history, place, horizon_s)
              for place, horizon_s in enumerate(horizons_s)]
    return [one for one in scores if one is not None]


def _horizon_score(change: Floats, samples: Samples, history: Sequence[Series], place: int,
                   horizon_s: int) -> HorizonScore | None:
    seen = list(outcomes(samples, history, place))
    if not seen:
        return None
    squared = np.array([_squared_errors(one, change, samples, history) for one in seen])
    model, filtered, latest, strike = np.sqrt(squared.mean(axis=0)) * BP
    inside = np.concatenate([_inside(one, change, samples) for one in seen])
    spread = np.concatenate([one.half_spread for one in seen])
    return HorizonScore(
        horizon_s=horizon_s, samples=len(seen), quotes=len(inside), model_bp=float(model),
        filtered_persistence_bp=float(filtered), persistence_bp=float(latest),
        sticky_strike_bp=float(strike), r2=float(1.0 - (model / filtered) ** 2),
        coverage=float(inside.mean()), half_spread_bp=float(np.nanmedian(spread) * BP))


def _squared_errors(one: Outcome, change: Floats, samples: Samples,
                    history: Sequence[Series]) -> Floats:
    """Mean squared errors of model, filtered persistence, persistence and sticky strike, (4,)."""
    series, row = history[samples.series[one.sample]], samples.row[one.sample]
    filtered, latest = samples.filtered[one.sample], series.grid_vol[row]
    smiles = filtered + change[one.sample, MEDIAN], filtered, latest
    curves = [vol_at(smile, one.tau, one.log_moneyness) for smile in smiles]
    by_strike = held_by_strike(latest, series.tau[row], series.forward[row], one.forward)
    curves.append(by_strike(one.log_moneyness))
    return np.asarray(np.mean((np.stack(curves) - one.mid_iv) ** 2, axis=1))


def _inside(one: Outcome, change: Floats, samples: Samples) -> np.ndarray:
    lower, smile, upper = samples.filtered[one.sample] + change[one.sample]
    low, high = (band_at(edge, smile, one.tau, one.log_moneyness) for edge in (lower, upper))
    return (low <= one.mid_iv) & (one.mid_iv <= high)


def as_table(scores: Sequence[HorizonScore], title: str) -> Table:
    """The scores for a terminal."""
    table = Table(title=title, title_justify="left")
    names = ("horizon", "forecasts", "model", "filtered persistence", "persistence",
             "sticky strike", "R² vs filtered", "band coverage", "half-spread")
    for name in names:
        table.add_column(name, justify="right")
    for one in scores:
        table.add_row(f"{one.horizon_s} s", str(one.samples), f"{one.model_bp:.1f} bp",
                      f"{one.filtered_persistence_bp:.1f} bp", f"{one.persistence_bp:.1f} bp",
                      f"{one.sticky_strike_bp:.1f} bp", f"{one.r2:+.1%}", f"{one.coverage:.0%}",
                      f"{one.half_spread_bp:.1f} bp")
    return table


def as_metrics(scores: Sequence[HorizonScore]) -> dict[str, float]:
    """The scores as flat numbers, named `<what>_<horizon>s`."""
    return {f"{what}_{one.horizon_s}s": float(value) for one in scores
            for what, value in asdict(one).items() if what != "horizon_s"}
