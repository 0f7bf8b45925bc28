"""Reading the tables: one read-only connection, shared by all sessions, that comes back."""

import threading
from collections.abc import Sequence
from typing import Any

import pandas as pd
from psycopg2.extensions import FLOAT, Column

from services.common.database import Database

STATEMENT_TIMEOUT_MS = 5000
TIMESTAMPTZ = 1184


class Reader:
    """Queries one after another over one connection, so that viewers never load the database."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, "smile-dashboard")
        self._lock = threading.Lock()

    def frame(self, sql: str, **values: Any) -> pd.DataFrame:
        """The rows of `sql`, whose parameters are written `%(name)s`.

        Raises:
            Unavailable: the database does not answer, is too slow, or has no tables yet.
        """
        guard = (f"SET TRANSACTION READ ONLY; "
                 f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}; ")
        with self._lock, self._database.transaction() as cursor:
            cursor.execute(guard + sql, values)
            return _frame(cursor.fetchall(), cursor.description or ())

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._database.close()


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[Column]) -> pd.DataFrame:
    """Typed by the server's types, so that NULL is NaN or NaT and no rows are typed too."""
    frame = pd.DataFrame.from_records(rows, columns=[column.name for column in columns])
    for column in columns:
        if column.type_code in FLOAT.values:
            frame[column.name] = frame[column.name].astype("float64")
        elif column.type_code == TIMESTAMPTZ:
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
    return frame
