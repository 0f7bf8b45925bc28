"""Fixtures on the real Kafka and PostgreSQL of the `local` package, one of each a session."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption("--long", action="store_true",
                     help="run all of the cluster tests: faults, load, bad input")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks that tests may carry."""
    config.addinivalue_line("markers", "e2e: starts the whole stack; takes minutes")
    config.addinivalue_line("markers", "long: of the cluster tests, runs only with --long")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings: `SMILE_TEST_DATA`, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("SMILE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} is not there (set SMILE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real broker with the pipeline's topics."""
    from local.kafka import KafkaBroker

    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture
def make_topic(kafka_bootstrap: str) -> Callable[..., str]:
    """Makes a topic of its own name for one test: `make_topic("prices", partitions=2)`."""
    from local.kafka import create_topics

    def make(stem: str = "test", partitions: int = 1) -> str:
        name = f"{stem}-{uuid.uuid4().hex[:8]}"
        assert create_topics(kafka_bootstrap, [name], partitions), f"no topic {name}"
        return name

    return make


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real server's empty database; most tests want `database_url`."""
    from local.postgres import PostgresServer

    with PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def database_url(postgres_url: str) -> str:
    """URL of a database that has all migrations, TimescaleDB's too where it is to be had."""
    from sql.migrate import apply

    apply(postgres_url)
    return postgres_url


@pytest.fixture
def make_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database for one test and drops it afterwards; returns its URL."""
    import psycopg2

    made: list[str] = []

    def run(statement: str) -> None:
        connection = psycopg2.connect(postgres_url)
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    def make() -> str:
        made.append(f"test_{uuid.uuid4().hex[:8]}")
        run(f"CREATE DATABASE {made[-1]}")
        return postgres_url.rpartition("/")[0] + f"/{made[-1]}"

    yield make
    for name in made:
        run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def timescale_available() -> bool:
    """True if the server of `database_url` has TimescaleDB."""
    from local.postgres import timescaledb_folder

    return timescaledb_folder() is not None


@pytest.fixture
def leaves_no_process() -> Iterator[None]:
    """Fails a test that leaves a child process of this one behind."""
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [child for child in psutil.Process().children(recursive=True)
            if child.pid not in before]
    assert not left, f"left behind: {left}"
