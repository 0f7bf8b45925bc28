"""From sums of squared errors by block of time to errors, skill and its uncertainty."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.types import Floats

LEAST_BLOCKS = 8
LEAST_BLOCK_S = 300
NOMINAL_COVERAGE = 0.9
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Score:
    """One model at one horizon; errors are root mean squares in basis points of volatility."""

    horizon_s: int
    role: str
    model_name: str
    forecasts: int
    blocks: int
    error_bp: float
    persistence_bp: float
    filtered_bp: float
    strike_bp: float
    half_spread_bp: float
    coverage: float
    """Share of observed quotes inside the band; NaN where no forecast had one."""
    skill: float
    """1 − MSE(model) / MSE(filtered persistence) on the same forecasts."""
    skill_low: float
    skill_high: float
    """Ends of the 90 % interval; NaN below `LEAST_BLOCKS` blocks."""


def summary(sums: pd.DataFrame) -> list[Score]:
    """One score per horizon, role and model of `queries.score_sums`."""
    groups = sums.groupby(["horizon_s", "role", "model_name"], sort=True)
    return [_score(key, bins) for key, bins in groups]


def skill_interval(model_sq: Floats, filtered_sq: Floats, level: float = 0.9,
                   seed: int = 7) -> tuple[float, float]:
    """Interval of 1 − Σ model_sq / Σ filtered_sq by bootstrap over blocks of time, shape (n,).

    Whole blocks are drawn with replacement, since errors within a block are dependent
    (Künsch 1989, non-overlapping blocks). NaN, NaN below `LEAST_BLOCKS` blocks.
    """
    count = len(model_sq)
    if count < LEAST_BLOCKS:
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, count, size=(DRAWS, count))
    skill = 1.0 - model_sq[picks].sum(axis=1) / filtered_sq[picks].sum(axis=1)
    low, high = np.quantile(skill, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def over_time(sums: pd.DataFrame) -> pd.DataFrame:
    """Error by bin, one row per series: `horizon_s`, `at`, `series`, `error_bp`, `forecasts`.

    The series are the model (champion if there is one) and the baselines on its forecasts.
    """
    chosen = sums[sums["role"] == leading_role(sums)]
    columns = {"Model": "model_sq", "Filtered persistence": "filtered_sq",
               "Persistence": "persistence_sq"}
    parts = [pd.DataFrame({
        "horizon_s": chosen["horizon_s"], "at": chosen["at"], "series": series,
        "error_bp": np.sqrt(chosen[column] / chosen["forecasts"]),
        "forecasts": chosen["forecasts"],
    }) for series, column in columns.items()]
    return pd.concat(parts, ignore_index=True)


def leading_role(sums: pd.DataFrame) -> str:
    """`champion` where it has scores, else `baseline`."""
    return "champion" if (sums["role"] == "champion").any() else "baseline"


def blocks(bins: pd.DataFrame, horizon_s: int) -> pd.DataFrame:
    """`model_sq` and `filtered_sq` summed over blocks of at least the horizon and five minutes.

    Forecasts whose spans overlap share their errors; a block holds most of what is shared.
    """
    starts = bins["at"].dt.floor(f"{max(horizon_s, LEAST_BLOCK_S)}s")
    return bins.groupby(starts)[["model_sq", "filtered_sq"]].sum()


def _score(key: tuple[int, str, str], bins: pd.DataFrame) -> Score:
    horizon, role, name = key
    total = bins.sum(numeric_only=True)
    independent = blocks(bins, horizon)
    low, high = skill_interval(independent["model_sq"].to_numpy(np.float64),
                               independent["filtered_sq"].to_numpy(np.float64))
    return Score(
        horizon_s=int(horizon), role=role, model_name=name, forecasts=int(total["forecasts"]),
        blocks=len(independent), error_bp=_root(total["model_sq"], total["forecasts"]),
        persistence_bp=_root(total["persistence_sq"], total["forecasts"]),
        filtered_bp=_root(total["filtered_sq"], total["forecasts"]),
        strike_bp=_root(total["strike_sq"], total["strike_count"]),
        half_spread_bp=float(np.average(bins["half_spread_bp"], weights=bins["forecasts"])),
        coverage=_ratio(total["covered"], total["banded"]),
        skill=1.0 - _ratio(total["model_sq"], total["filtered_sq"]),
        skill_low=low, skill_high=high)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _root(squares: float, count: float) -> float:
    return float(np.sqrt(_ratio(squares, count)))
