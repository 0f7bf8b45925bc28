"""Is what was forecast live what the model says offline? `python -m ml.recompute --symbol SPY`

Computes every forecast in `predicted_smile` anew from `option_features` and the registered version
that made it, and tells the largest differences. More than rounding (`ROUNDING`), or a forecast that
another would have made, means that serving saw other numbers than training does, or that rows have
changed since, and ends with exit code 3. Forecasts whose rows are gone are counted; where nothing
else is left, nothing is shown, which is an error. It reads SMILE_DATABASE_URL and
MLFLOW_TRACKING_URI. Each New York day is read for itself, as training reads it: a stand-in's
forecast of the first minutes after midnight there, whose smiles go back to the day before, differs.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from rich.console import Console
from rich.table import Table

from ml.command import DATABASE_URL, TRACKING_URI, guarded, required
from ml.errors import TrainingDataError
from ml.offline import Made, Models, Replay, Unmade
from ml.quiet_mlflow import refuse_new
from ml.series import Series
from ml.stored import days_from_database
from ml.stored_forecasts import (
    Kind,
    StoredForecast,
    forecasts_between,
    forecasts_outside,
    newest_forecast,
)
from ml.types import Floats

PIECE = timedelta(hours=1)
"""Forecasts held in memory at a time."""
ROUNDING = 1e-7
"""By how much a forecast (in volatility: 0.001 bp) or its band's scale may differ: a network's 32
bits round differently in a batch of another size, to 7 digits of a change of some percent."""
DIFFERS = 3
"""Exit code where something differs by more."""


@dataclass(slots=True)
class Difference:
    """Of stored forecasts and the same computed anew; in volatility, 1 bp = 0.0001."""

    forecasts: int = 0
    gone: int = 0
    """Those whose row, or one of their window, is not there any more."""
    otherwise: int = 0
    """Those that, by the tables and their version, another would have made."""
    smile: float = 0.0
    """Largest difference at any point of the grid."""
    band: float = 0.0
    """Largest difference of an edge."""
    scale: float = 0.0
    """Largest difference of the bands' scale."""

    def add(self, stored: StoredForecast, made: Made | Unmade, scale: float) -> None:
        """Take one forecast more, computed anew or why it could not be."""
        self.forecasts += 1
        if isinstance(made, Unmade):
            self.gone += made is Unmade.GONE
            self.otherwise += made is Unmade.OTHERWISE
            return
        self.smile = max(self.smile, _largest(stored.smile, made.smile))
        self.band = max(self.band, _largest(stored.lower, made.lower),
                        _largest(stored.upper, made.upper))
        self.scale = max(self.scale, _largest(np.array([stored.band_scale]), np.array([scale])))

    @property
    def differs(self) -> bool:
        """Whether serving said anything else than is computed."""
        return self.otherwise > 0 or max(self.smile, self.band, self.scale) > ROUNDING


def recompute(url: str, models: Models, symbol: str, source: str | None = None,
              until: datetime | None = None) -> dict[Kind, Difference]:
    """The differences of a symbol's forecasts, by who made them; empty where it has none.

    Raises:
        TrainingDataError: the table holds no smile of the symbol, or those of several sources.
        RegistryError: a version that made forecasts is not in the registry any more.
        UnavailableError: database or registry do not answer.
    """
    found: defaultdict[Kind, Difference] = defaultdict(Difference)
    newest = newest_forecast(url, symbol, source, until)  # before rows that come after it are read
    replay, spans = Replay(models), []
    for day in days_from_database(url, until, symbol, source):
        pieces = list(_pieces(day))
        spans.append((pieces[0][0], pieces[-1][1]))
        for first, end in pieces:
            stored = list(forecasts_between(url, symbol, source, first, end))
            for one, made, scale in replay.part(day, stored, first, end):
                found[one.model_name, one.model_version, one.role].add(one, made, scale)
    if newest is not None:
        for kind, count in forecasts_outside(url, symbol, source, newest, spans):
            found[kind].forecasts += count
            found[kind].gone += count
    return dict(found)


def _pieces(day: list[Series]) -> Iterator[tuple[datetime, datetime]]:
    """The time of a day's rows in pieces."""
    first = min(series.at[0] for series in day)
    last = max(series.at[-1] for series in day)
    while first <= last:
        # The last piece ends just after the last row, where a history that is cut off ends too.
        end = min(first + PIECE, last + timedelta(microseconds=1))
        yield first, end
        first = end


def _largest(stored: Floats, made: Floats) -> float:
    """Largest absolute difference; infinite where only one of them is known."""
    both = np.isfinite(stored) & np.isfinite(made)
    if (np.isfinite(stored) != np.isfinite(made)).any():
        return float("inf")
    return float(np.abs(stored - made)[both].max(initial=0.0))


def as_table(found: dict[Kind, Difference], symbol: str) -> Table:
    """The differences for a terminal."""
    table = Table(title=f"{symbol}: forecasts as stored, against the same computed anew",
                  title_justify="left")
    for name in ("model", "version", "role", "forecasts", "rows gone", "another's", "smile",
                 "band", "band's scale"):
        table.add_column(name, justify="left" if name in ("model", "role") else "right")
    for kind, one in sorted(found.items()):
        compared = one.forecasts > one.gone + one.otherwise
        apart = (f"{one.smile * 1e4:.2g} bp", f"{one.band * 1e4:.2g} bp", f"{one.scale:.2g}")
        table.add_row(*kind, str(one.forecasts), str(one.gone), str(one.otherwise),
                      *(apart if compared else "---"))
    return table


def run(options: argparse.Namespace) -> int:
    """Compute anew and print; `DIFFERS` where anything does, else 0.

    Raises:
        TrainingDataError: no forecast could be computed.
    """
    uri, url = required(TRACKING_URI, "--symbol"), required(DATABASE_URL, "--symbol")
    refuse_new(uri)
    found = recompute(url, Models(options.name, uri), options.symbol, options.source)
    if not found:
        raise TrainingDataError(f"the table predicted_smile holds no forecast of {options.symbol}")
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(as_table(found, options.symbol))
    differ = [kind for kind, one in sorted(found.items()) if one.differs]
    if not differ:
        _refuse_nothing(found, options.symbol)
        return 0
    who = ", ".join(f"{name} {version} ({role})" for name, version, role in differ)
    print(f"error: stored forecasts of {who} differ from the same computed anew by more than "
          f"rounding ({ROUNDING:g}), or another would have made them", file=sys.stderr)
    return DIFFERS


def _refuse_nothing(found: dict[Kind, Difference], symbol: str) -> None:
    if all(one.gone == one.forecasts for one in found.values()):
        count = sum(one.forecasts for one in found.values())
        raise TrainingDataError(f"none of the {count} stored forecasts of {symbol} can be computed "
                                "anew: the rows of option_features that they were made of are gone")


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, `DIFFERS`, or what `ml.command.guarded` returns."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--symbol", required=True)
    options.add_argument("--source", choices=("live", "simulated", "recorded"),
                         help="rows of this source only")
    options.add_argument("--name", default="smile", help="of the registered model")
    return guarded(run, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
