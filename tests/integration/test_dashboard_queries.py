"""The dashboard's queries on a real database: what was written comes back."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta

import numpy as np
import psycopg2
import pytest

from dashboard import queries, score_queries, scoring
from dashboard.database import Reader
from services.common.errors import Unavailable
from sql.migrate import apply
from tests.integration import dashboard_rows as rows
from tests.integration.dashboard_rows import COUNT, NOW, STEP_S

EXPIRY = rows.expiries(NOW.date())[1]


@pytest.fixture
def reader(dashboard_url: str) -> Iterator[Reader]:
    made = Reader(dashboard_url)
    yield made
    made.close()


def test_feeds_name_each_symbol_once_with_its_newest_instant(reader: Reader):
    mine = [feed for feed in queries.feeds(reader) if feed.symbol == rows.SYMBOL]
    assert mine == [queries.Feed(rows.SYMBOL, NOW, "simulated")]


def test_expiries_are_those_of_the_last_minutes_nearest_first(reader: Reader):
    assert queries.expiries(reader, rows.SYMBOL) == rows.expiries(NOW.date())
    assert queries.expiries(reader, "NONE") == []


def test_the_newest_smile_comes_back_as_it_was_written(reader: Reader):
    smile = queries.smile(reader, rows.SYMBOL, EXPIRY)
    written = rows.feature_row(NOW, EXPIRY, "simulated")
    assert smile is not None and smile.ts == NOW and smile.reason is None
    assert smile.grid_vol == pytest.approx(np.array(written.grid_vol))
    assert smile.quote_mid_iv == pytest.approx(np.array(written.quote_mid_iv))
    assert smile.rejects == written.rejects
    assert (smile.forward_source, smile.repaired) == ("parity", ["butterfly"])
    assert (smile.confidence, smile.skew) == (written.confidence, pytest.approx(written.skew))
    assert queries.smile(reader, "NONE", EXPIRY) is None


@pytest.fixture
def without_a_smile(dashboard_url: str) -> Iterator[Callable[..., None]]:
    """Gives one expiry a newest row that has no smile, for a reason; taken back afterwards."""
    statement = ("UPDATE option_features SET reason = %s WHERE symbol = %s AND expiry = %s "
                 "AND ts > %s::timestamptz - INTERVAL '2 minutes' AND (%s OR ts = %s)")

    changed = [EXPIRY]

    def change(reason: str | None, throughout: bool, expiry: date = EXPIRY) -> None:
        changed.append(expiry)
        with closing(psycopg2.connect(dashboard_url)) as database, database, \
                database.cursor() as cursor:
            cursor.execute(statement, (reason, rows.SYMBOL, expiry, NOW, throughout, NOW))

    yield change
    for expiry in set(changed):
        change(None, throughout=True, expiry=expiry)


def test_an_instant_without_a_smile_leaves_the_one_before_in_sight(
        reader: Reader, without_a_smile: Callable[..., None]):
    without_a_smile("too few quotes", throughout=False)
    smile = queries.smile(reader, rows.SYMBOL, EXPIRY)
    assert smile is not None and smile.reason is None
    assert smile.ts == NOW - timedelta(seconds=STEP_S)


def test_an_expiry_that_is_past_is_not_offered(
        reader: Reader, without_a_smile: Callable[..., None]):
    without_a_smile("expired", throughout=True)
    assert EXPIRY not in queries.expiries(reader, rows.SYMBOL)
    assert len(queries.expiries(reader, rows.SYMBOL)) == len(rows.expiries(NOW.date())) - 1


def test_the_first_expiry_shown_is_the_nearest_with_a_smile(
        reader: Reader, without_a_smile: Callable[..., None]):
    listed = queries.expiries(reader, rows.SYMBOL)
    assert queries.nearest_smile(reader, rows.SYMBOL) == listed[0]
    without_a_smile("too few quotes", throughout=True, expiry=listed[0])
    assert queries.expiries(reader, rows.SYMBOL) == listed
    assert queries.nearest_smile(reader, rows.SYMBOL) == listed[1]
    assert queries.nearest_smile(reader, "NONE") is None


def test_missing_numbers_are_nan_and_a_missing_band_too(reader: Reader):
    frame = reader.frame("SELECT NULL::float8 AS a, ARRAY[1, NULL]::float8[] AS b")
    assert frame["a"].dtype == np.float64 and np.isnan(frame["a"].iloc[0])
    assert np.isnan(np.array(frame["b"].iloc[0], dtype=float)[1])


def test_forecasts_are_all_horizons_of_the_newest_instant(reader: Reader):
    made = queries.forecasts(reader, rows.SYMBOL, EXPIRY)
    assert [forecast.horizon_s for forecast in made] == list(rows.HORIZONS_S)
    assert {forecast.made_at for forecast in made} == {NOW}
    assert queries.forecasts(reader, "NONE", EXPIRY) == []


def test_the_term_structure_has_every_expiry_once(reader: Reader):
    smiles = queries.term_structure(reader, rows.SYMBOL)
    assert [smile.expiry for smile in smiles] == rows.expiries(NOW.date())
    assert {smile.ts for smile in smiles} == {NOW}


def test_recent_grids_are_a_step_apart_and_nan_before_the_data(reader: Reader):
    grids = queries.recent_grids(reader, rows.SYMBOL, EXPIRY, NOW, 60.0, 40)
    assert grids.shape == (40, 17)
    for back in (0, 1, 30):
        at = NOW - timedelta(seconds=60 * back)
        assert grids[39 - back] == pytest.approx(
            np.array(rows.feature_row(at, EXPIRY, "simulated").grid_vol))
    assert np.isnan(grids[0]).all()


def test_atm_history_ends_now_and_forecasts_reach_the_horizon_beyond(reader: Reader):
    seen = queries.atm_history(reader, rows.SYMBOL, EXPIRY, 10)
    ahead = queries.atm_forecasts(reader, rows.SYMBOL, EXPIRY, 300, 10)
    assert seen["ts"].max() == NOW and len(seen) == 600 // STEP_S
    assert ahead["target_at"].max() == NOW + timedelta(seconds=300)
    assert len(ahead) == 900 // STEP_S
    assert (ahead["lower"] < ahead["atm_vol"]).all() and (ahead["atm_vol"] < ahead["upper"]).all()


def test_scores_add_up_to_what_was_written(reader: Reader):
    sums = score_queries.score_sums(reader, rows.SYMBOL, "simulated", 1440, (0, 1000), 300)
    due = [made for back in range(COUNT) for expiry in rows.expiries(NOW.date())
           for made in rows.forecasts(rows.feature_row(NOW - timedelta(seconds=STEP_S * back),
                                                       expiry, "simulated"), "champion")
           if made.target_at <= NOW and made.horizon_s == 300]
    [mine] = [score for score in scoring.summary(sums) if score.horizon_s == 300]
    errors = np.array([rows.score(made)[9] for made in due])
    assert mine.forecasts == len(due)
    assert mine.error_bp == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert mine.skill.value == pytest.approx(1 - 0.96**2)
    assert (mine.best, mine.best_skill.value) == ("ar", pytest.approx(1 - (0.96 / 0.98)**2))


def test_scores_are_narrowed_by_days_to_expiry(reader: Reader):
    def count(first: int, last: int) -> int:
        sums = score_queries.score_sums(reader, rows.SYMBOL, "simulated", 1440, (first, last), 300)
        return int(sums["forecasts"].sum())

    each = [count(days, days) for days in rows.EXPIRY_DAYS]
    assert min(each) > 0 and sum(each) == count(0, 1000)
    assert count(2, 2) == 0


def test_forecasts_without_a_band_have_scores_too(make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    rows.write(url, [NOW - timedelta(seconds=60 * back) for back in range(3, -1, -1)])
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE prediction_scores SET coverage = NULL")
    with closing(Reader(url)) as reader:
        sums = score_queries.score_sums(reader, rows.SYMBOL, "simulated", 1440, (0, 1000), 300)
    [score] = scoring.summary(sums)

    assert score.forecasts > 0 and np.isnan(score.coverage)


def test_scores_of_another_source_or_version_are_not_mixed_in(make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    for source, minutes in (("simulated", 9), ("live", 0)):
        rows.write(url, [NOW - timedelta(minutes=back + minutes) for back in (3, 2, 1, 0)], source)
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE prediction_scores SET error_bp = 100 WHERE source = 'live'")
        cursor.execute("UPDATE prediction_scores SET model_version = '4', error_bp = 1 "
                       "WHERE source = 'live' AND target_at = %s", (NOW,))
    with closing(Reader(url)) as reader:
        sums = score_queries.score_sums(reader, rows.SYMBOL, "live", 1440, (0, 1000), 300)
    scores = scoring.summary(sums)

    assert [(score.version, score.error_bp) for score in scores] == [
        ("4", pytest.approx(1.0)), ("3", pytest.approx(100.0))]
    assert scoring.leading(scores) == scores[:1]


def test_activity_counts_rows_of_the_last_minutes_of_market_time(reader: Reader):
    activity = queries.table_activity(reader, rows.SYMBOL, 5).set_index("table")
    instants, expiries = 300 // STEP_S, len(rows.EXPIRY_DAYS)
    assert activity.loc["option_features", "rows"] == instants * expiries
    assert activity.loc["predicted_smile", "rows"] == instants * expiries * len(rows.HORIZONS_S)
    assert activity.loc["predicted_smile", "newest"] == NOW
    assert activity.loc["prediction_scores", "newest"] == NOW


def test_latencies_and_roles_are_of_the_last_minutes(reader: Reader):
    latencies = queries.latencies(reader, rows.SYMBOL, 5)
    [role] = queries.roles(reader, rows.SYMBOL, 5).to_dict("records")
    assert (latencies["p50"] <= latencies["p99"]).all()
    assert latencies["forecasts"].sum() == role["forecasts"] == 15 * 6 * 4
    assert (role["role"], role["model_version"], role["repaired"]) == ("champion", "3", 0)


def test_the_reader_can_not_write(reader: Reader):
    with pytest.raises(Exception, match="read-only"):
        reader.frame("DELETE FROM option_features RETURNING 1")


def test_a_reader_comes_back_after_its_connection_was_cut(reader: Reader):
    pid = int(reader.frame("SELECT pg_backend_pid() AS pid")["pid"].iloc[0])
    cutter = Reader(reader._database._url)
    cutter.frame("SELECT pg_terminate_backend(%(pid)s)", pid=pid)
    cutter.close()
    with pytest.raises(Unavailable):
        reader.frame("SELECT 1 AS one")
    assert reader.frame("SELECT 1 AS one")["one"].iloc[0] == 1
