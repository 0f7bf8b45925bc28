"""The recent past of smiles, read back from `option_features`."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from services.common.database import Database
from services.common.messages import Source
from services.predictor.history import Key
from services.predictor.sample import Sample, as_sample

QUERY = """
SELECT expiry, ts, tau, underlying, forward, atm_vol, grid_vol, features
FROM option_features
WHERE symbol = %s AND source = ANY(%s) AND expiry = ANY(%s) AND ts >= %s AND ts < %s
ORDER BY ts"""


def load_samples(database: Database, before: Mapping[Key, datetime],
                 span_s: float) -> dict[Key, list[Sample]]:
    """The samples of each key in the `span_s` seconds before its instant, oldest first.

    Raises:
        Unavailable: the database does not answer.
    """
    by_market: dict[tuple[str, Source], list[date]] = defaultdict(list)
    for symbol, source, expiry in before:
        by_market[symbol, source].append(expiry)
    found: dict[Key, list[Sample]] = defaultdict(list)
    span = timedelta(seconds=span_s)
    for (symbol, source), expiries in by_market.items():
        instants = [before[symbol, source, expiry] for expiry in expiries]
        values = symbol, _sources(source), expiries, min(instants) - span, max(instants)
        for expiry, *columns in database.rows(QUERY, values):
            key = symbol, source, expiry
            _keep(found[key], columns, before[key], span)
    return found


def _sources(market: Source) -> list[Source]:
    """Those whose rows `services.predictor.history.market` counts to a market."""
    return ["live", "delayed"] if market == "live" else [market]


def _keep(samples: list[Sample], columns: list[Any], before: datetime, span: timedelta) -> None:
    sample = as_sample(*columns)
    if sample is not None and before - span <= sample.at < before:
        samples.append(sample)
