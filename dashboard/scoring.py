"""From sums of squared errors by block of time to errors, skill and its uncertainty."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.types import Floats

LEAST_BLOCKS = 8
LEAST_BLOCK_S = 300
NOMINAL_COVERAGE = 0.9
LEAST_KNOWN = 0.9
"""Share of the model's forecasts that an error beside the model's must be of."""
DRAWS = 400
BASELINES = {"filtered": "Filtered persistence", "persistence": "Persistence",
             "strike": "Sticky strike", "ewma": "EWMA", "ar": "AR", "har": "HAR",
             "kalman": "Kalman"}
ROLES = ("champion", "shadow", "baseline")


@dataclass(frozen=True, slots=True)
class Skill:
    """1 − MSE(model) / MSE(baseline) on the same forecasts, with its 90 % interval."""

    value: float
    low: float
    high: float
    """Ends of the interval; NaN below `LEAST_BLOCKS` blocks."""

    @property
    def certain(self) -> bool:
        """True if the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """`+4.1 % (+1.0 … +7.3)`; without the range where there are too few blocks for one."""
        text = f"{100 * self.value:+.1f} %"
        if not math.isfinite(self.low):
            return text
        return f"{text} ({100 * self.low:+.1f} … {100 * self.high:+.1f})"


@dataclass(frozen=True, slots=True)
class Score:
    """One version of a model at one horizon; errors are root mean squares in bp of volatility."""

    horizon_s: int
    role: str
    model_name: str
    version: str
    forecasts: int
    blocks: int
    error_bp: float
    baselines_bp: dict[str, float]
    """Of each of `BASELINES` by its key, where it is known; NaN where it never is."""
    half_spread_bp: float
    coverage: float
    """Share of observed quotes inside the band; NaN where no forecast had one."""
    skill: Skill
    """Against filtered persistence."""
    best: str
    """The baseline, by its key, that the model compares worst with."""
    best_skill: Skill


def summary(sums: pd.DataFrame) -> list[Score]:
    """One score per horizon, role, model and version of `score_queries.score_sums`.

    Champions come first, and of a model the version that forecast last.
    """
    groups = sums.groupby(["horizon_s", "role", "model_name", "model_version"])
    last_first = sorted(groups, key=lambda group: group[1]["at"].max(), reverse=True)
    scores = [_score(key, bins) for key, bins in last_first]
    return sorted(scores, key=lambda one: (one.horizon_s, ROLES.index(one.role), one.model_name))


def leading(scores: list[Score]) -> list[Score]:
    """Of `summary`, one score per horizon: the `leading_role`'s version that forecast last."""
    role = leading_role({score.role for score in scores})
    first: dict[int, Score] = {}
    for score in scores:
        if score.role == role:
            first.setdefault(score.horizon_s, score)
    return list(first.values())


def skill_interval(model_sq: Floats, rival_sq: Floats, level: float = 0.9,
                   seed: int = 7) -> tuple[float, float]:
    """Interval of 1 − Σ model_sq / Σ rival_sq by bootstrap over blocks of time, shape (n,).

    Whole blocks are drawn with replacement, since errors within a block are dependent
    (Künsch 1989, non-overlapping blocks). NaN, NaN below `LEAST_BLOCKS` blocks.
    """
    count = len(model_sq)
    if count < LEAST_BLOCKS:
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, count, size=(DRAWS, count))
    skill = 1.0 - model_sq[picks].sum(axis=1) / rival_sq[picks].sum(axis=1)
    low, high = np.quantile(skill, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def over_time(sums: pd.DataFrame) -> pd.DataFrame:
    """Error by bin, one row per series: `horizon_s`, `at`, `series`, `error_bp`, `forecasts`.

    The series are the model (champion if there is one), its shadow if there is one, and two
    baselines on the model's forecasts.
    """
    chosen, shadow = (_by_bin(sums[sums["role"] == role])
                      for role in (leading_role(set(sums["role"])), "shadow"))
    columns = {"Model": "model_sq", "Filtered persistence": "filtered_sq",
               "Persistence": "persistence_sq"}
    parts = [_series(chosen, column, name) for name, column in columns.items()]
    return pd.concat([*parts, *([_series(shadow, "model_sq", "Shadow")] if len(shadow) else [])],
                     ignore_index=True)


def leading_role(there: set[str]) -> str:
    """Of the roles that have scores `champion`, else `baseline`, else `shadow`."""
    return next((role for role in ("champion", "baseline") if role in there), "shadow")


def blocks(bins: pd.DataFrame, horizon_s: int) -> pd.DataFrame:
    """The squared errors summed over blocks of at least the horizon and five minutes.

    Forecasts whose spans overlap share their errors; a block holds most of what is shared.
    """
    starts = bins["at"].dt.floor(f"{max(horizon_s, LEAST_BLOCK_S)}s")
    return bins.groupby(starts)[[name for name in bins if name.endswith("_sq")]].sum()


def _score(key: tuple[int, str, str, str], bins: pd.DataFrame) -> Score:
    horizon, role, name, version = key
    total = bins.sum(numeric_only=True)
    independent = blocks(bins, horizon)
    best = _best(total)
    return Score(
        horizon_s=int(horizon), role=role, model_name=name, version=version,
        forecasts=int(total["forecasts"]), blocks=len(independent),
        error_bp=_root(total["model_sq"], total["forecasts"]),
        baselines_bp={each: _comparable(total, each) for each in BASELINES},
        half_spread_bp=float(np.average(bins["half_spread_bp"], weights=bins["forecasts"])),
        coverage=_ratio(total["covered"], total["banded"]),
        skill=_skill(total, independent, "filtered"), best=best,
        best_skill=_skill(total, independent, best))


def _comparable(total: pd.Series, name: str) -> float:
    """A baseline's error; NaN where too many of the model's forecasts are without it."""
    count = total[f"{name}_count"]
    enough = count >= LEAST_KNOWN * total["forecasts"]
    return _root(total[f"{name}_sq"], count) if enough else float("nan")


def _best(total: pd.Series) -> str:
    """The baseline that leaves the model the least skill, of those that can stand beside it."""
    known = [name for name in BASELINES
             if total[f"{name}_count"] >= LEAST_KNOWN * total["forecasts"]]
    return min(known, default="filtered",
               key=lambda name: 1.0 - _ratio(total[f"{name}_model_sq"], total[f"{name}_sq"]))


def _skill(total: pd.Series, independent: pd.DataFrame, name: str) -> Skill:
    of_both = independent[independent[f"{name}_sq"] > 0]
    low, high = skill_interval(of_both[f"{name}_model_sq"].to_numpy(np.float64),
                               of_both[f"{name}_sq"].to_numpy(np.float64))
    return Skill(1.0 - _ratio(total[f"{name}_model_sq"], total[f"{name}_sq"]), low, high)


def _by_bin(sums: pd.DataFrame) -> pd.DataFrame:
    """A line goes on where another version takes over."""
    summed = ["forecasts", "model_sq", "filtered_sq", "persistence_sq"]
    return sums.groupby(["horizon_s", "at"], as_index=False)[summed].sum()


def _series(bins: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    return pd.DataFrame({
        "horizon_s": bins["horizon_s"], "at": bins["at"], "series": name,
        "error_bp": np.sqrt(bins[column] / bins["forecasts"]), "forecasts": bins["forecasts"]})


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _root(squares: float, count: float) -> float:
    return float(np.sqrt(_ratio(squares, count)))
