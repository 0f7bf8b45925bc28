"""One batch of `option-chain`: a smile of each chain, to the table and the topic."""

from collections.abc import Iterable
from typing import Any

from psycopg2.extras import Json

from ml.features import instant_features
from ml.smile.build import build_smile
from services.common import metrics
from services.common.database import Database, upsert
from services.common.messages import OPTION_FEATURES, ChainSlice, FeatureRow
from services.common.produce import Producer
from services.features.chain import chain_quotes
from services.features.row import feature_row
from services.features.warm import WarmStarts

TABLE = "option_features"
KEY = ("symbol", "expiry", "ts")
COLUMNS = tuple(name for name in FeatureRow.__struct_fields__ if name != "schema")


class FeaturesStage:
    """Holds what one smile lends the next: the fit to start from."""

    def __init__(self, database: Database, producer: Producer) -> None:
        self._database, self._producer = database, producer
        self._warm = WarmStarts()

    def step(self, chains: list[ChainSlice]) -> None:
        """Upsert and then publish a row per chain.

        The table comes first, so that whoever reads a row on the topic finds those before it in
        the table, and a database that is away makes no duplicates on the topic.

        Raises:
            Unavailable: the database or the broker can't take them now.
        """
        rows = [self.features(chain) for chain in chains]
        with self._database.transaction() as cursor:
            upsert(cursor, TABLE, KEY, COLUMNS, [table_row(row) for row in rows])
        for row in rows:
            self._producer.send(OPTION_FEATURES, row)
        _count(rows)

    def features(self, chain: ChainSlice) -> FeatureRow:
        """The row of one chain; where no smile can be made it says why."""
        smile = build_smile(chain_quotes(chain), self._warm.get(chain.symbol, chain.expiry))
        self._warm.keep(smile)
        return feature_row(smile, instant_features(smile), chain.source)


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
        if row.fit_error is not None:
            metrics.FIT_ERROR.observe(row.fit_error * 1e4)
