"""Make the simulated history that trains the first model: the last complete New York session.

A session, whatever the hour of the start, so that every feature of the time of day takes all
its values; and a past one, so that nothing that is forecast afterwards has been seen.
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.warmup import Leg, simulate
from ml.calendar import session_bounds, session_day

SEARCHED_DAYS = 14
"""No closure of the exchange has lasted longer in a century."""


def period(before: datetime, longest: timedelta) -> tuple[datetime, datetime]:
    """The last `longest` of the newest session that has closed by `before`."""
    for back in range(SEARCHED_DAYS):
        session = session_bounds(session_day(before) - timedelta(days=back))
        if session is not None and session[1] <= before:
            opens, closes = session
            return max(opens, closes - longest), closes
    raise ValueError(f"no session in the {SEARCHED_DAYS} days before {before.isoformat()}")


def main() -> int:
    """Entry point of `python -m local.history`."""
    parser = argparse.ArgumentParser(prog="local.history", description=__doc__)
    parser.add_argument("file", type=Path, help="where to put the quotes")
    parser.add_argument("--hours", type=float, default=6.5, help="of the session, its last ones")
    parser.add_argument("--step", type=int, default=60, help="seconds")
    parser.add_argument("--before", type=float, default=60.0, metavar="MINUTES",
                        help="how long ago the session must have closed")
    chosen = parser.parse_args()
    before = datetime.now(UTC) - timedelta(minutes=chosen.before)
    begin, end = period(before, timedelta(hours=chosen.hours))
    simulate(Leg(begin, end, timedelta(seconds=chosen.step)), chosen.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
