"""The flags of the simulator's two commands; each stands for its environment variable."""

import argparse
import os
from collections.abc import Callable

from services.common.settings import PREFIX
from services.simulator.settings import SimulatorSettings

Command = Callable[[argparse.Namespace], None]

SERVE_FLAGS = {
    "port": "0 takes any free one (4002)",
    "host": "address to listen on (127.0.0.1)",
    "start": "market time that the first client finds, ISO with its zone, or now (now)",
    "speed": "market seconds per second (1)",
    "tick-seconds": "seconds between two turns of ticks (0.5)",
    "lines": "market data lines for all clients together (100)",
    "snapshot-delay": "seconds to the end of a snapshot (11)",
    "recording": "quotes file to play instead of the synthetic market",
    "fault": "comma-separated NAME@SECONDS[+DURATION]: 1100, 1101, 1102, 2103, 2104, 10197, "
             "freeze, silence, cut, restart, refuse",
}


def environment(options: argparse.Namespace) -> dict[str, str]:
    """The environment, with the flags that were given in the places of their variables."""
    given = {f"{PREFIX}{name.upper()}": value for name, value in vars(options).items()
             if name in SimulatorSettings.__struct_fields__ and value is not None}
    return {**os.environ, **given}


def parser(serve: Command, write_history: Command) -> argparse.ArgumentParser:
    """The parser; `run` of what it parses is the command chosen."""
    top = argparse.ArgumentParser(
        prog="python -m services.simulator",
        description="A TWS gateway on a synthetic market or a recording. Every flag that is not "
                    "given is read from SMILE_SIMULATOR_<FLAG>.")
    commands = top.add_subparsers(required=True, metavar="{serve,history}")
    _add_serve(commands.add_parser("serve", help="listen for TWS clients"), serve)
    _add_history(commands.add_parser("history", help="write a quotes file of the market"),
                 write_history)
    return top


def _add_market(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", dest="simulator_seed", help="another seed, another market (7)")
    parser.add_argument("--symbols", dest="simulator_symbols", help="comma-separated (SPY)")
    parser.add_argument("--hours", dest="simulator_hours", help="always (default) or rth")


def _add_serve(parser: argparse.ArgumentParser, run: Command) -> None:
    _add_market(parser)
    for flag, text in SERVE_FLAGS.items():
        parser.add_argument(f"--{flag}", dest=f"simulator_{flag.replace('-', '_')}", help=text)
    parser.add_argument("--metrics-port", dest="metrics_port", help="of /metrics (9100)")
    parser.set_defaults(run=run)


def _add_history(parser: argparse.ArgumentParser, run: Command) -> None:
    _add_market(parser)
    since = parser.add_mutually_exclusive_group(required=True)
    since.add_argument("--from", dest="begin", help="ISO time with its zone")
    since.add_argument("--past", type=_positive, metavar="HOURS", help="that many before --to")
    parser.add_argument("--to", dest="end", help="ISO time with its zone (this minute)")
    parser.add_argument("--step", type=_positive, default=60, help="seconds (60)")
    parser.add_argument("--expiries", type=_positive, default=6, help="the nearest N (6)")
    parser.add_argument("-o", "--output", required=True, help=".parquet, .csv or .csv.gz")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number
