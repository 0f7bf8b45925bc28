import psycopg2
import pytest

from services.common.errors import ServiceError, Unavailable
from sql import migrate


def test_a_second_run_applies_nothing(database_url):
    assert migrate.apply(database_url).applied == []


def test_the_tables_and_views_of_the_contract_are_there(database_url):
    with psycopg2.connect(database_url) as database, database.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables "
                       "WHERE table_schema = 'public'")
        names = {name for (name,) in cursor.fetchall()}

    assert {"spy_option_chain", "option_features", "predicted_smile", "prediction_scores",
            "smile_points", "forecast_points", "quote_points"} <= names


def test_the_tables_are_hypertables_where_timescaledb_is(database_url, timescale_available):
    if not timescale_available:
        pytest.skip("no TimescaleDB beside the PostgreSQL server")
    with psycopg2.connect(database_url) as database, database.cursor() as cursor:
        cursor.execute("SELECT hypertable_name FROM timescaledb_information.hypertables")
        names = {name for (name,) in cursor.fetchall()}

    assert names == {"spy_option_chain", "option_features", "predicted_smile",
                     "prediction_scores"}


def test_a_migration_that_fails_leaves_nothing_and_is_named(database_url, tmp_path):
    (tmp_path / "901_broken.sql").write_text("CREATE TABLE half (a int); SELECT nonsense;")

    with pytest.raises(ServiceError, match=r"901_broken\.sql"):
        migrate.apply(database_url, tmp_path)
    with psycopg2.connect(database_url) as database, database.cursor() as cursor:
        cursor.execute("SELECT to_regclass('half')")
        assert cursor.fetchone() == (None,)


def test_a_server_that_does_not_answer_is_one_sentence():
    with pytest.raises(Unavailable, match="the database does not answer"):
        migrate.apply("postgresql://nobody@127.0.0.1:1/none")
