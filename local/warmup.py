"""Fill the time up to now with the simulated market's own past, so that forecasts come at once.

The market is a pure function of seed and time: what is replayed here is what a live feed would
have shown. Only the time since the last stored sample is filled, at most `--minutes`.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from local import postgres
from ml.quotes.format import order_quotes, read_quotes, write_quotes

LAST_SAMPLE = "SELECT max(ts) FROM option_features WHERE ts <= %s"
DENSER = 3
"""How much closer the instants are that the first live forecasts look back to."""
LOOKED_BACK_TO = 12
"""Steps: a model's window and some more."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of time and the distance of its instants."""

    start: datetime
    end: datetime
    step: timedelta


def last_sample(url: str, now: datetime) -> datetime | None:
    """The newest instant in the table of features, if it has any."""
    found: datetime | None = postgres.query(url, LAST_SAMPLE, now)[0][0]
    return found


def begin(now: datetime, last: datetime | None, most: timedelta, step: timedelta) -> datetime:
    """From where to fill: right after the last sample, at most `most` before now."""
    earliest = now - most
    return earliest if last is None else max(earliest, last + step / DENSER)


def legs(start: datetime, now: datetime, step: timedelta) -> list[Leg]:
    """The stretches to fill, with their steps, in order of time.

    A forecast looks back step by step from whatever second it is made at, and takes a sample
    that is at most half a step older. So what the first live forecasts look back to is denser.
    """
    turn = max(start, now - LOOKED_BACK_TO * step)
    dense = Leg(turn, now, step / DENSER)
    return [dense] if turn == start else [Leg(start, turn - step, step), dense]


def simulate(leg: Leg, file: Path) -> None:
    """Write the simulated quotes of a stretch; ends the process where that fails."""
    code = subprocess.run([sys.executable, "-m", "services.simulator", "history", "--from",
                           leg.start.isoformat(), "--to", leg.end.isoformat(), "--step",
                           str(int(leg.step.total_seconds())), "-o", str(file)],
                          check=False).returncode
    if code:
        sys.exit(code)


def join(files: list[Path], file: Path) -> None:
    """One quotes file of several."""
    frame = pd.concat([read_quotes(one) for one in files], ignore_index=True)
    write_quotes(order_quotes(frame, str(file)), file)
    for one in files:
        one.unlink()


def replay(file: Path) -> None:
    """Become the direct recording ingest of `file`, as fast as it goes."""
    settings = {"SMILE_SOURCE": "recording", "SMILE_RECORDING": str(file), "SMILE_SPEED": "0",
                "SMILE_SOURCE_LABEL": "simulated", "SMILE_METRICS_PORT": "0"}
    os.execve(sys.executable, [sys.executable, "-m", "services.ingest"], os.environ | settings)


def main() -> int:
    """Entry point of `python -m local.warmup`."""
    parser = argparse.ArgumentParser(prog="local.warmup", description=__doc__)
    parser.add_argument("file", type=Path, help="where to put the quotes")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--step", type=int, default=60)
    chosen = parser.parse_args()
    now = datetime.now(UTC).replace(microsecond=0)
    start = begin(now, last_sample(os.environ["SMILE_DATABASE_URL"], now),
                  timedelta(minutes=chosen.minutes), timedelta(seconds=chosen.step))
    if now <= start:
        print(f"nothing to fill: the last sample is of {start:%H:%M:%S}")
        return 0
    files = []
    for number, leg in enumerate(legs(start, now, timedelta(seconds=chosen.step))):
        files.append(chosen.file.with_suffix(f".{number}.parquet"))
        simulate(leg, files[-1])
    join(files, chosen.file)
    replay(chosen.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
