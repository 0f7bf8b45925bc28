"""Everything an evaluation says, as one object and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ml.args import Config
from ml.baselines import FILTERED
from ml.dataset import Dataset
from ml.days import days
from ml.evaluation.collect import collect
from ml.evaluation.importance import Importance, importance
from ml.evaluation.records import averaged
from ml.evaluation.scores import Evaluation, summarise
from ml.evaluation.tables import span

if TYPE_CHECKING:
    from ml.walk import Walked

SCHEMA = 1
"""Version of the document; it rises when a key changes its meaning or goes."""
LEAK = 0.2
"""R² against filtered persistence beyond which leakage is to be suspected first."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a fold's calibration decided; by horizon."""

    fold: int
    training: int
    """Samples it learned from."""
    anchor: tuple[str, ...]
    shrinkage: tuple[float, ...]
    """Weight of the network against the anchor; 0 is the anchor alone."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One seed's figures, by horizon."""

    seed: int
    rmse_bp: tuple[float, ...]
    r2_filtered: tuple[float, ...]
    r2_best: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A kind of model; the evaluation is of the mean loss over seeds."""

    config: Config
    evaluation: Evaluation
    seeds: tuple[Seed, ...]
    weights: tuple[Weights, ...]
    """Of the first seed."""
    importance: tuple[Importance, ...]
    """Of the first seed."""


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation of one or more kinds on the same data."""

    sources: tuple[str, ...]
    symbols: tuple[str, ...]
    expiries: int
    first: datetime
    last: datetime
    days: int
    samples: int
    fingerprint: str
    within_day: bool
    """Whether one day only was cut by time, so that no model was judged on an unseen day."""
    folds: int
    tested_from: datetime
    judged: tuple[Judged, ...]


def judge(runs: Sequence[Sequence["Walked"]], configs: Sequence[Config],
          dataset: Dataset) -> Judged:
    """One kind of model walked forward with each of several seeds."""
    records = [collect(walked, dataset) for walked in runs]
    evaluation = summarise(averaged(records))
    single = [evaluation] if len(records) == 1 else [summarise(one) for one in records]
    return Judged(
        configs[0], evaluation,
        tuple(_seed(config.fit.seed, one) for config, one in zip(configs, single, strict=True)),
        tuple(_weights(one) for one in runs[0]), tuple(importance(runs[0], dataset)))


def _seed(seed: int, evaluation: Evaluation) -> Seed:
    found = evaluation.horizons
    return Seed(seed, tuple(one.rmse_bp for one in found),
                tuple(one.against(FILTERED).r2 for one in found),
                tuple(one.against(one.best).r2 for one in found))


def _weights(walked: "Walked") -> Weights:
    contract = walked.forecaster.contract
    return Weights(walked.fold.number, len(walked.fold.training), tuple(contract.anchor),
                   tuple(contract.shrinkage))


def report(dataset: Dataset, walked: Sequence["Walked"], judged: Sequence[Judged],
           sources: Sequence[str]) -> Report:
    """What was judged, with what it was judged on; `walked` is any of the runs."""
    at_s = dataset.samples.at_s
    spanned = int(days(np.unique(at_s))[-1]) + 1
    return Report(
        tuple(sources), tuple(sorted({symbol for symbol, _ in dataset.keys})), len(dataset.keys),
        _utc(at_s[0]), _utc(at_s[-1]), spanned, len(dataset.samples), dataset.fingerprint(),
        spanned == 1, len(walked), _utc(at_s[walked[0].fold.test.places[0]]), tuple(judged))


def _utc(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(float(epoch_s), UTC)


def facts(one: Report) -> list[str]:
    """What was judged, in a line or two; warnings where it was less than it seems."""
    said = [f"{', '.join(one.symbols)}: {one.expiries} expiries, {one.samples:,} samples from "
            f"{one.first:%Y-%m-%d %H:%M} to {one.last:%Y-%m-%d %H:%M} UTC, "
            f"{_count(one.days, 'day')}; walked forward in {_count(one.folds, 'fold')}, tested "
            f"from {one.tested_from:%Y-%m-%d %H:%M} on"]
    if one.within_day:
        said.append("WARNING: one day only, so that folds are parts of this day: nothing here is "
                    "about a day that the model has not seen")
    said += [f"WARNING: {span(horizon_s)} ahead is not judged: none of its targets in the test "
             "parts was observed" for horizon_s in _unjudged(one)]
    return said + [_suspect(judged) for judged in one.judged if _highest(judged) > LEAK]


def _unjudged(one: Report) -> list[int]:
    """Horizons that were asked for and never observed; the same ones for every kind."""
    scored = {horizon.horizon_s for judged in one.judged for horizon in judged.evaluation.horizons}
    asked = {horizon_s for judged in one.judged for horizon_s in judged.config.data.horizons_s}
    return sorted(asked - scored)


def _highest(judged: Judged) -> float:
    return max((one.against(FILTERED).r2 for one in judged.evaluation.horizons), default=0.0)


def _suspect(judged: Judged) -> str:
    return (f"WARNING: {judged.evaluation.kind} has R² {_highest(judged):+.0%} against filtered "
            "persistence; that is leakage until it is disproved")


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def as_json(one: Report) -> bytes:
    """The report as indented JSON; what is unknown is null. `docs/forecasts.md` has the keys."""
    whole = {"schema": SCHEMA, **{name: getattr(one, name) for name in Report.__slots__}}
    return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"
