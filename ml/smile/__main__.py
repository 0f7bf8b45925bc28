"""`python -m ml.smile SOURCE`: the smiles of one instant, as a table, a picture and JSON."""

import argparse
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from ml import command
from ml.calendar import session_bounds, session_day
from ml.errors import OutputError, QuotesFileError, SmileError
from ml.pricing.conventions import Conventions, conventions_with, parse_dividends
from ml.pricing.dividends import Dividend
from ml.quotes.format import iter_chains
from ml.quotes.source import load
from ml.smile.document import document
from ml.smile.reading import Clock, SurfaceReading, read_surface
from ml.smile.report import report
from ml.smile.surface import build_surface
from ml.types import ChainQuotes

MOST_PAID = 0.5
"""Of the price of the underlying: a dividend beyond that is a slip of the pen."""
_EXAMPLES = """examples:
  python -m ml.smile goog.parquet --at 2015-12-24T15:30Z --plot goog.png
  python -m ml.smile FOLDER --symbol SPY --expiry 2026-09-18 2026-10-16 --json -
"""


def main(arguments: list[str] | None = None) -> int:
    """Show what was asked for; 0 if it was done, 2 with one sentence for a user's mistake."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ± or → shows a question mark
    try:
        _run(options)
        sys.stdout.flush()
    except SmileError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(options: argparse.Namespace) -> None:
    for path in (options.plot, options.json):
        _refuse_unwritable(path)
    if options.plot:
        from ml.smile.plot import refuse_unknown_format

        refuse_unknown_format(options.plot)
    quotes = of_symbol(load(options.source), options.symbol, options.source)
    chains = list(iter_chains(instant(quotes, options.at, options.source)))
    readings = _readings(chains, options)
    if options.json and options.json != "-":
        _write(options.json, _encoded(readings, options.source))
    drawn = _drawn(readings, options.plot) if options.plot else []
    if options.json == "-":
        print(_encoded(readings, options.source))
    else:
        print("\n\n".join("\n".join(report(reading)) for reading in readings))
        for path in drawn:
            print(f"\nplotted to {path}")


def _drawn(readings: Sequence[SurfaceReading], path: str) -> list[Path]:
    from ml.smile.plot import save

    return [written for reading in readings
            for written in save(reading, _named(path, reading, len(readings) > 1))]


def _readings(chains: Sequence[ChainQuotes], options: argparse.Namespace) -> list[SurfaceReading]:
    clock = Clock(options.clock == "trading", options.closed_weight)
    readings = []
    for symbol, group in itertools.groupby(chains, key=lambda chain: chain.symbol):
        own = list(group)
        _refuse_absurd(options.dividends, own[0])
        surface = build_surface(own, style=_style(symbol, options))
        readings.append(read_surface(surface, own, clock))
    return [_shown(reading, options.expiry) for reading in readings]


def _style(symbol: str, options: argparse.Namespace) -> Conventions:
    style = conventions_with(options.rate, options.dividends)(symbol)
    return replace(style, exercise=options.exercise) if options.exercise else style


def _refuse_absurd(dividends: Sequence[Dividend], chain: ChainQuotes) -> None:
    for dividend in dividends:
        if dividend.amount >= MOST_PAID * chain.underlying:
            raise QuotesFileError(
                f"a dividend of {dividend.amount:g} on {dividend.ex_date} can't be: {chain.symbol} "
                f"stands at {chain.underlying:g}; correct --dividends")


def of_symbol(quotes: pd.DataFrame, symbol: str | None, source: str) -> pd.DataFrame:
    """The quotes of one symbol, in any case of letters; all without `symbol`.

    Raises:
        QuotesFileError: if there are none.
    """
    if symbol is None:
        return quotes
    known = sorted(quotes["symbol"].unique())
    name = next((name for name in known if name.upper() == symbol.upper()), None)
    if name is None:
        raise QuotesFileError(f"{source}: no quotes of {symbol}; it holds {', '.join(known)}")
    return quotes[quotes["symbol"] == name].reset_index(drop=True)


def instant(quotes: pd.DataFrame, at: datetime | None, source: str) -> pd.DataFrame:
    """The quotes of the latest ts at or before `at`; without `at`, of the last ts in a session.

    Raises:
        QuotesFileError: if there are none.
    """
    times = quotes["ts"].drop_duplicates()
    if at is not None:
        known = times[times <= pd.Timestamp(at)]
        if known.empty:
            raise QuotesFileError(f"{source}: no quotes at or before {at.isoformat()}; the first "
                                  f"are of {times.iloc[0].isoformat()}")
        chosen = known.iloc[-1]
    else:
        in_session = (time for time in reversed(times.tolist()) if _in_session(time))
        chosen = next(in_session, times.iloc[-1])
    return quotes[quotes["ts"] == chosen].reset_index(drop=True)


def _in_session(at: datetime) -> bool:
    session = session_bounds(session_day(at))
    return session is not None and session[0] <= at <= session[1]


def _shown(reading: SurfaceReading, expiries: Sequence[date]) -> SurfaceReading:
    """The reading with the expiries asked for, all of which were built; all if none were."""
    known = [one.smile.expiry for one in reading.expiries]
    for expiry in expiries:
        if expiry not in known:
            raise QuotesFileError(
                f"no expiry {expiry} of {reading.surface.symbol} at "
                f"{reading.surface.at.isoformat()}; there are {', '.join(map(str, known))}")
    chosen = tuple(one for one in reading.expiries if one.smile.expiry in (expiries or known))
    return replace(reading, expiries=chosen)


def _encoded(readings: Sequence[SurfaceReading], source: str) -> str:
    return json.dumps(document(readings, source), allow_nan=False, ensure_ascii=False)


def _refuse_unwritable(path: str | None) -> None:
    if path and path != "-" and not Path(path).absolute().parent.is_dir():
        raise OutputError(f"{path}: can't be written: its folder is not there")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error


def _named(path: str, reading: SurfaceReading, several: bool) -> Path:
    plain = Path(path)
    return plain.with_stem(f"{plain.stem}-{reading.surface.symbol}") if several else plain


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.smile", description=__doc__,
                                     epilog=_EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("source", help="quotes file (Parquet or CSV), Lean folder or snapshot folder")
    option("--at", type=command.instant, metavar="TS",
           help="instant, such as 2015-12-24T15:30Z (default: the last one in a session)")
    option("--symbol", help="only this symbol")
    option("--expiry", type=_day, nargs="+", action="extend", default=[], metavar="DATE",
           help="show only these expiries; all are fitted")
    option("--plot", metavar="FILE", help="draw the surface, as .png, .pdf or .svg")
    option("--json", nargs="?", const="-", metavar="FILE",
           help="write a JSON document; to the terminal, instead of the table, without FILE")
    option("--clock", choices=("calendar", "trading"), default="calendar",
           help="what volatilities are per year of (default: calendar)")
    option("--closed-weight", type=_share, default=0.0, metavar="SHARE",
           help="weight of closed hours on the trading clock, 0 to 1 (default: 0)")
    option("--rate", type=_rate, help="interest rate per year to expect, such as 0.04")
    option("--dividends", type=_dividends, default=(), metavar="LIST",
           help="known cash dividends, such as 2026-09-18:1.85,2026-12-18:1.95")
    option("--exercise", choices=("american", "european"),
           help="default: european for the index options known, else american")
    return parser


def _typed(convert: Callable[[str], float], low: float, high: float, what: str
           ) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


_share = _typed(float, 0.0, 1.0, "a share from 0 to 1")
_rate = _typed(float, -0.1, 1.0, "a rate per year such as 0.04")


def _dividends(text: str) -> tuple[object, ...]:
    try:
        return parse_dividends(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-09-18") from None


if __name__ == "__main__":
    sys.exit(main())
