"""Access to PostgreSQL: one connection that comes back, transactions, upserts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from services.common.errors import SettingsError, Unavailable

LOST = (psycopg2.OperationalError, psycopg2.InterfaceError)
NOT_MIGRATED = (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn)
log = structlog.stdlib.get_logger(__name__)


class Database:
    """A connection made when first needed and made anew after it was lost."""

    def __init__(self, url: str, application: str) -> None:
        self._url, self._application = url, application
        self._connection: Connection | None = None

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor in a transaction that is committed at the end, or rolled back on an error.

        Raises:
            Unavailable: the server went away, a deadlock or the like asks for another try, or
                the migrations have not run yet.
        """
        connection = self._connected()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except LOST as error:
            self.close()
            raise Unavailable(f"the database: {_sentence(error)}") from error
        except NOT_MIGRATED as error:
            raise Unavailable("the database lacks a table: the migrations (python -m sql.migrate) "
                              f"have not run yet: {_sentence(error)}") from error

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one query."""
        with self.transaction() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg2.connect(
                    self._url, application_name=self._application, connect_timeout=5,
                    options="-c timezone=UTC")
            except psycopg2.OperationalError as error:
                raise Unavailable(f"the database: {_sentence(error)}") from error
            except psycopg2.ProgrammingError as error:
                raise bad_url() from error
        return self._connection


def upsert(cursor: Cursor, table: str, key: Sequence[str], columns: Sequence[str],
           rows: Sequence[Sequence[Any]]) -> None:
    """Insert `rows`, or overwrite those whose key is there; the last of equal keys wins.

    Names are ours, never a user's: they go into the statement as they are.
    """
    places = [list(columns).index(name) for name in key]
    unique = {tuple(row[place] for place in places): row for row in rows}
    execute_values(cursor, f"INSERT INTO {table} ({names(columns)}) VALUES %s "
                           f"{on_conflict(key, columns)}", list(unique.values()), page_size=1000)


def names(columns: Sequence[str]) -> str:
    """Quoted column names, for a statement."""
    return ", ".join(f'"{name}"' for name in columns)


def on_conflict(key: Sequence[str], columns: Sequence[str]) -> str:
    """The clause that turns an insert into an upsert."""
    rest = [name for name in columns if name not in key]
    sets = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in rest)
    return f"ON CONFLICT ({names(key)}) DO UPDATE SET {sets}"


def bad_url() -> SettingsError:
    """What to say of a URL that can't be read; never what it is, for it may hold a password."""
    return SettingsError("SMILE_DATABASE_URL is not a URL such as "
                         "postgresql://user:password@host:5432/smile")


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
