"""Fill the time up to now with the simulated market's own past, so that forecasts come at once.

The market is a pure function of seed and time: what is replayed here is what a live feed would
have shown. Only the time since the last stored sample is filled, at most `--minutes`.
"""

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local import postgres

LAST_SAMPLE = "SELECT max(ts) FROM option_features WHERE ts <= %s"
WORTH_IT = timedelta(seconds=90)


def last_sample(url: str, now: datetime) -> datetime | None:
    """The newest instant in the table of features, if it has any."""
    found: datetime | None = postgres.query(url, LAST_SAMPLE, now)[0][0]
    return found


def begin(now: datetime, last: datetime | None, most: timedelta, step: timedelta) -> datetime:
    """From where to fill: one step after the last sample, at most `most` before now."""
    earliest = now - most
    return earliest if last is None else max(earliest, last + step)


def simulate(start: datetime, end: datetime, step_s: int, file: Path) -> int:
    """Write the simulated quotes of a period; returns the exit code."""
    return subprocess.run([sys.executable, "-m", "services.simulator", "history", "--from",
                           start.isoformat(), "--to", end.isoformat(), "--step", str(step_s),
                           "-o", str(file)], check=False).returncode


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
    if now - start < WORTH_IT:
        print(f"nothing to fill: the last sample is of {start:%H:%M:%S}")
        return 0
    code = simulate(start, now, chosen.step, chosen.file)
    if code == 0:
        replay(chosen.file)
    return code


if __name__ == "__main__":
    sys.exit(main())
