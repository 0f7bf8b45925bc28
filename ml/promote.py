"""Make the challenger champion, if it deserves it: `python -m ml.promote --quotes FILE…`.

The newest quotes, later than what challenger and champion were trained on, decide; see
`ml.evaluation.gate`. `--force REASON` promotes whatever they say, and notes it on the version;
`--rollback` makes the champion before champion again.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from ml.args import Config, DataArgs
from ml.command import TRACKING_URI, guarded, reason, required
from ml.contract import ModelContract
from ml.dataset import Dataset
from ml.errors import ConfigError, ModelContractError, RegistryError, TrainingDataError
from ml.evaluation.gate import Verdict, judge, losses, unseen
from ml.evaluation.tables import label, shown, span
from ml.options import add_history, dataset_of
from ml.progress import Progress
from ml.quiet_mlflow import masked, refuse_new, say_when_waiting
from ml.registry import (
    CHALLENGER,
    CHAMPION,
    LoadedModel,
    find_alias,
    fitting,
    load_version,
    usable,
)
from ml.succession import ANYONE, crown, dethrone, refuse

REFUSED = 3
"""Exit code where the challenger is not good enough."""
COMPARED = ("step_s", "window", "filter_weight", "horizons_s")
"""What challenger and champion must have in common to be judged on the same forecasts."""
NOT_BESIDE_ROLLBACK = ("quotes", "from_database", "symbol", "source", "until", "force")
"""Options that say how to judge, or why not to."""
NO_HISTORY = "no quotes were given to judge on"
History = Callable[[ModelContract], Dataset]
"""The history to judge on, cut for a model."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of the challenger."""

    version: str
    before: str | None
    """The champion's version when it was judged."""
    verdict: Verdict
    forced: str | None = None
    """The reason to promote it against the verdict."""

    @property
    def promoted(self) -> bool:
        """Whether it is the champion now."""
        return self.verdict.passed or self.forced is not None


def decide(name: str, tracking_uri: str, history: History | None, force: str | None = None,
           version: str | None = None, replaces: bool = True) -> Decision:
    """Judge a version, by default the challenger of a name, and promote it, or leave it challenger.

    Unless it `replaces`, it is promoted only where there is no champion.

    Raises:
        RegistryError: there is no challenger, it can't be loaded or can't forecast, or another
            champion came while it was judged.
        ModelContractError: it is trained on other features or another grid than this code's.
        UnavailableError: MLflow, or the database with the history, does not answer.
        QuotesFileError: the history can't be read.
    """
    version = version or _challenger(name, tracking_uri)
    before = find_alias(name, CHAMPION, tracking_uri)
    challenger = usable(load_version(name, version, tracking_uri))
    try:
        champion = _champion(name, before, tracking_uri)
    except RegistryError as error:
        verdict = Verdict((f"the champion can't be asked: {error}",), has_champion=True)
    else:
        verdict = _verdict(challenger, champion, history)
    decision = Decision(version, before, verdict, None if verdict.passed else force)
    if decision.promoted:
        crown(name, version, tracking_uri, verdict.sentence(), decision.forced,
              None if not replaces else before if decision.forced is None else ANYONE)
    else:
        refuse(name, version, tracking_uri, verdict.sentence())
    return decision


def _challenger(name: str, tracking_uri: str) -> str:
    version = find_alias(name, CHALLENGER, tracking_uri)
    if version is None:
        raise RegistryError(f"there is nothing to promote: no version of {name} at "
                            f"{masked(tracking_uri)} has the alias {CHALLENGER}")
    return version


def _champion(name: str, version: str | None, tracking_uri: str) -> LoadedModel | None:
    """The champion; None where there is none that this code could ask.

    Raises:
        RegistryError: it can't be loaded; the cause may pass, so it does not count as none.
    """
    if version is None:
        return None
    model = load_version(name, version, tracking_uri)
    try:
        return fitting(model)
    except ModelContractError as error:
        print(f"the champion counts as none: {error}", file=sys.stderr)
        return None


def _verdict(challenger: LoadedModel, champion: LoadedModel | None,
             history: History | None) -> Verdict:
    """What the gate says, or why it can't say anything."""
    unlike = _unlike(challenger, champion)
    if unlike is not None:
        return Verdict((unlike,), has_champion=True)
    if history is None:
        return Verdict((NO_HISTORY,), has_champion=champion is not None)
    try:
        return _judged(challenger, champion, history(challenger.contract))
    except TrainingDataError as error:
        return Verdict((str(error),), has_champion=champion is not None)


def _unlike(challenger: LoadedModel, champion: LoadedModel | None) -> str | None:
    if champion is None:
        return None
    differing = [field for field in COMPARED
                 if getattr(challenger.contract, field) != getattr(champion.contract, field)]
    return f"it can't be compared with the champion: another {', '.join(differing)}" \
        if differing else None


def _judged(challenger: LoadedModel, champion: LoadedModel | None, dataset: Dataset) -> Verdict:
    models = [model for model in (challenger, champion) if model is not None]
    part = unseen(dataset, max(model.contract.trained_until.timestamp() for model in models))
    records = [losses(model.forecaster, dataset, part) for model in models]
    return judge(records[0], records[1] if champion is not None else None)


def config_for(contract: ModelContract) -> Config:
    """How a history is cut for a model that is there already."""
    return Config(data=DataArgs(
        step_s=contract.step_s, window=contract.window, horizons_s=contract.horizons_s,
        filter_weight=contract.filter_weight, within_day=True))


def report(decision: Decision) -> None:
    """Print what the gate looked at and what came of it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    if decision.verdict.horizons:
        console.print(as_table(decision))
    console.print(f"version {decision.version} {outcome(decision)}", highlight=False,
                  soft_wrap=True)  # whoever follows the trainer keeps its last line


def outcome(decision: Decision) -> str:
    """The verdict and what was made of it, in one line."""
    sentence = decision.verdict.sentence()
    if decision.forced is not None:
        return f"{sentence}; made {CHAMPION} all the same: {decision.forced}"
    return f"{sentence}; it is {CHAMPION}" if decision.promoted else \
        f"{sentence}; it stays {CHALLENGER} (--force REASON would make it {CHAMPION})"


def as_table(decision: Decision) -> Table:
    """What the gate looked at, a row per horizon."""
    verdict = decision.verdict
    days = f"{verdict.days} day{'s' * (verdict.days != 1)}"
    table = Table(title=f"Challenger, version {decision.version}, against champion, version "
                        f"{decision.before or 'none'}: {days} that neither has seen, "
                        f"{_instant(verdict.from_s)} to {_instant(verdict.until_s)} UTC",
                  title_justify="left")
    for column in ("ahead", "forecasts", "challenger", "champion", "R²", "best baseline", "", "R²",
                   "p, if worse"):
        table.add_column(column, justify="left" if column == "best baseline" else "right")
    for one in verdict.horizons:
        table.add_row(span(one.horizon_s), f"{one.forecasts:,}", f"{one.challenger_bp:.2f} bp",
                      shown(one.champion_bp, ".2f", " bp"), shown(one.r2_champion, "+.1%"),
                      label(one.best), f"{one.best_bp:.2f} bp", f"{one.r2_best:+.1%}",
                      shown(one.p_worse, ".3f"))
    return table


def _instant(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"


def parser(history: bool) -> argparse.ArgumentParser:
    """The options; a history need only be named where it has to decide."""
    options = argparse.ArgumentParser(prog="python -m ml.promote", description=__doc__)
    add_history(options, required=history)
    options.add_argument("--name", default="smile", help="of the registered model")
    options.add_argument("--force", metavar="REASON", type=reason,
                         help="promote whatever the quotes say, and note why")
    options.add_argument("--rollback", action="store_true",
                         help="make the champion before champion again")
    return options


def run(options: argparse.Namespace) -> int:
    """Do as told; the exit code."""
    uri = required(TRACKING_URI, "ml.promote")
    _refuse_beside_rollback(options)
    refuse_new(uri)
    say_when_waiting(uri)
    if options.rollback:
        left, now = dethrone(options.name, uri)
        print(f"{options.name}: version {now} is {CHAMPION} again, version {left} was")
        return 0
    given = options.quotes or options.from_database
    with Progress() as progress:
        decision = decide(
            options.name, uri, (lambda contract: dataset_of(
                options, config_for(contract), progress)) if given else None, options.force)
    report(decision)
    return 0 if decision.promoted else REFUSED


def _refuse_beside_rollback(options: argparse.Namespace) -> None:
    """What a rollback has no use for is not passed over in silence."""
    idle = [f"--{name.replace('_', '-')}" for name in NOT_BESIDE_ROLLBACK if getattr(options, name)]
    if options.rollback and idle:
        raise ConfigError("--rollback judges nothing and needs no reason; leave out "
                          f"{', '.join(idle)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 3 where it was refused, 2 for a user's mistake, 1 where something needed
    does not answer."""
    given = sys.argv[1:] if argv is None else argv
    decided = any(one.split("=")[0] in ("--rollback", "--force") for one in given)
    return guarded(run, parser(history=not decided).parse_args(given))


if __name__ == "__main__":
    sys.exit(main())
