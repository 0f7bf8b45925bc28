"""What tests of several modules are given: a symbol, its tables, databases of their own."""

import contextlib
from datetime import timedelta

import psycopg2
import pytest

from services.common.database import Database
from sql.migrate import apply
from tests.integration import dashboard_rows, monitored
from tests.integration.pipeline import Tables, new_symbol


@pytest.fixture
def symbol():
    """A symbol that no other test uses."""
    return new_symbol()


@pytest.fixture
def tables(database_url):
    """The database that tests share, each with symbols of its own."""
    return Tables(database_url)


def own_database(postgres_url, name):
    """The URL of a new database with all migrations."""
    with contextlib.closing(psycopg2.connect(postgres_url)) as server:
        server.autocommit = True
        server.cursor().execute(f"CREATE DATABASE {name}")
    own = f"{postgres_url.rpartition('/')[0]}/{name}"
    apply(own)
    return own


@pytest.fixture(scope="session")
def monitor_migrated(postgres_url):
    """The database of the monitor's tests."""
    return own_database(postgres_url, "monitor")


@pytest.fixture
def monitor_url(monitor_migrated):
    """That database, emptied."""
    with Database(monitor_migrated, "test") as opened, opened.transaction() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(monitored.TABLES)}")
    return monitor_migrated


@pytest.fixture
def monitor_db(monitor_url):
    """That database, emptied and open."""
    with Database(monitor_url, "test") as opened:
        yield opened


@pytest.fixture(scope="session")
def dashboard_url(postgres_url):
    """A database of its own, for the pages choose among all symbols: half an hour of one."""
    own = own_database(postgres_url, "dashboard")
    dashboard_rows.write(own, [
        dashboard_rows.NOW - timedelta(seconds=dashboard_rows.STEP_S * back)
        for back in range(dashboard_rows.COUNT - 1, -1, -1)])
    return own
