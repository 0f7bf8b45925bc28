"""One batch of `option-chain`: a surface of each instant, to the table and the topic."""

import math
from collections.abc import Iterable
from typing import Any

from psycopg2.extras import Json

from ml.features import surface_features
from ml.instants import ConventionsOf, Surfaces
from ml.pricing.conventions import conventions
from services.common import metrics
from services.common.database import Database, upsert
from services.common.messages import OPTION_FEATURES, ChainSlice, FeatureRow
from services.common.produce import Producer
from services.features.chain import chain_quotes
from services.features.instant import instants, is_complete
from services.features.row import feature_row

TABLE = "option_features"
KEY = ("symbol", "expiry", "ts")
COLUMNS = tuple(name for name in FeatureRow.__struct_fields__ if name != "schema")


class FeaturesStage:
    """Holds what one surface lends the next: the fits to start from."""

    def __init__(self, database: Database, producer: Producer,
                 conventions_of: ConventionsOf = conventions) -> None:
        self._database, self._producer = database, producer
        self._surfaces = Surfaces(conventions_of)

    def step(self, chains: list[ChainSlice]) -> None:
        """Upsert and then publish a row per expiry and instant.

        The table comes first, so that whoever reads a row on the topic finds those before it in
        the table, and a database that is away makes no duplicates on the topic.

        Raises:
            Unavailable: the database or the broker can't take them now.
        """
        rows = [row for instant in instants(chains) for row in self.features(instant)]
        with self._database.transaction() as cursor:
            upsert(cursor, TABLE, KEY, COLUMNS, [table_row(row) for row in rows])
        for row in rows:
            self._producer.send(OPTION_FEATURES, row)
        _count(rows)

    def features(self, instant: list[ChainSlice]) -> list[FeatureRow]:
        """The rows of one instant, by expiry; where no smile can be made a row says why."""
        if not is_complete(instant):
            metrics.INCOMPLETE_INSTANTS.inc()
        sources = {chain.expiry: chain.source for chain in instant}
        surface = self._surfaces.build([chain_quotes(chain) for chain in instant])
        return [feature_row(smile, features, sources[smile.expiry]) for smile, features
                in zip(surface.smiles, surface_features(surface.smiles), strict=True)]


def table_row(row: FeatureRow) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    values = (getattr(row, name) for name in COLUMNS)
    return tuple(Json(value) if isinstance(value, dict) else value for value in values)


def _count(rows: Iterable[FeatureRow]) -> None:
    for row in rows:
        metrics.ROWS.labels("features", TABLE).inc()
        metrics.SMILES.labels(row.reason or "made").inc()
        for reason, quotes in row.rejects.items():
            metrics.QUOTES_REJECTED.labels(reason).inc(quotes)
        for violation in row.repaired or ():
            metrics.VIOLATIONS.labels(violation).inc()
        if row.repaired and row.moved is not None:
            metrics.REPAIR_BP.observe(row.moved * 1e4)
        if row.reason is None:
            _observe(row)


def _observe(row: FeatureRow) -> None:
    """How good a smile is; what is not known of it is left out."""
    for metric, value, unit in (
            (metrics.FIT_ERROR, row.fit_error, 1e-4),
            (metrics.FORWARD_ERROR_BP, row.forward_error, 1e-4 * (row.forward or math.nan)),
            (metrics.CONFIDENCE, row.confidence, 1.0)):
        if value is not None:
            metric.observe(value / unit)
