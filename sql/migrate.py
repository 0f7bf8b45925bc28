"""Apply the numbered migrations of this folder, each once and in its own transaction.

`NNN_name.sql` runs everywhere, `NNN_name.timescale.sql` where the server offers TimescaleDB, and
`NNN_name.timescale-community.sql` where it is moreover not the Apache build, which refuses
columnstore and jobs. A migration skipped today is applied once its server can run it.

    python -m sql.migrate        # SMILE_DATABASE_URL, SMILE_MIGRATE_WAIT_SECONDS
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psycopg2
import structlog
from msgspec import Meta
from psycopg2.extensions import connection as Connection

from services.common import logs
from services.common.database import bad_url
from services.common.errors import ServiceError, Unavailable
from services.common.lifecycle import run
from services.common.settings import DatabaseSettings, load

FOLDER = Path(__file__).parent
LOCK = 7_405_129  # any constant: two runners at once wait for each other
BOOK = """CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"""


PAUSE_S = 1.0
log = structlog.stdlib.get_logger(__name__)


class MigrateSettings(DatabaseSettings, frozen=True, kw_only=True):
    """Settings of the migrations; each is read from `SMILE_<NAME>`."""

    migrate_wait_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """How long to wait for a database that does not answer yet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Names of the migrations applied by this run, and of those this server can't run."""

    applied: list[str]
    skipped: list[str]


def apply(url: str, folder: Path = FOLDER) -> Outcome:
    """Bring the database at `url` up to date.

    Raises:
        Unavailable: the server doesn't answer.
        SettingsError: the URL can't be read.
        ServiceError: a migration failed; it names the migration and nothing of it remains.
    """
    try:
        database = psycopg2.connect(url)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the database does not answer: {error}".strip()) from error
    except psycopg2.ProgrammingError as error:
        raise bad_url() from error
    try:
        return _apply(database, sorted(folder.glob("[0-9]*.sql")))
    finally:
        database.close()


def apply_patiently(url: str, wait_s: float, folder: Path = FOLDER) -> Outcome:
    """As `apply`, once the database answers; raises as it does after `wait_s` without an answer."""
    deadline, said = time.monotonic() + wait_s, False
    while True:
        try:
            return apply(url, folder)
        except Unavailable as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                log.info("waiting", why=str(error), at_most_s=wait_s)
            said = True
            time.sleep(PAUSE_S)


def _apply(database: Connection, files: list[Path]) -> Outcome:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        cursor.execute(BOOK)
        cursor.execute("SELECT name FROM schema_migrations")
        done = {name for (name,) in cursor.fetchall()}
    database.commit()
    kinds = _kinds(database)
    waiting = [file for file in files if file.name not in done]
    runnable = [file for file in waiting if _kind(file) in kinds]
    for file in runnable:
        _run(database, file)
    return Outcome([file.name for file in runnable],
                   [file.name for file in waiting if file not in runnable])


def _kind(file: Path) -> str:
    return ".".join(file.name.split(".")[1:-1])


def _kinds(database: Connection) -> set[str]:
    """Which kinds of migration this server runs; creates the extension where it can."""
    with database, database.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'")
        if cursor.fetchone() is None:
            return {""}
        cursor.execute("SHOW shared_preload_libraries")
        if "timescaledb" not in (cursor.fetchone() or ("",))[0]:
            return {""}
        cursor.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        cursor.execute("SHOW timescaledb.license")
        licence = (cursor.fetchone() or ("apache",))[0]
    return {"", "timescale"} | ({"timescale-community"} if licence == "timescale" else set())


def _run(database: Connection, file: Path) -> None:
    try:
        with database, database.cursor() as cursor:
            cursor.execute(file.read_text(encoding="utf-8"))
            cursor.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (file.name,))
    except psycopg2.Error as error:
        raise ServiceError(f"migration {file.name} failed: {error}".strip()) from error


def main() -> None:
    """Apply what is missing and say what was done."""
    logs.set_up("migrations")
    settings = load(MigrateSettings)
    outcome = apply_patiently(settings.database_url, settings.migrate_wait_seconds)
    log.info("migrations applied", applied=outcome.applied, skipped=outcome.skipped)
    if outcome.skipped:
        log.warning("this server has no (full) TimescaleDB: plain tables are used instead")


if __name__ == "__main__":
    run(main)
