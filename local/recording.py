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
from ml.args import Config
from ml.calendar import NEW_YORK
from ml.errors import QuotesFileError, SmileError
from ml.quotes.format import read_quotes, write_quotes

TRAINING_SHARE = 0.6
TEST_SHARE = 0.25
"""Of a history of one day: there is little, and the replay judges as well."""


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


def training_configuration(history: pd.DataFrame) -> Config:
    """The default model's configuration; one day is split by time, and trained on once."""
    days = history["ts"].dt.tz_convert(str(NEW_YORK)).dt.date.nunique()
    within_day = {"within_day": True, "folds": 1, "test_share": TEST_SHARE} if days == 1 else {}
    return args.load(args.of_kind("gru"), {"data": within_day})


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
