"""Judge models: `python -m ml.evaluate --quotes FILE… --model gru [--html FILE] [--json FILE|-]`.

Trains walking forward and scores on the test parts' observed quotes, beside every baseline, in one
go. Nothing is registered. A history of one day is cut by time, and that is said.
"""

import argparse
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from ml.args import KINDS, NETWORKS, Config
from ml.command import guarded
from ml.dataset import Dataset
from ml.errors import ConfigError, OutputError
from ml.evaluation.details import details
from ml.evaluation.report import Judged, Report, as_json, facts, judge, report
from ml.evaluation.tables import LEGEND, tables, verdict
from ml.options import config_of, dataset_of, parser, spaced
from ml.progress import Progress
from ml.walk import Walked, walk

ALL = "all"


def run(options: argparse.Namespace) -> None:
    """Train, judge and print, as tables or as JSON on standard output."""
    _refuse_outputs(options)
    configs = [_config(options, kind) for kind in options.model]
    if any(config.data != configs[0].data for config in configs):
        raise ConfigError("models that differ in `data` can't be judged side by side")
    with Progress() as progress:
        data = spaced(configs[0], options, progress).data
        configs = [msgspec.structs.replace(config, data=data) for config in configs]
        found = evaluate(dataset_of(options, configs[0], progress), configs, options, progress)
    _write(found, options)
    if options.json != "-":
        show(found)


def evaluate(dataset: Dataset, configs: Sequence[Config], options: argparse.Namespace,
             progress: Progress) -> Report:
    """Each configuration walked forward with `options.seeds` seeds, and judged."""
    judged: list[Judged] = []
    runs: list[list[Walked]] = []
    for config in configs:
        seeded = [_with_seed(config, config.fit.seed + place)
                  for place in range(options.seeds if config.model.kind in NETWORKS else 1)]
        runs = []
        for one in seeded:
            progress.say(f"{one.model.kind}, seed {one.fit.seed}")
            runs.append(walk(dataset, one, one.model.kind, progress, options.trials))
        progress.say(f"scoring {config.model.kind} on the quotes of the test parts")
        judged.append(judge(runs, seeded, dataset))
    sources = [str(path) for path in options.quotes or ["database"]]
    return report(dataset, runs[0], judged, sources)


def _config(options: argparse.Namespace, kind: str) -> Config:
    if options.config and len(options.model) > 1:
        raise ConfigError("--config describes one model; give one --model with it")
    # One day is enough to be shown something, as long as it is said that it is one day only.
    return config_of(argparse.Namespace(**{**vars(options), "model": kind, "within_day": True}))


def _with_seed(config: Config, seed: int) -> Config:
    return msgspec.structs.replace(config, fit=msgspec.structs.replace(config.fit, seed=seed))


def show(found: Report) -> None:
    """Print what was judged, the tables, and a sentence per horizon."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    _say(facts(found))
    evaluations = [judged.evaluation for judged in found.judged]
    more = (table for judged in found.judged for table in details(judged))
    for table in itertools.chain(tables(evaluations), more):
        console.print()
        console.print(table)
    _say(["", *LEGEND, ""])
    _say(line for evaluation in evaluations for line in verdict(evaluation))


def _say(lines: Iterable[str]) -> None:
    print("\n".join(lines))


def _refuse_outputs(options: argparse.Namespace) -> None:
    """Check before any work is done that the results can be written."""
    for path in (options.json, options.html):
        if path and path != "-" and not Path(path).absolute().parent.is_dir():
            raise OutputError(f"{path}: no such folder")
        if path and Path(path).is_dir():
            raise OutputError(f"{path}: is a folder, can't be written as a file")
    if options.html:
        from ml.evaluation.plots import refuse_without_matplotlib

        refuse_without_matplotlib()


def _write(found: Report, options: argparse.Namespace) -> None:
    """The figures first, so that they stand if the page can't be written."""
    if options.json == "-":
        sys.stdout.write(as_json(found).decode())
    elif options.json:
        _to_file(options.json, as_json(found))
    if options.html:
        from ml.evaluation.page import page

        _to_file(options.html, page(found).encode())


def _to_file(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error


def _kinds(text: str) -> tuple[str, ...]:
    kinds = NETWORKS if text == ALL else tuple(dict.fromkeys(text.split(",")))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no model {unknown[0]!r}; there are {', '.join(KINDS)}, and {ALL} for the networks")
    return kinds


def _seeds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seeds")
    return int(text)


class _OfTraining(argparse.Action):
    """Refuses an option that training has and judging has no use for."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: object, option_string: str | None = None) -> None:
        parser.error(f"{option_string} is of training; judging registers nothing, and always cuts "
                     "a single day by time")


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    options = argparse.ArgumentParser(
        description="Train walking forward, and judge beside every baseline on unseen quotes.",
        parents=[parser("")], conflict_handler="resolve")
    options.add_argument("--model", type=_kinds, default=("gru",), metavar="KIND[,KIND…]",
                         help=f"{', '.join(KINDS)}, or {ALL} for the networks")
    for unused in ("--name", "--within-day"):
        options.add_argument(unused, action=_OfTraining, nargs="?", default=argparse.SUPPRESS,
                             help=argparse.SUPPRESS)
    options.add_argument("--seeds", type=_seeds, default=1, metavar="N",
                         help="train each network with N seeds; the losses are averaged")
    options.add_argument("--json", metavar="FILE", help="write everything as JSON; - prints it")
    options.add_argument("--html", metavar="FILE", help="write a report with plots")
    return options.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 for a user's mistake, 1 where something needed does not answer."""
    return guarded(run, options_of(argv))


if __name__ == "__main__":
    sys.exit(main())
