"""The pages and their queries on a real database: with data, without, and with none there."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg2
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import queries, score_queries, scoring
from dashboard.database import Reader
from services.common.errors import Unavailable
from sql.migrate import apply
from tests.integration import dashboard_rows as rows

DASHBOARD = Path(__file__).parents[2] / "dashboard"
PAGES = ("views/live.py", "views/scores.py", "views/term_structure.py", "views/pipeline.py")
NOW = datetime(2025, 12, 16, 15, 30, tzinfo=UTC)
EXPIRY = rows.expiries(NOW.date())[1]
STEP_S, COUNT = 20, 100


@pytest.fixture(scope="module")
def url(postgres_url: str) -> str:
    """A database of its own, for the pages choose among all symbols: half an hour of one."""
    with closing(psycopg2.connect(postgres_url)) as server:
        server.autocommit = True
        server.cursor().execute("CREATE DATABASE dashboard")
    own = postgres_url.rsplit("/", 1)[0] + "/dashboard"
    apply(own)
    instants = [NOW - timedelta(seconds=STEP_S * back) for back in range(COUNT - 1, -1, -1)]
    rows.write(own, instants)
    return own


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    made = Reader(url)
    yield made
    made.close()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Runs the app against a database and goes to one of its pages."""
    def run(url: str, page: str = PAGES[0]) -> AppTest:
        monkeypatch.setenv("SMILE_DATABASE_URL", url)
        for cache in (st.cache_data, st.cache_resource):
            cache.clear()
        app = AppTest.from_file(str(DASHBOARD / "app.py"), default_timeout=60)
        app.run()
        return app if page == PAGES[0] else app.switch_page(page).run()

    yield run
    for cache in (st.cache_data, st.cache_resource):
        cache.clear()


def words(app: AppTest) -> str:
    return " ".join(str(part.value) for part in (*app.info, *app.warning, *app.error))


# --- queries

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
def without_a_smile(url: str) -> Iterator[Callable[..., None]]:
    """Gives one expiry a newest row that has no smile, for a reason; taken back afterwards."""
    statement = ("UPDATE option_features SET reason = %s WHERE symbol = %s AND expiry = %s "
                 "AND ts > %s::timestamptz - INTERVAL '2 minutes' AND (%s OR ts = %s)")

    def change(reason: str | None, throughout: bool) -> None:
        with closing(psycopg2.connect(url)) as database, database, database.cursor() as cursor:
            cursor.execute(statement, (reason, rows.SYMBOL, EXPIRY, NOW, throughout, NOW))

    yield change
    change(None, throughout=True)


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


def test_missing_numbers_are_nan_and_a_missing_band_too(reader: Reader, url: str):
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


# --- pages

@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_itself_with_data(open_page: Callable[..., AppTest], url: str, page: str):
    app = open_page(url, page)
    assert not app.exception and not app.error
    assert len(app.get("vega_lite_chart")) >= 1


def test_the_live_page_tells_the_newest_numbers(open_page: Callable[..., AppTest], url: str):
    app = open_page(url)
    written = rows.feature_row(NOW, rows.expiries(NOW.date())[0], "simulated")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Forward"] == f"{written.forward:,.2f}"
    assert shown["ATM volatility"] == f"{written.atm_vol:.2%}"
    assert shown["Quotes used"] == f"{written.quotes_used} of {written.quotes_total}"
    assert "ATM at 10:31:00" in shown
    badges = " ".join(part.value for part in app.markdown)
    assert "simulated" in badges and "smile 3 · champion" in badges and "stale" in badges
    assert f"confidence {written.confidence:.2f}" in badges
    assert "repaired: butterfly, 1.2 bp" in badges and "arbitrage:" not in badges
    assert f"{written.risk_reversal_25:+.2%}" in app.table[0].value["Value"].tolist()


def test_arbitrage_that_is_left_in_a_smile_is_seen(
        open_page: Callable[..., AppTest], make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    rows.write(url, [NOW])
    with closing(psycopg2.connect(url)) as database, database, database.cursor() as cursor:
        cursor.execute("UPDATE option_features SET calendar_ok = false, confidence = 0.2, "
                       "repaired = NULL")
    badges = " ".join(part.value for part in open_page(url).markdown)
    assert "arbitrage: calendar" in badges and "red-badge[:material/verified: confidence 0.20]" \
        in badges


def test_smiles_of_before_the_desk_s_measures_are_still_shown(
        open_page: Callable[..., AppTest], make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    rows.write(url, [NOW])
    with closing(psycopg2.connect(url)) as database, database, database.cursor() as cursor:
        cursor.execute("UPDATE option_features SET calendar_ok = NULL, lee_ok = NULL, "
                       "confidence = NULL, repaired = NULL, moved = NULL, skew = NULL, "
                       "forward_source = NULL, variance_swap_vol = NULL")
    for page in ("views/live.py", "views/term_structure.py"):
        app = open_page(url, page)
        assert not app.exception and not app.error
        assert "confidence" not in " ".join(part.value for part in app.markdown)


def test_expiry_and_horizon_can_be_chosen(open_page: Callable[..., AppTest], url: str):
    app = open_page(url)
    other = rows.expiries(NOW.date())[4]
    app.selectbox(key=f"expiry-{rows.SYMBOL}").select(other).run()
    app.segmented_control(key=f"horizon-{rows.SYMBOL}").set_value(1800).run()
    shown = {metric.label: metric.value for metric in app.metric}
    written = rows.feature_row(NOW, other, "simulated")
    assert shown["ATM volatility"] == f"{written.atm_vol:.2%}"
    assert "ATM at 11:00:00" in shown


def test_a_baseline_that_stands_in_says_why(open_page: Callable[..., AppTest],
                                            make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    rows.write(url, [NOW - timedelta(seconds=60), NOW], role="baseline")
    assert "the model server does not answer" in words(open_page(url))
    assert "the baseline's" in words(open_page(url, PAGES[1]))


def test_the_scores_page_shows_the_shadow_every_baseline_and_drift(
        open_page: Callable[..., AppTest], make_database: Callable[[], str]):
    url = make_database()
    apply(url)
    rows.write(url, [NOW - timedelta(seconds=60 * back) for back in range(20, -1, -1)],
               shadow=True)
    rows.write_check(url, NOW)
    app = open_page(url, PAGES[1])
    assert not app.exception and not app.error
    scores, baselines, features, horizons = (frame.value for frame in app.dataframe)
    assert list(scores["Role"]) == ["champion", "shadow"] * 3
    assert set(scores["Best baseline"].str.split(",").str[0]) == {"AR"}
    assert {"Model", "EWMA", "AR", "HAR", "Kalman", "Sticky strike"} <= set(baselines.columns)
    assert list(features["Feature"])[:3] == ["half_spread", "quote_age_s", "fit_error"]
    assert list(features["Drift"]) == ["yes"] * 3 + ["no"] * 5
    assert list(horizons["Errors grown"]) == ["no"] * 3 + ["–"]
    assert list(horizons["Lost"]) == ["no"] * 3 + ["yes"]
    badges = " ".join(part.value for part in app.markdown)
    assert "3 of 8 features drifted" in badges
    assert "Last retraining" in badges and "registered version 4 of smile" in badges


def test_before_any_check_the_scores_page_says_so(open_page: Callable[..., AppTest], url: str):
    app = open_page(url, PAGES[1])
    assert "No check for drift yet" in words(app)
    assert any("none was asked for" in part.value for part in app.markdown)


@pytest.mark.parametrize("page", PAGES)
def test_without_quotes_a_page_says_what_is_missing(
        open_page: Callable[..., AppTest], make_database: Callable[[], str], page: str):
    url = make_database()
    apply(url)
    app = open_page(url, page)
    assert not app.exception
    assert "No quotes yet" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_without_a_database_a_page_says_so_and_goes_on_trying(
        open_page: Callable[..., AppTest], page: str):
    app = open_page("postgresql://smile@127.0.0.1:1/smile", page)
    assert not app.exception
    assert "Trying again" in words(app)


def test_a_page_fills_by_itself_once_the_database_is_there(
        open_page: Callable[..., AppTest], make_database: Callable[[], str]):
    url = make_database()
    app = open_page(url)
    assert "sql.migrate" in words(app)
    apply(url)
    rows.write(url, [NOW])
    st.cache_data.clear()
    app.run()
    assert not app.error and len(app.metric) == 6


def test_a_missing_setting_is_named(open_page: Callable[..., AppTest],
                                    monkeypatch: pytest.MonkeyPatch):
    app = open_page("")
    assert "SMILE_DATABASE_URL" in words(app)
