"""Is what was forecast live what the model says offline? `python -m ml.recompute --symbol SPY`

Computes every forecast in `predicted_smile` anew from `option_features` and the registered version
that made it, and tells the largest differences. More than rounding (`ROUNDING`) means that serving
saw other numbers than training does, or that rows have changed since, and ends with exit code 3. It
reads SMILE_DATABASE_URL and
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
from ml.offline import Made, Models, Replay
from ml.series import Series
from ml.stored import days_from_database
from ml.stored_forecasts import StoredForecast, forecasts_between
from ml.types import Floats

PIECE = timedelta(hours=1)
"""Forecasts held in memory at a time."""
ROUNDING = 1e-7
"""By how much a forecast (in volatility: 0.001 bp) or its band's scale may differ: a network's 32
bits round differently in a batch of another size, to 7 digits of a change of some percent."""
DIFFERS = 3
"""Exit code where something differs by more."""
Kind = tuple[str, str, str]
"""Model's name, version and role."""


@dataclass(slots=True)
class Difference:
    """Of stored forecasts and the same computed anew; in volatility, 1 bp = 0.0001."""

    forecasts: int = 0
    missing: int = 0
    """Those that can't be computed anew: their row or window is not there, or another speaks."""
    smile: float = 0.0
    """Largest difference at any point of the grid."""
    band: float = 0.0
    """Largest difference of an edge."""
    scale: float = 0.0
    """Largest difference of the bands' scale."""

    def add(self, stored: StoredForecast, made: Made | None, scale: float) -> None:
        """Take one forecast more; None is one that could not be computed."""
        self.forecasts += 1
        if made is None:
            self.missing += 1
            return
        self.smile = max(self.smile, _largest(stored.smile, made.smile))
        self.band = max(self.band, _largest(stored.lower, made.lower),
                        _largest(stored.upper, made.upper))
        self.scale = max(self.scale, _largest(np.array([stored.band_scale]), np.array([scale])))

    @property
    def largest(self) -> float:
        """Of smile, band and scale."""
        return max(self.smile, self.band, self.scale)


def recompute(url: str, models: Models, symbol: str, source: str | None = None,
              until: datetime | None = None) -> dict[Kind, Difference]:
    """The differences of a symbol's forecasts, by who made them.

    Raises:
        TrainingDataError: the table holds no smile of the symbol, or those of several sources.
        RegistryError: a version that made forecasts is not in the registry any more.
        UnavailableError: database or registry do not answer.
    """
    found: defaultdict[Kind, Difference] = defaultdict(Difference)
    replay = Replay(models)
    for day in days_from_database(url, until, symbol, source):
        for first, end in _pieces(day):
            stored = list(forecasts_between(url, symbol, source, first, end))
            for one, made, scale in replay.part(day, stored, first, end):
                found[one.model_name, one.model_version, one.role].add(one, made, scale)
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
    for name in ("model", "version", "role", "forecasts", "not computed", "smile", "band",
                 "band's scale"):
        table.add_column(name, justify="left" if name in ("model", "role") else "right")
    for kind, one in sorted(found.items()):
        table.add_row(*kind, str(one.forecasts), str(one.missing), f"{one.smile * 1e4:.2g} bp",
                      f"{one.band * 1e4:.2g} bp", f"{one.scale:.2g}")
    return table


def run(options: argparse.Namespace) -> int:
    """Compute anew and print; `DIFFERS` where more than rounding does, else 0."""
    models = Models(options.name, required(TRACKING_URI, "--symbol"))
    found = recompute(required(DATABASE_URL, "--symbol"), models, options.symbol, options.source)
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(as_table(found, options.symbol))
    differ = [kind for kind, one in sorted(found.items()) if one.largest > ROUNDING]
    if not differ:
        return 0
    who = ", ".join(f"{name} {version} ({role})" for name, version, role in differ)
    print(f"error: stored forecasts of {who} differ from the same computed anew by more than "
          f"rounding ({ROUNDING:g})", file=sys.stderr)
    return DIFFERS


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, `DIFFERS`, or what `ml.command.guarded` returns."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--symbol", required=True)
    options.add_argument("--source", choices=("live", "simulated", "recorded"),
                         help="rows of this source only")
    options.add_argument("--name", default="smile", help="of the registered model")
    codes: list[int] = []
    failed = guarded(lambda given: codes.append(run(given)), options.parse_args(arguments))
    return failed or codes[0]


if __name__ == "__main__":
    sys.exit(main())
