"""`python -m ml.smile FILE`: the smiles of one instant of a quotes file, a line per expiry."""

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from ml.errors import QuotesFileError, SmileError
from ml.quotes.format import iter_chains, read_quotes
from ml.smile.build import build_smile
from ml.types import SmileSnapshot

HEADER = ("symbol", "expiry", "days", "forward", "atm vol", "fit bp", "used/total", "rejects")
WIDTHS = (6, 10, 8, 11, 8, 8, 10, 0)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 if it was done, 2 with one sentence for a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        quotes = read_quotes(options.file)
        chosen = instant(quotes, options.at, options.file)
    except SmileError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.file} at {chosen['ts'].iat[0].isoformat()}")
    print("\n".join(table([build_smile(chain) for chain in iter_chains(chosen)])))
    return 0


def instant(quotes: pd.DataFrame, at: datetime | None, source: str) -> pd.DataFrame:
    """The quotes of the latest ts at or before `at`; of the last ts without `at`.

    Raises:
        QuotesFileError: if there are none.
    """
    times = quotes["ts"]
    known = times if at is None else times[times <= pd.Timestamp(at)]
    if known.empty:
        bound = "" if at is None else f" at or before {at.isoformat()}"
        raise QuotesFileError(f"{source}: no quotes{bound}")
    return quotes[times == known.iloc[-1]].reset_index(drop=True)


def table(smiles: list[SmileSnapshot]) -> Iterator[str]:
    """Aligned lines: a header, and one line per smile."""
    yield _line(HEADER)
    for smile in smiles:
        yield _line(_cells(smile))


def _cells(smile: SmileSnapshot) -> tuple[str, ...]:
    notes = [f"{reason} {n}" for reason, n in smile.rejects.items()]
    if smile.reason:
        notes.insert(0, f"no smile: {smile.reason};" if notes else f"no smile: {smile.reason}")
    return (
        smile.symbol,
        smile.expiry.isoformat(),
        _number(smile.tau * 365, ".2f"),
        _number(smile.forward, ".3f"),
        _number(smile.atm_vol, ".4f"),
        _number(smile.fit_error * 1e4, ".1f"),
        f"{len(smile.quotes.strike)}/{smile.quotes_total}",
        " ".join(notes),
    )


def _number(value: float, style: str) -> str:
    return format(value, style) if np.isfinite(value) else "-"


def _line(cells: tuple[str, ...]) -> str:
    aligned = [
        cell.ljust(width) if place < 2 or width == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.smile", description=__doc__)
    parser.add_argument("file", help="quotes file, Parquet or CSV")
    parser.add_argument("--at", type=_instant, metavar="TS",
                        help="instant, such as 2015-12-24T15:30Z (default: the last)")
    return parser


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2015-12-24T15:30Z"
                                         ) from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; add Z for UTC")
    return at


if __name__ == "__main__":
    sys.exit(main())
