"""`python -m ml.quotes`: import, describe and convert quotes files."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from ml.errors import SmileError
from ml.quotes.format import read_quotes, write_quotes
from ml.quotes.lean import import_lean
from ml.quotes.snapshot import import_snapshot

IMPORTERS = {"lean": import_lean, "snapshot": import_snapshot}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it was done, 2 with one sentence for a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SmileError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.quotes", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    importer = commands.add_parser("import", help="make a quotes file of another layout")
    importer.add_argument("layout", choices=sorted(IMPORTERS))
    importer.add_argument("source", type=Path)
    importer.add_argument("-o", "--output", type=Path, required=True)
    importer.set_defaults(run=_import)
    info = commands.add_parser("info", help="say what a quotes file holds")
    info.add_argument("file", type=Path)
    info.set_defaults(run=_info)
    convert = commands.add_parser("convert", help="write Parquet as CSV or CSV as Parquet")
    convert.add_argument("file", type=Path)
    convert.add_argument("output", type=Path)
    convert.set_defaults(run=_convert)
    return parser


def _import(options: argparse.Namespace) -> None:
    quotes = IMPORTERS[options.layout](options.source)
    write_quotes(quotes, options.output)
    print(f"{options.output}: {len(quotes)} quotes of {options.source}")


def _info(options: argparse.Namespace) -> None:
    for name, value in describe(read_quotes(options.file)).items():
        print(f"{name:10} {value}")


def _convert(options: argparse.Namespace) -> None:
    quotes = read_quotes(options.file)
    write_quotes(quotes, options.output)
    print(f"{options.output}: {len(quotes)} quotes of {options.file}")


def describe(quotes: pd.DataFrame) -> dict[str, str]:
    """What a quotes frame holds, by name, in words and figures."""
    times, expiries = quotes["ts"], quotes["expiry"]
    days = times.dt.tz_convert("America/New_York").dt.date
    two_sided = (quotes["bid"].notna() & quotes["ask"].notna()).mean()
    span = f", {times.min().isoformat()} to {times.max().isoformat()}" if len(quotes) else ""
    dates = [str(day) for day in sorted(expiries.unique())]
    return {
        "symbols": ", ".join(sorted(quotes["symbol"].unique())) or "none",
        "days": f"{days.nunique()} (New York)",
        "instants": f"{times.nunique()}{span}",
        "expiries": f"{len(dates)}{f', {dates[0]} to {dates[-1]}' if dates else ''}",
        "rows": str(len(quotes)),
        "two-sided": f"{two_sided:.1%}" if len(quotes) else "none",
        "age": _age(quotes),
    }


def _age(quotes: pd.DataFrame) -> str:
    """How long the quotes have stood, in words."""
    if "quote_time" not in quotes:
        return "every quote as new as its row"
    known = (quotes["ts"] - quotes["quote_time"]).dt.total_seconds().dropna()
    if known.empty:
        return "unknown"
    middle, most = known.quantile([0.5, 0.95])
    return f"median {middle:.0f} s, 95 % at most {most:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
