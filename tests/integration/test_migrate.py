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
            "smile_points", "forecast_points", "quote_points", "smile_summary"} <= names


def test_the_tables_are_hypertables_where_timescaledb_is(database_url, timescale_available):
    if not timescale_available:
        pytest.skip("no TimescaleDB beside the PostgreSQL server")
    with psycopg2.connect(database_url) as database, database.cursor() as cursor:
        cursor.execute("SELECT hypertable_name FROM timescaledb_information.hypertables")
        names = {name for (name,) in cursor.fetchall()}

    assert names == {"spy_option_chain", "option_features", "predicted_smile",
                     "prediction_scores"}


ROW = """INSERT INTO option_features (symbol, expiry, ts, source, tau, forward, atm_vol,
    butterfly_ok, quotes_total, quotes_used, grid_vol, grid_observed, features, quote_strike,
    quote_bid_iv, quote_mid_iv, quote_ask_iv) VALUES ('OLD', '2026-12-18', %s, 'live', 0.1,
    600, 0.2, true, 9, 5,
    '{0.2}', '{true}', '{1}', '{600}', '{0.19}', '{0.2}', '{0.21}')"""
SECOND = f"""{ROW} ON CONFLICT (symbol, expiry, ts) DO UPDATE SET confidence = 0.9,
    repaired = '{{butterfly,lee}}', bumps = '{{0.01,0}}', calendar_ok = true, skew = -0.1"""
TIMES = ("2026-11-02T15:00:00Z", "2026-11-02T15:00:02Z")


def compress(cursor):
    """Compress every chunk of the table; how many there are."""
    cursor.execute("SELECT compress_chunk(chunk) FROM show_chunks('option_features') AS chunk")
    return cursor.rowcount


def test_rows_of_before_keep_their_values_through_a_migration_that_adds_columns(
        make_database, timescale_available, tmp_path):
    url = make_database()
    for file in sorted(migrate.FOLDER.glob("00[1-4]*.sql")):
        (tmp_path / file.name).write_text(file.read_text())
    migrate.apply(url, tmp_path)
    with psycopg2.connect(url) as database, database.cursor() as cursor:
        for time in TIMES:
            cursor.execute(ROW, (time,))
        assert not timescale_available or compress(cursor) == 1
    assert "005_smile.sql" in migrate.apply(url).applied

    with psycopg2.connect(url) as database, database.cursor() as cursor:
        cursor.execute(SECOND, (TIMES[1],))
        cursor.execute("SELECT atm_vol, confidence, repaired, bumps, calendar_ok, moved "
                       "FROM option_features ORDER BY ts")
        assert cursor.fetchall() == [
            (0.2, None, None, None, None, None),
            (0.2, 0.9, ["butterfly", "lee"], [0.01, 0.0], True, None)]
        assert not timescale_available or compress(cursor) == 1
        cursor.execute("SELECT days, confidence, skew, repaired FROM smile_summary ORDER BY ts")
        assert cursor.fetchall() == [(36.5, None, None, None),
                                     (36.5, 0.9, -0.1, "butterfly, lee")]
        cursor.execute("SELECT vol, confidence FROM smile_points ORDER BY ts")
        assert cursor.fetchall() == [(0.2, None), (0.2, 0.9)]


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


def test_a_database_that_does_not_answer_yet_is_waited_for(make_database, monkeypatch):
    url, tries = make_database(), []

    def connect(given):
        tries.append(given)
        if len(tries) < 3:
            raise psycopg2.OperationalError("the database system is starting up")
        return real(given)

    real = psycopg2.connect
    monkeypatch.setattr(migrate.psycopg2, "connect", connect)
    monkeypatch.setattr(migrate, "PAUSE_S", 0.01)

    assert migrate.apply_patiently(url, 30).applied
    assert len(tries) == 3


def test_waiting_ends_with_what_is_lacking(monkeypatch):
    monkeypatch.setattr(migrate, "PAUSE_S", 0.01)
    with pytest.raises(Unavailable, match="does not answer"):
        migrate.apply_patiently("postgresql://me@127.0.0.1:1/smile", 0.1)
