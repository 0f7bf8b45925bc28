"""Cut a recording in two: what trains the first model, and what is replayed.

`python -m local.recording FILE FOLDER` writes `history.parquet`, `replay.parquet`, `train.yaml`
and `symbol.txt` into FOLDER.
"""

import argparse
import sys
from pathlib import Path

import msgspec
import pandas as pd
import yaml

from ml import args
from ml.args import Config, DataArgs
from ml.calendar import NEW_YORK
from ml.errors import QuotesFileError, SmileError
from ml.quotes.format import read_quotes, write_quotes

TRAINING_SHARE = 0.6


def cut(quotes: pd.DataFrame, share: float = TRAINING_SHARE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The quotes of the first `share` of the instants, and those of the rest.

    Raises:
        QuotesFileError: fewer than two instants.
    """
    instants = quotes["ts"].drop_duplicates().sort_values()
    if len(instants) < 2:
        raise QuotesFileError(f"the recording has {len(instants)} instants: nothing to replay")
    middle = instants.iloc[min(len(instants) - 1, max(1, round(len(instants) * share)))]
    earlier = quotes["ts"] < middle
    return quotes[earlier], quotes[~earlier]


def fold_shares(seconds: float, data: DataArgs) -> dict[str, float]:
    """Shares of a one-day history of that length, for validation and test.

    A fold gives up its end, as long as the longest horizon, so that no target reaches into the
    next one. Of what is left training gets a half, validation and test a quarter each; the
    defaults would leave a short day without validation. Empty if nothing is left.

    >>> fold_shares(201 * 60.0, DataArgs())  # 162 minutes of forecasts, 102 of them in folds
    {'validation_share': 0.343, 'test_share': 0.157}
    """
    lost = max(data.horizons_s)
    usable = seconds - data.step_s * (data.window - 1) - lost
    quarter = (usable - 2 * lost) / 4
    if quarter <= 0:
        return {}
    return {"validation_share": round((lost + quarter) / usable, 3),
            "test_share": round(quarter / usable, 3)}


def training_configuration(history: pd.DataFrame) -> Config:
    """The default model's configuration, its folds cut to what the history has."""
    default = args.load(args.of_kind("gru"))
    times = history["ts"]
    if times.dt.tz_convert(str(NEW_YORK)).dt.date.nunique() > 1:
        return default
    shares = fold_shares((times.max() - times.min()).total_seconds(), default.data)
    return args.load(args.of_kind("gru"), {"data": {"within_day": True, **shares}})


def prepare(file: Path, folder: Path) -> str:
    """Write the two halves into `folder`; returns the symbol.

    Raises:
        QuotesFileError: `file` is no recording, or holds more than one symbol.
    """
    quotes = read_quotes(file)
    symbols = sorted(quotes["symbol"].unique())
    if len(symbols) != 1:
        raise QuotesFileError(f"{file} holds {len(symbols)} symbols, one is wanted: {symbols}")
    history, replay = cut(quotes)
    folder.mkdir(parents=True, exist_ok=True)
    write_quotes(history, folder / "history.parquet")
    write_quotes(replay, folder / "replay.parquet")
    settings = msgspec.to_builtins(training_configuration(history))
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    (folder / "symbol.txt").write_text(str(symbols[0]))
    return str(symbols[0])


def main() -> int:
    """Entry point: 0, or 2 for a file that is no recording."""
    parser = argparse.ArgumentParser(prog="local.recording", description=prepare.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    try:
        prepare(chosen.file, chosen.folder)
    except SmileError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
