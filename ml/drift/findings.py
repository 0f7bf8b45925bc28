"""What a check for drift finds, and what is made of several checks after one another."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy.stats import norm

from ml.contract import ModelContract
from ml.drift.statistics import Shift, shift, unknown
from ml.features import INSTANT_FEATURES
from ml.types import Floats

Kind = Literal["feature", "residual", "skill"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LEAST_BLOCKS = 8
LEVEL = 0.05
"""Chance at which a model that is as good as any baseline is said to have lost its skill."""
TOLERATED = 0.005
"""Share of the best baseline's mean squared error that a model may be worse by."""
CALENDAR = ("log_tau", "session_sin", "session_cos")
"""Features that only tell the time: of a recent day they are never spread as over many."""
LOGARITHMS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "log_atm_vol": ("atm_vol", np.log), "log_quote_age": ("quote_age_s", np.log1p)}
"""Columns of a window that are a function of one of the instant's."""
WORDS: dict[str, str] = {"feature": "the features have drifted",
                         "residual": "its errors have grown",
                         "skill": "it is worse than the best baseline"}
"""What each kind says of the champion."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One feature, or one horizon's errors or skill, at one check."""

    kind: Kind
    subject: str
    """The feature's name, or the horizon in seconds."""
    shift: Shift
    skill: float = float("nan")
    """1 − MSE(model) / MSE(best baseline); of kind `skill` only."""

    @property
    def found(self) -> bool | None:
        """Whether it drifted or was lost; None where there was too little to tell."""
        return self.shift.found


def feature_findings(contract: ModelContract, at_s: Floats, features: Floats) -> list[Finding]:
    """The drift of each feature that the contract has a reference of.

    `features` are `INSTANT_FEATURES` (n, F) of smiles at the times (n,), NaN where unknown. The
    reference counts as many samples as training had windows, though they were dependent too.
    """
    reference = contract.reference
    return [Finding("feature", name, shift(np.asarray(quantiles), contract.samples, values, at_s))
            for name, quantiles in zip(reference.names, reference.quantiles, strict=True)
            if name not in CALENDAR and (values := column(name, features)) is not None]


def column(name: str, features: Floats) -> Floats | None:
    """The values (n,) of a feature of the reference, of `INSTANT_FEATURES` (n, F).

    None for one that an instant alone does not tell.
    """
    of, function = LOGARITHMS.get(name, (name, np.asarray))
    if of not in INSTANT_FEATURES:
        return None
    with np.errstate(all="ignore"):
        values: Floats = function(features[:, INSTANT_FEATURES.index(of)])
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True, slots=True)
class Errors:
    """Squared errors in bp² at one horizon, summed over blocks of time; arrays are (b,)."""

    at_s: Floats
    forecasts: Floats
    model: Floats
    baselines: Floats
    """(b, baselines); NaN in blocks where one is not known for each forecast."""


def residual_finding(horizon_s: int, then: Errors | None, now: Errors) -> Finding:
    """Whether errors are spread otherwise than in the model's first day, and greater.

    What is compared is the root mean square of each block.
    """
    if then is None or len(then.model) < LEAST_BLOCKS:
        return Finding("residual", str(horizon_s), unknown(len(now.model)))
    before, after = (np.sqrt(errors.model / errors.forecasts) for errors in (then, now))
    quantiles = np.quantile(before, np.linspace(0.0, 1.0, 101))
    moved = shift(quantiles, len(before), after, now.at_s, least=LEAST_BLOCKS)
    if moved.found and np.median(after) <= np.median(before):
        moved = replace(moved, found=False)
    return Finding("residual", str(horizon_s), moved)


def skill_finding(horizon_s: int, now: Errors) -> Finding:
    """Whether the model is worse than the best baseline, by more than is tolerated, and surely.

    By the mean difference of squared errors over blocks no shorter than the horizon, which hardly
    depend on each other, one-sided at `LEVEL`; the best is picked among several after the fact,
    so the level is shared among them (Bonferroni). Each baseline is held against the model on the
    blocks that have it, if they are `LEAST_BLOCKS` or more.
    """
    known = np.isfinite(now.baselines)
    rivals = [(now.model[has], baseline[has])
              for baseline, has in zip(now.baselines.T, known.T, strict=True)
              if has.sum() >= LEAST_BLOCKS]
    if not rivals:
        return Finding("skill", str(horizon_s), unknown(len(now.model)))
    model, best = min(rivals, key=lambda pair: _skill(*pair))
    worse, skill = model - best, _skill(model, best)
    error = worse.std(ddof=1) / np.sqrt(len(worse))
    certain = norm.isf(LEVEL / len(rivals))
    lost = bool(skill < -TOLERATED and worse.mean() > certain * error)
    return Finding("skill", str(horizon_s), replace(unknown(len(worse)), found=lost), skill)


def _skill(model: Floats, baseline: Floats) -> float:
    return 1.0 - float(model.sum() / baseline.sum())


def reasons(findings: Iterable[tuple[str, bool | None]], share: float) -> frozenset[str]:
    """The kinds of which at least `share` of what could be told was found."""
    told: dict[str, list[bool]] = defaultdict(list)
    for kind, found in findings:
        if found is not None:
            told[kind].append(found)
    return frozenset(kind for kind, values in told.items() if np.mean(values) >= share)


def persistent(checks: Sequence[frozenset[str]], needed: int) -> frozenset[str]:
    """The reasons that each of the last `needed` checks had; none before there are so many."""
    last = checks[-needed:]
    return frozenset.intersection(*last) if len(last) == needed else frozenset()
