"""The pages on a real database: with data, without, and with none there."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from sql.migrate import apply
from tests.integration import dashboard_rows as rows
from tests.integration.dashboard_rows import NOW

DASHBOARD = Path(__file__).parents[2] / "dashboard"
PAGES = ("views/live.py", "views/scores.py", "views/term_structure.py", "views/pipeline.py")


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


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_itself_with_data(
        open_page: Callable[..., AppTest], dashboard_url: str, page: str):
    app = open_page(dashboard_url, page)
    assert not app.exception and not app.error
    assert len(app.get("vega_lite_chart")) >= 1


def test_the_live_page_tells_the_newest_numbers(
        open_page: Callable[..., AppTest], dashboard_url: str):
    app = open_page(dashboard_url)
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


def test_expiry_and_horizon_can_be_chosen(
        open_page: Callable[..., AppTest], dashboard_url: str):
    app = open_page(dashboard_url)
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


def test_before_any_check_the_scores_page_says_so(
        open_page: Callable[..., AppTest], dashboard_url: str):
    app = open_page(dashboard_url, PAGES[1])
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
