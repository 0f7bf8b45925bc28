"""One batch of `option-chain` into `spy_option_chain`."""

from io import StringIO

from services.common import metrics
from services.common.database import Database, names, on_conflict
from services.common.messages import ChainSlice
from services.writer.rows import COLUMNS, KEY, TABLE, copy_lines

# Rows arrive in a table of this session, and are merged from there in one statement.
INCOMING = f"CREATE TEMP TABLE IF NOT EXISTS incoming (LIKE {TABLE}) ON COMMIT DELETE ROWS"
COPY = f"COPY incoming ({names(COLUMNS)}) FROM STDIN"
MERGE = (f"INSERT INTO {TABLE} ({names(COLUMNS)}) SELECT {names(COLUMNS)} FROM incoming "
         f"{on_conflict(KEY, COLUMNS)}")


def write(database: Database, chains: list[ChainSlice]) -> None:
    """Upsert every contract of the batch in one transaction.

    Raises:
        Unavailable: the database can't take them now; nothing of the batch was written.
    """
    lines = copy_lines(chains)
    with database.transaction() as cursor:
        cursor.execute(INCOMING)
        cursor.copy_expert(COPY, StringIO("".join(lines)))
        cursor.execute(MERGE)
    metrics.ROWS.labels("writer", TABLE).inc(len(lines))
