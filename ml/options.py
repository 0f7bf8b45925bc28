"""What the commands that train share on the command line: a history, a model, its settings."""

import argparse
import math
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ml import args as configuration
from ml.args import KINDS, Config
from ml.command import DATABASE_URL, instant, required
from ml.dataset import Dataset, make_dataset
from ml.errors import ConfigError
from ml.history import days_from_quotes
from ml.pricing.conventions import conventions_with, parse_dividends
from ml.pricing.dividends import Dividend
from ml.progress import Progress
from ml.series import Series
from ml.spacing import SESSION_S, at_spacing, spacing_of
from ml.stored import days_from_database


def parser(description: str) -> argparse.ArgumentParser:
    """The options of training that evaluation shares."""
    options = argparse.ArgumentParser(description=description)
    add_history(options)
    options.add_argument("--model", choices=KINDS, default="gru", help="a network or a baseline")
    options.add_argument("--config", type=Path, metavar="YAML",
                         help="a file like those in ml/configs; by default the model's own there")
    options.add_argument("--epochs", type=int, help="most passes over the training part")
    options.add_argument("--seed", type=int)
    options.add_argument("--folds", type=int, help="how often to train anew, walking forward")
    options.add_argument("--trials", type=_count, default=0, metavar="N",
                         help="search hyperparameters: N random ones, judged on validation")
    options.add_argument("--step", type=_step, metavar="SECONDS",
                         help="between the rows of a window")
    options.add_argument("--window", type=int, metavar="ROWS")
    options.add_argument("--within-day", action="store_true", default=None,
                         help="split a history of one day by time")
    options.add_argument("--name", default="smile", help="of the registered model")
    return options


def add_history(options: argparse.ArgumentParser, required: bool = True) -> None:
    """The options that say where the history comes from."""
    source = options.add_mutually_exclusive_group(required=required)
    source.add_argument("--quotes", nargs="+", type=Path, metavar="FILE",
                        help="quotes files, Parquet or CSV, or folders of them")
    source.add_argument("--from-database", action="store_true",
                        help=f"the table option_features at {DATABASE_URL}")
    options.add_argument("--symbol", help="of the database, this symbol only")
    options.add_argument("--source", choices=("live", "simulated", "recorded"),
                         help="of the database, rows of this source only")
    options.add_argument("--until", type=instant, metavar="TS",
                         help="look at nothing later than this instant, e.g. 2026-08-03T15:00Z")
    options.add_argument("--rate", type=_number, default=os.environ.get("SMILE_RATE"),
                         help="interest rate per year to expect in quotes files (SMILE_RATE)")
    options.add_argument("--dividends", type=_dividends,
                         default=os.environ.get("SMILE_DIVIDENDS", ""), metavar="LIST",
                         help="known cash dividends, 2026-09-18:1.85,… (SMILE_DIVIDENDS)")


def _dividends(text: str) -> tuple[Dividend, ...]:
    try:
        return parse_dividends(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def _step(text: str) -> float:
    step_s = _number(text)
    if not 0.0 < step_s < SESSION_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not more than 0 s and less than a session, {SESSION_S:g} s")
    return step_s


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of trials")
    return int(text)


def config_of(options: argparse.Namespace) -> Config:
    """The configuration that the options ask for; raises ConfigError.

    A coarse step is left to `spaced`, which drops the horizons that it leaves no room for.
    """
    path = options.config or configuration.of_kind(options.model)
    kind = None if options.config else options.model
    data = {"window": options.window, "folds": options.folds, "within_day": options.within_day}
    groups = {"model": {"kind": kind}, "data": data,
              "fit": {"epochs": options.epochs, "seed": options.seed}}
    config = configuration.load(path, groups)
    if options.step is None or options.step >= config.data.step_s:
        return config
    return configuration.load(path, {**groups, "data": {**data, "step_s": options.step}})


def spaced(config: Config, options: argparse.Namespace, progress: Progress) -> Config:
    """The configuration with the step of the quotes, or the one asked for, if that is coarser."""
    rows_s = spacing_of(options.quotes, options.until) if options.quotes else 0.0
    # An instant a day has no step; what is too little is said when the samples are made.
    coarser = [one for one in (options.step or 0.0, rows_s) if one < SESSION_S]
    data = at_spacing(config.data, max(coarser, default=0.0))
    if data != config.data:
        told = ", ".join(f"{horizon_s} s" for horizon_s in data.horizons_s)
        progress.say(f"rows are {data.step_s:g} s apart; horizons: {told}")
    return msgspec.structs.replace(config, data=data)


def dataset_of(options: argparse.Namespace, config: Config, progress: Progress) -> Dataset:
    """The dataset of the history that the options ask for, made day by day; raises SmileError."""
    dataset = make_dataset(_days(options, config.data.within_day, progress), config.data)
    progress.say(f"{len(dataset.samples)} windows of {len(dataset.keys)} expiries")
    return dataset


def _refuse_database_options(options: argparse.Namespace) -> None:
    for name in ("symbol", "source"):
        if getattr(options, name) is not None:
            raise ConfigError(f"--{name} chooses from the database; with --quotes, give files of "
                              "what is wanted only")


def _days(options: argparse.Namespace, within_day: bool,
          progress: Progress) -> Iterator[list[Series]]:
    def advance(done: int, total: int) -> None:
        progress.advance("quotes" if options.quotes else "rows", done, total)

    if options.quotes:
        _refuse_database_options(options)
        return days_from_quotes(options.quotes, options.until, advance,
                                conventions_with(options.rate, options.dividends), within_day)
    return days_from_database(required(DATABASE_URL, "--from-database"), options.until,
                              options.symbol, options.source, advance, within_day)
