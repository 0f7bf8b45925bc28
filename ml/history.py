"""Smiles of the past, from quotes or from the table, day by day, so that one day is in memory."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from ml.calendar import session_day
from ml.errors import TrainingDataError
from ml.features import surface_features
from ml.instants import ConventionsOf, Surfaces
from ml.pricing.conventions import conventions
from ml.quotes.format import iter_chains
from ml.quotes.merged import Source, instants, survey
from ml.series import ONE_DAY, Advance, Observed, Row, Series, in_series, with_smiles
from ml.stored import days_from_database
from ml.types import ChainQuotes, Floats, SmileSnapshot

__all__ = ["Advance", "Observed", "Row", "Series", "days_from_database", "days_from_quotes",
           "in_series"]


def days_from_quotes(paths: Sequence[str | Path], until: datetime | None = None,
                     advance: Advance | None = None, conventions_of: ConventionsOf = conventions,
                     within_day: bool = True) -> Iterator[list[Series]]:
    """The series of each New York day of quotes, of any symbols and step, in order.

    A path is a quotes file, a Lean or snapshot folder, or a folder of quotes files; they may
    overlap in time. `until` is the last instant that is looked at. `conventions_of` must be those
    of the stage whose smiles the model will see. Unless `within_day`, a history of one day is
    refused before its smiles are made.

    Raises:
        QuotesFileError: a path is none of these, or its quotes are wrong.
        TrainingDataError: one day only, or no smile at all.
    """
    sources = survey(paths, until)
    if not within_day and _is_one_day(sources, until):
        raise TrainingDataError(ONE_DAY)
    return with_smiles(_days(sources, until, advance, Surfaces(conventions_of)))


def _is_one_day(sources: Sequence[Source], until: datetime | None) -> bool:
    ends = {session_day(at if until is None else min(at, until))
            for source in sources for at in (source.first, source.last)}
    return len(ends) == 1


def _days(sources: Sequence[Source], until: datetime | None, advance: Advance | None,
          surfaces: Surfaces) -> Iterator[list[Series]]:
    tell = _Told(advance, sum(source.quotes for source in sources))
    groups = itertools.groupby(instants(sources, until), key=lambda one: session_day(one[0]))
    for _, day in groups:
        yield in_series(row for _, frames in day for row in _rows(tell(frames), surfaces))


class _Told:
    """Tells how many of all quotes have passed."""

    def __init__(self, advance: Advance | None, total: int) -> None:
        self._advance, self._total, self._done = advance, total, 0

    def __call__(self, frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
        self._done += sum(map(len, frames))
        if self._advance is not None:
            self._advance(self._done, self._total)
        return frames


def _rows(frames: Sequence[pd.DataFrame], surfaces: Surfaces) -> Iterator[Row]:
    """The rows of one instant; where two sources have an expiry, the last one counts."""
    by_symbol: dict[str, list[ChainQuotes]] = {}
    for frame in frames:
        for chain in iter_chains(frame):
            by_symbol.setdefault(chain.symbol, []).append(chain)
    for chains in by_symbol.values():
        smiles = surfaces.build(chains).smiles
        yield from map(_row, smiles, surface_features(smiles))


def _row(smile: SmileSnapshot, features: Floats) -> Row:
    points = smile.quotes
    observed = Observed(points.log_moneyness, points.mid_iv, (points.ask_iv - points.bid_iv) / 2)
    return Row(smile.symbol, smile.expiry, smile.at, smile.tau, smile.underlying, smile.forward,
               smile.atm_vol, smile.grid_vol, smile.grid_observed, features, observed)
