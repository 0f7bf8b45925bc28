"""Whether a challenger becomes champion, by its losses on days that neither has seen.

It must be better than the champion, over all horizons together, and at no horizon of its contract
unjudged, or worse than the best baseline there, as known afterwards: R² out of sample at least
`LEAST_R2`, and not worse by a one-sided test of Diebold and Mariano at `LEVEL`. Where time holds
too few independent instants for a test, the challenger is not shown to be better than a champion,
nor to be worse than a baseline.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ml.args import Config
from ml.dataset import Dataset
from ml.days import days
from ml.errors import TrainingDataError
from ml.evaluation.collect import collect
from ml.evaluation.records import MODEL, Records
from ml.evaluation.significance import diebold_mariano
from ml.folds import Fold, Part
from ml.forecaster import Forecaster
from ml.types import Floats
from ml.walk import Walked

LEAST_R2 = -0.005
"""Against the best baseline at any horizon."""
LEVEL = 0.05
"""Of the one-sided tests."""
LEAST_INSTANTS = 30
"""Unseen instants that are scored at the shortest horizon."""
BP = 1e4
_SAME = 1e-5


@dataclass(frozen=True, slots=True)
class AtHorizon:
    """What the gate looked at, at one horizon; NaN without a champion, or too little to tell."""

    horizon_s: int
    instants: int
    forecasts: int
    challenger_bp: float
    best: str
    """The baseline with the least root mean square error."""
    best_bp: float
    r2_best: float
    """1 − MSE(challenger) / MSE(best baseline)."""
    p_worse: float
    """One-sided: small where the challenger is surely worse than the best baseline."""
    champion_bp: float
    r2_champion: float

    @property
    def worse(self) -> bool:
        """Whether it is worse than the best baseline."""
        return self.r2_best < LEAST_R2 or self.p_worse < LEVEL


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says."""

    reasons: tuple[str, ...]
    """Why not; none where the challenger is good enough."""
    horizons: tuple[AtHorizon, ...] = ()
    p_better: float = float("nan")
    """One-sided: small where the challenger is surely better than the champion."""
    has_champion: bool = False
    from_s: float = float("nan")
    until_s: float = float("nan")
    """Epoch seconds of the first and the last origin."""
    days: int = 0

    @property
    def passed(self) -> bool:
        """Whether the challenger is good enough."""
        return not self.reasons

    def sentence(self) -> str:
        """The verdict in one line."""
        if not self.passed:
            return f"refused: {'; '.join(self.reasons)}"
        champion = f"better than the champion (p = {self.p_better:.3f}) and " \
            if self.has_champion else "the first of its name, and "
        return f"passed: {champion}not worse than the best baseline at any horizon"


def unseen(dataset: Dataset, after_s: float) -> Part:
    """The samples made later than an instant, with every target there is.

    Raises:
        TrainingDataError: there are none.
    """
    samples = dataset.samples
    known = samples.target >= 0
    chosen = (samples.at_s > after_s) & known.any(axis=1)
    if not chosen.any():
        raise TrainingDataError("there is nothing to judge on: no sample is later than what "
                                "the models were trained on")
    return Part(np.flatnonzero(chosen), known[chosen])


def losses(forecaster: Forecaster, dataset: Dataset, part: Part) -> Records:
    """The forecaster's losses on the part, beside its baselines'.

    Raises:
        TrainingDataError: no target of the part has a quote on the grid.
    """
    nothing = Part(part.places[:0], part.known[:0])
    return collect([Walked(Fold(0, nothing, nothing, nothing, part), forecaster, None, Config())],
                   dataset)


def judge(challenger: Records, champion: Records | None) -> Verdict:
    """The verdict by losses on the same forecasts.

    Raises:
        ValueError: the two are of other forecasts.
    """
    if champion is not None and not _aligned(challenger, champion):
        raise ValueError("challenger and champion were scored on different forecasts")
    horizons = tuple(_at_horizon(challenger, champion, place)
                     for place in np.unique(challenger.horizon).tolist())
    p_better = float("nan") if champion is None else _p_better(challenger, champion)
    at_s = np.unique(challenger.at_s)
    return Verdict(
        reasons=(*_unjudged(challenger), *_reasons(horizons, champion is not None, p_better)),
        horizons=horizons,
        p_better=p_better, has_champion=champion is not None, from_s=float(at_s[0]),
        until_s=float(at_s[-1]), days=int(days(at_s)[-1]) + 1)


def _aligned(one: Records, other: Records) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name))
               for name in ("horizon", "at_s", "forecasts")) \
        and one.horizons_s == other.horizons_s


def _unjudged(records: Records) -> Iterator[str]:
    judged = np.unique(records.horizon).tolist()
    for place, horizon_s in enumerate(records.horizons_s):
        if place not in judged:
            yield f"no unseen forecast of {horizon_s} s has a quote to be judged by"


def _reasons(horizons: tuple[AtHorizon, ...], has_champion: bool,
             p_better: float) -> Iterator[str]:
    shortest = horizons[0]
    if shortest.instants < LEAST_INSTANTS:
        yield (f"{shortest.instants} unseen instants at {shortest.horizon_s} s are too few, "
               f"{LEAST_INSTANTS} are needed")
    for one in horizons:
        if one.worse:
            surely = "" if np.isnan(one.p_worse) else f", p = {one.p_worse:.3f}"
            yield f"worse than {one.best} at {one.horizon_s} s (R² {one.r2_best:+.1%}{surely})"
    if has_champion and np.isnan(p_better):
        yield "too few independent instants to tell it from the champion"
    elif has_champion and p_better >= LEVEL:
        yield f"not better than the champion (p = {p_better:.3f})"


def _at_horizon(records: Records, champion: Records | None, place: int) -> AtHorizon:
    rows = records.horizon == place
    weight, at_s = records.forecasts[rows], records.at_s[rows]
    squared = {name: records.losses(name, "squared")[rows] for name in records.names}
    mine = squared.pop(MODEL)
    best = min(squared, key=lambda name: float(squared[name].sum()))
    horizon_s = records.horizons_s[place]
    theirs = None if champion is None else champion.losses(MODEL, "squared")[rows]
    p_worse = _p_less(squared[best], mine, weight, at_s, horizon_s, records.step_s)
    return AtHorizon(
        horizon_s=horizon_s, instants=len(at_s), forecasts=int(weight.sum()),
        challenger_bp=_root(mine, weight), best=best, best_bp=_root(squared[best], weight),
        r2_best=_r2(mine, squared[best]), p_worse=p_worse,
        champion_bp=_root(theirs, weight), r2_champion=_r2(mine, theirs))


def _p_better(challenger: Records, champion: Records) -> float:
    """Of both models' losses in units of the champion's mean loss at each horizon."""
    mean = np.bincount(champion.horizon, champion.losses(MODEL, "squared")) \
        / np.maximum(np.bincount(champion.horizon, champion.forecasts), 1.0)
    unit = np.maximum(mean, np.finfo(float).tiny)[champion.horizon]
    mine, theirs = (one.losses(MODEL, "squared") / unit for one in (challenger, champion))
    longest = max(challenger.horizons_s[place] for place in np.unique(challenger.horizon).tolist())
    return _p_less(mine, theirs, challenger.forecasts, challenger.at_s, longest,
                   challenger.step_s)


def _p_less(mine: Floats, theirs: Floats, weight: Floats, at_s: Floats, horizon_s: float,
            step_s: float) -> float:
    """The p-value against "mine are not less", small where they surely are.

    Losses are summed over `weight` forecasts, each of which counts alike, as in R².
    """
    if np.allclose(mine, theirs, rtol=_SAME, atol=_SAME * theirs.mean()):
        return 0.5  # the same forecast but for rounding, and that is no evidence
    test = diebold_mariano(mine / weight, theirs / weight, at_s, horizon_s, step_s, weight)
    return test.p_value / 2.0 if test.statistic < 0.0 else 1.0 - test.p_value / 2.0


def _root(squared: Floats | None, weight: Floats) -> float:
    return float("nan") if squared is None else float(np.sqrt(squared.sum() / weight.sum())) * BP


def _r2(mine: Floats, theirs: Floats | None) -> float:
    return float("nan") if theirs is None or not theirs.any() \
        else float(1.0 - mine.sum() / theirs.sum())
