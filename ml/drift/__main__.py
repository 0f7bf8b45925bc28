"""`python -m ml.drift --from-database`: has the market drifted from what the champion learned?"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2

from ml.command import DATABASE_URL, guarded, instant, required
from ml.contract import ModelContract
from ml.drift.asked import connected, contract_of, newest
from ml.drift.report import Report, page, text
from ml.drift.tables import Rows, check, recent_features
from ml.errors import OutputError, UnavailableError

MODEL_SERVER_URL = "SMILE_MODEL_SERVER_URL"
MOST_HOURS = 87_600.0
_EXAMPLE = """example:
  python -m ml.drift --from-database --html drift.html
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Look and tell; 0 when that was done, 2 for a user's mistake, 1 where something is away."""
    return guarded(_run, _parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    _refuse_unwritable(options.html)
    contract, version = contract_of(
        options.contract or required(MODEL_SERVER_URL, "ml.drift without --contract"))
    report = _looked(lambda rows: _report(rows, options, contract, version))
    print("\n".join(text(report)))
    if options.html:
        _write(options.html, page(report))
        print(f"\nwritten to {options.html}")


def _report(rows: Rows, options: argparse.Namespace, contract: ModelContract,
            version: str | None) -> Report:
    asked = newest(rows, options.symbol, options.source, options.until,
                   timedelta(hours=options.hours), version)
    return Report(contract, asked, check(rows, contract, asked), recent_features(rows, asked)[1])


def _looked(look: Callable[[Rows], Report]) -> Report:
    """What `look` makes of the database's rows; its errors in our own words."""
    url = required(DATABASE_URL, "--from-database")
    with closing(connected(url)) as connection, connection.cursor() as cursor:
        def rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

        try:
            return look(rows)
        except psycopg2.Error as error:
            raise UnavailableError("the tables can't be read: "
                                   f"{' '.join(str(error).split())}") from error


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m ml.drift", description=__doc__,
                                      epilog=_EXAMPLE,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--from-database", action="store_true", required=True,
                         help=f"the tables at {DATABASE_URL}")
    options.add_argument("--contract", metavar="URL|FILE",
                         help=f"the champion's, by a model server or in a file; by default of the "
                              f"server at {MODEL_SERVER_URL}")
    options.add_argument("--symbol", help="by default that of the newest smile")
    options.add_argument("--source", choices=("live", "delayed", "simulated", "recorded"),
                         help="where the quotes came from; by default that of the newest smile")
    options.add_argument("--until", type=instant, metavar="TS",
                         help="look at nothing later than this instant")
    options.add_argument("--hours", type=_hours, default=24.0, help="of the recent past (24)")
    options.add_argument("--html", type=Path, metavar="FILE", help="write the report there too")
    return options


def _hours(text: str) -> float:
    """An option's number of hours; beyond ten years there is nothing to look at."""
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0.0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours above 0 and up to "
                                         f"{MOST_HOURS:.0f}")
    return hours


def _write(path: Path, text_of: str) -> None:
    try:
        path.write_text(text_of, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror}") from error


def _refuse_unwritable(path: Path | None) -> None:
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise OutputError(f"{path}: can't be written, its folder is missing or it is one")


if __name__ == "__main__":
    sys.exit(main())
