"""Train a model on recorded history: `python -m ml.train --quotes FILE --model gru --register`.

Walks forward: each fold's model is judged on quotes it has not seen, and the newest is kept. It
becomes the challenger; with `--promote` the champion too, if the gate of `ml.promote` lets it.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from ml import card
from ml.args import Config
from ml.command import TRACKING_URI, guarded, reason, required
from ml.dataset import Dataset
from ml.errors import ConfigError
from ml.evaluation.collect import collect
from ml.evaluation.scores import Evaluation, as_metrics, summarise
from ml.evaluation.tables import label, tables
from ml.options import config_of, dataset_of, parser, spaced
from ml.progress import Progress
from ml.walk import Walked, walk

if TYPE_CHECKING:
    from ml.registry import Record


def run(options: argparse.Namespace) -> None:
    """Train as told, print the scores, register if asked."""
    registers = options.register or options.promote or options.force is not None
    if options.unless_champion and not registers:
        raise ConfigError("--unless-champion: say --promote or --force too")
    uri = required(TRACKING_URI, "--register") if registers else None
    config = config_of(options)
    if uri is not None:
        _refuse_registry(options.name, uri)
        if options.unless_champion and _has_champion(options.name, uri):
            return
    with Progress() as progress:
        config = spaced(config, options, progress)
        dataset = dataset_of(options, config, progress)
        walked = walk(dataset, config, options.name, progress, options.trials)
        progress.say("scoring on the quotes of the test parts")
        evaluation = summarise(collect(walked, dataset))
    report(walked, evaluation)
    if uri is not None:
        _register(options, uri, dataset, walked, evaluation)


def _refuse_registry(name: str, uri: str) -> None:
    """Check before any work is done that the model could be registered."""
    from ml import registry  # it takes seconds, and not every run needs it
    from ml.quiet_mlflow import say_when_waiting

    say_when_waiting(uri)
    registry.ready(name, uri)


def _has_champion(name: str, uri: str) -> bool:
    """Whether there is one, and so nothing to do; it is said."""
    from ml import registry

    version = registry.find_alias(name, registry.CHAMPION, uri)
    if version is not None:
        print(f"{name} has a {registry.CHAMPION}, version {version}: nothing to do")
    return version is not None


def _register(options: argparse.Namespace, uri: str, dataset: Dataset, walked: Sequence[Walked],
              evaluation: Evaluation) -> None:
    """Register the newest fold's model, and promote it if asked."""
    # They take seconds, and not every run needs them.
    from ml import promote, registry
    from ml.quiet_mlflow import masked

    newest = walked[-1]
    example = dataset.samples.windows[newest.fold.training.places[:4]]
    version = registry.register(newest.forecaster, example, record(walked, evaluation), uri)
    print(f"registered {options.name} version {version} as {registry.CHALLENGER} at "
          f"{masked(uri)}")
    if options.promote or options.force is not None:
        promote.report(promote.decide(options.name, uri, lambda _: dataset, options.force,
                                      version, replaces=not options.unless_champion))


def report(walked: Sequence[Walked], evaluation: Evaluation) -> None:
    """Print the tables of scores and what the newest model keeps of its network."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for table in tables([evaluation]):
        console.print(table)
    print(kept(walked[-1]))


def kept(walked: Walked) -> str:
    """One line: per horizon the anchor and the weight of the network against it."""
    contract = walked.forecaster.contract
    told = (f"{horizon} s: {weight:.2f} on {label(anchor)}" for horizon, weight, anchor in zip(
        contract.horizons_s, contract.shrinkage, contract.anchor, strict=True))
    return (f"weight of the {contract.kind} on its anchor, of several their mean; 0 is silence: "
            + ", ".join(told))


def record(walked: Sequence[Walked], evaluation: Evaluation) -> "Record":
    """What the run of the newest fold's model leaves in the registry."""
    from ml.registry import Record

    newest = walked[-1]
    return Record(
        params=params(newest.config), metrics=as_metrics(evaluation) | learning(newest),
        folds=[learning(one) | fold_metrics(evaluation, one.fold.number) for one in walked],
        files={"evaluation.json": msgspec.json.format(msgspec.json.encode(evaluation)),
               **card.plots(evaluation)},
        card=card.write(newest.forecaster.contract, evaluation))


def params(config: Config) -> dict[str, object]:
    """The whole configuration, flat: `<group>.<name>`."""
    groups = {"data": config.data, "model": config.model, "fit": config.fit}
    return {f"{group}.{name}": getattr(args, name)
            for group, args in groups.items() for name in args.__struct_fields__}


def learning(walked: Walked) -> dict[str, float]:
    """How a fold's network learned, and how far it is believed."""
    contract, fitted = walked.forecaster.contract, walked.fitted
    learned = {} if fitted is None else {
        "epoch": float(fitted.epoch), "training_loss": fitted.training_loss,
        "validation_loss": fitted.validation_loss}
    return learned | {f"weight_{horizon}s": weight for horizon, weight in zip(
        contract.horizons_s, contract.shrinkage, strict=True)}


def fold_metrics(evaluation: Evaluation, number: int) -> dict[str, float]:
    """The scores of one fold's test part, named as `as_metrics` does."""
    start = f"fold{number}_"
    return {name.removeprefix(start): value for name, value in as_metrics(evaluation).items()
            if name.startswith(start)}


def options() -> argparse.ArgumentParser:
    """The options of the command."""
    known = parser("Train a model of the smile's change on recorded history.")
    known.add_argument("--register", action="store_true",
                       help=f"log it and make it the challenger in MLflow at {TRACKING_URI}")
    known.add_argument("--promote", action="store_true",
                       help="and champion, if it does well enough on what it has not seen")
    known.add_argument("--force", metavar="REASON", type=reason,
                       help="and champion whatever it does there; the reason is noted")
    known.add_argument("--unless-champion", action="store_true",
                       help="with these: do nothing where there is a champion already")
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 for a user's mistake, 1 where something needed does not answer."""
    return guarded(run, options().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
