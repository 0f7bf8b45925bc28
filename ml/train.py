"""Train a model on recorded history: `python -m ml.train --quotes FILE --model gru --register`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from ml import args as configuration
from ml.args import KINDS, Config
from ml.calibrate import band_offsets, baseline_band, shrinkage
from ml.contract import MEDIAN, ModelContract
from ml.dataset import Folds, Samples, fit_scaler, make_samples, split
from ml.errors import ConfigError, SmileError, UnavailableError
from ml.features import WINDOW_FEATURES
from ml.fit import Fitted, fit
from ml.forecaster import Forecaster, raw
from ml.history import Series, from_database, from_quotes
from ml.pricing.conventions import conventions_with, parse_dividends
from ml.pricing.dividends import Dividend
from ml.progress import Progress
from ml.scores import HorizonScore, as_metrics, as_table, score
from ml.smile.grid import GRID_Z

DATABASE_URL = "SMILE_DATABASE_URL"
TRACKING_URI = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True, slots=True)
class Trained:
    """A calibrated model and how it did on the test fold, which it has not seen."""

    forecaster: Forecaster
    fitted: Fitted
    scores: list[HorizonScore]
    config: Config
    example: np.ndarray
    """Some windows (B, W, F) of the training fold."""


def train(history: Sequence[Series], config: Config, name: str, progress: Progress) -> Trained:
    """Split the history in time, fit on the first part, calibrate on the second, score the last.

    Raises:
        TrainingDataError: too little history, or the wrong kind.
    """
    samples = make_samples(history, config.data)
    folds = split(samples, config.data)
    progress.say(f"{len(folds.training)} windows to learn from, {len(folds.validation)} to "
                 f"validate, {len(folds.test)} to test")
    scaler = fit_scaler(folds.training)
    fitted = fit(folds, scaler, config, lambda *at: progress.advance("epochs", *at))
    quantiles = raw(fitted.network, scaler, folds.validation.windows)
    contract = _contract(history, folds, quantiles, config, name, samples.fingerprint())
    forecaster = Forecaster(fitted.network, scaler, contract)
    progress.say("scoring on the quotes of the test fold")
    scores = score(forecaster.predict(folds.test.windows), folds.test, history,
                   config.data.horizons_s)
    return Trained(forecaster, fitted, scores, config, folds.training.windows[:4])


def _contract(history: Sequence[Series], folds: Folds, quantiles: np.ndarray, config: Config,
              name: str, fingerprint: str) -> ModelContract:
    """What calibration on the validation fold says, with the rest of the contract."""
    training, validation = folds.training, folds.validation
    level = config.fit.quantiles[-1] - config.fit.quantiles[0]
    weights = shrinkage(quantiles[:, :, MEDIAN], validation.change, validation.at_s,
                        config.data.horizons_s)
    offsets = band_offsets(quantiles, weights, validation, history, level)
    fallback = baseline_band(training, validation, history, level)
    data = config.data
    return ModelContract(
        name=name, kind=config.model.kind, step_s=data.step_s, window=data.window,
        horizons_s=data.horizons_s, grid_z=tuple(GRID_Z.tolist()), feature_names=WINDOW_FEATURES,
        quantiles=config.fit.quantiles, filter_weight=data.filter_weight,
        shrinkage=tuple(weights.tolist()), band_offset=tuple(offsets.tolist()),
        band_fallback=tuple(map(tuple, fallback.tolist())),
        trained_from=_utc(training.at_s[0] - data.step_s * (data.window - 1)),
        trained_until=_utc(_last_target(validation, history)), samples=len(training),
        data_fingerprint=fingerprint)


def _last_target(samples: Samples, history: Sequence[Series]) -> float:
    return max(float(history[number].times_s[rows.max()])
               for number, rows in zip(samples.series, samples.target, strict=True))


def _utc(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(float(epoch_s), UTC)


def parser(description: str) -> argparse.ArgumentParser:
    """The options of training that evaluation shares."""
    options = argparse.ArgumentParser(description=description)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--quotes", nargs="+", type=Path, metavar="FILE",
                        help="quotes files, Parquet or CSV")
    source.add_argument("--from-database", action="store_true",
                        help=f"the table option_features at {DATABASE_URL}")
    options.add_argument("--symbol", help="of the database, this symbol only")
    options.add_argument("--until", type=_instant, metavar="TS",
                         help="look at nothing later than this instant, e.g. 2026-08-03T15:00Z")
    options.add_argument("--model", choices=KINDS, default="gru")
    options.add_argument("--config", type=Path, metavar="YAML",
                         help="a file like those in ml/configs; by default the model's own there")
    options.add_argument("--epochs", type=int, help="most passes over the training fold")
    options.add_argument("--seed", type=int)
    options.add_argument("--step", type=float, metavar="SECONDS",
                         help="between the rows of a window")
    options.add_argument("--window", type=int, metavar="ROWS")
    options.add_argument("--within-day", action="store_true", default=None,
                         help="split a history of one day by time")
    options.add_argument("--rate", type=float, default=os.environ.get("SMILE_RATE"),
                         help="interest rate per year to expect in quotes files (SMILE_RATE)")
    options.add_argument("--dividends", type=_dividends,
                         default=os.environ.get("SMILE_DIVIDENDS", ""), metavar="LIST",
                         help="known cash dividends, 2026-09-18:1.85,… (SMILE_DIVIDENDS)")
    options.add_argument("--name", default="smile", help="of the registered model")
    return options


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an instant") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _dividends(text: str) -> tuple[Dividend, ...]:
    try:
        return parse_dividends(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def config_of(options: argparse.Namespace) -> Config:
    """The configuration that the options ask for; raises ConfigError."""
    path = options.config or configuration.of_kind(options.model)
    kind = None if options.config else options.model
    return configuration.load(path, {
        "model": {"kind": kind},
        "fit": {"epochs": options.epochs, "seed": options.seed},
        "data": {"step_s": options.step, "window": options.window,
                 "within_day": options.within_day}})


def history_of(options: argparse.Namespace, progress: Progress) -> list[Series]:
    """The history that the options ask for; raises SmileError."""
    def advance(done: int, total: int) -> None:
        progress.advance("smiles", done, total)

    if options.quotes:
        return from_quotes(options.quotes, options.until, advance,
                           conventions_with(options.rate, options.dividends))
    return from_database(_required(DATABASE_URL, "--from-database"), options.until,
                         options.symbol, advance)


def _required(variable: str, option: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"{variable} is not set; {option} needs it")
    return value


def run(options: argparse.Namespace) -> None:
    """Train as told, print the scores, register if asked."""
    uri = _required(TRACKING_URI, "--register") if options.register else None
    config = config_of(options)
    with Progress() as progress:
        trained = train(history_of(options, progress), config, options.name, progress)
    report(trained)
    if uri is not None:
        from ml import registry  # takes seconds, and not every run needs it

        version = registry.register(trained.forecaster, trained.example, _params(trained),
                                    _metrics(trained), options.name, uri)
        print(f"registered {options.name} version {version} as {registry.CHAMPION} at {uri}")


def report(trained: Trained) -> None:
    """Print the table of scores and what the model keeps of its forecasts."""
    contract, console = trained.forecaster.contract, Console()
    if not console.is_terminal:
        console = Console(width=120)
    title = f"{contract.kind}, test fold, errors on observed quotes (root mean square)"
    console.print(as_table(trained.scores, title))
    kept = ", ".join(f"{horizon} s: {weight:.2f}" for horizon, weight
                     in zip(contract.horizons_s, contract.shrinkage, strict=True))
    print(f"weight of the model's median, 0 is silence: {kept}")


def _params(trained: Trained) -> dict[str, object]:
    config = trained.config
    groups = {"data": config.data, "model": config.model, "fit": config.fit}
    return {f"{group}.{field}": getattr(args, field)
            for group, args in groups.items() for field in args.__struct_fields__}


def _metrics(trained: Trained) -> dict[str, float]:
    fitted = trained.fitted
    return {"epoch": float(fitted.epoch), "training_loss": fitted.training_loss,
            "validation_loss": fitted.validation_loss, **as_metrics(trained.scores)}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 for a user's mistake, 1 where something needed does not answer."""
    options = parser("Train a model of the smile's change on recorded history.")
    options.add_argument("--register", action="store_true",
                         help=f"log and register it in MLflow at {TRACKING_URI}")
    return guarded(run, options.parse_args(argv))


def guarded(action: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run a command; a foreseen error becomes one line and an exit code."""
    try:
        action(options)
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except SmileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
