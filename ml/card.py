"""The model card: what a registered model is, on what it was judged and how, in Markdown."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec

from ml.baselines.linear import FILTERED
from ml.contract import ModelContract
from ml.evaluation import plots as pictures
from ml.evaluation.scores import Evaluation, HorizonScore, PartScore
from ml.evaluation.tables import interval, label, p_value, r2, shown

LIMITS = """\
- Intraday, no change is hard to beat: where `weight` is 0 the model says what its anchor says.
- It has learned from the market of its training data; the monitor tells when features or errors
  have drifted away from it.
- A forecast is a smile by moneyness of one expiry; nothing ties the expiries to each other but the
  features, and no arbitrage between them is excluded.
- Bands are meant to hold {level:.0%} of the quotes; in a new regime they do so only once the
  live scale has followed."""
ROLLBACK = "`python -m ml.promote --name {name} --rollback` makes the champion before it champion."


def write(contract: ModelContract, evaluation: Evaluation) -> str:
    """The card of a model that walked forward as evaluated.

    The scores are of all folds' test parts; the registered model is the newest fold's, which has
    seen nothing of its own.
    """
    level = contract.quantiles[-1] - contract.quantiles[0]
    sections = (
        f"# {contract.name}: {contract.kind}", _purpose(contract),
        "## Scores on data not seen in training", "\n".join(_scores(evaluation.horizons)),
        "## Errors of the baselines, bp", "\n".join(_baselines(evaluation.horizons)),
        "## What it says", "\n".join(_voice(contract)),
        "## Data", _data(contract), "## Folds", "\n".join(_folds(evaluation.folds)),
        "## Limits", LIMITS.format(level=level),
        "## Going back", ROLLBACK.format(name=contract.name))
    return "\n\n".join(sections) + "\n"


def _purpose(contract: ModelContract) -> str:
    horizons = ", ".join(str(horizon) for horizon in contract.horizons_s)
    return (f"Forecasts the volatility smile of one expiry {horizons} s ahead, as the change of "
            f"{len(contract.grid_z)} grid points from z = {contract.grid_z[0]:g} to "
            f"{contract.grid_z[-1]:g} against the filtered smile (weight "
            f"{contract.filter_weight:g} per step), with a band. Input: {contract.window} rows of "
            f"{len(contract.feature_names)} features, {contract.step_s:g} s apart.")


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield "|" + " --- |" * len(names)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _scores(horizons: Iterable[HorizonScore]) -> Iterator[str]:
    header = ("ahead", "forecasts", "RMSE bp", "R² vs filtered persistence", "best baseline",
              "R² vs best", "p", "coverage", "with live scale", "half-spread bp")
    return _table(header, (_score(one) for one in horizons))


def _score(one: HorizonScore) -> Iterator[str]:
    best, filtered = one.against(one.best), one.against(FILTERED)
    yield from (f"{one.horizon_s} s", f"{one.forecasts:,}", f"{one.rmse_bp:.2f}",
                f"{r2(filtered.r2)} {interval(filtered)}", label(one.best), r2(best.r2),
                p_value(best.p_value), f"{one.coverage:.0%}", f"{one.adaptive_coverage:.0%}",
                shown(one.half_spread_bp, ".1f"))


def _baselines(horizons: tuple[HorizonScore, ...]) -> Iterator[str]:
    names = [rival.name for rival in horizons[0].rivals]
    return _table(("ahead", *map(label, names)), (
        (f"{one.horizon_s} s", *(f"{one.against(name).rmse_bp:.2f}" for name in names))
        for one in horizons))


def _voice(contract: ModelContract) -> Iterator[str]:
    """Per horizon, what the network's median counts for beside its anchor's."""
    columns = zip(contract.horizons_s, contract.anchor, contract.shrinkage, strict=True)
    return _table(("ahead", "anchor", "weight"), (
        (f"{horizon} s", label(anchor), f"{weight:.2f}") for horizon, anchor, weight in columns))


def _data(contract: ModelContract) -> str:
    return (f"{contract.samples:,} windows to learn from; nothing outside "
            f"{_instant(contract.trained_from)} to {_instant(contract.trained_until)} has shaped "
            f"it. Fingerprint of the data set: `{contract.data_fingerprint}`.")


def _folds(folds: Iterable[PartScore]) -> Iterator[str]:
    header = ("fold", "ahead", "tested from", "to", "forecasts", "RMSE bp",
              "R² vs filtered persistence", "R² vs best", "coverage")
    return _table(header, (
        (str(one.number), f"{one.horizon_s} s", _instant(datetime.fromtimestamp(one.from_s, UTC)),
         _instant(datetime.fromtimestamp(one.until_s, UTC)), f"{one.forecasts:,}",
         f"{one.rmse_bp:.2f}", r2(one.r2_filtered), r2(one.r2_best),
         f"{one.coverage:.0%}") for one in folds))


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    """What goes with the card, as SVG by its path in the run; nothing without matplotlib."""
    if find_spec("matplotlib") is None:
        return {}
    drawn = {"buckets": (pictures.buckets(evaluation), 9.5, 4.2),
             "coverage": (pictures.coverage(evaluation), 9.5, 3.1),
             "over_time": (pictures.over_time(evaluation), 10.0, 2.4)}
    return {f"plots/{name}.svg": pictures.svg(*how).encode() for name, how in drawn.items()}
