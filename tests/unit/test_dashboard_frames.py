"""The tables that the charts draw."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from dashboard import frames
from dashboard.queries import Forecast, Smile
from ml.smile.grid import GRID_Z, vol_at

AT = datetime(2025, 12, 16, 15, 30, tzinfo=UTC)
GRID = 0.16 * (1 - 0.12 * GRID_Z + 0.05 * GRID_Z**2)


def a_smile(**changes: object) -> Smile:
    fields = {
        "expiry": date(2025, 12, 19), "ts": AT, "source": "live", "tau": 0.01, "underlying": 680.0,
        "forward": 680.5, "atm_vol": 0.16, "fit_error": 0.0004, "quotes_total": 8,
        "quotes_used": 3, "rejects": {"zero_bid": 1, "too_wide": 4},
        "grid_vol": GRID, "grid_observed": np.ones(17),
        "quote_strike": np.array([670.0, 680.0, 690.0]),
        "quote_bid_iv": np.array([0.17, 0.158, 0.153]),
        "quote_mid_iv": np.array([0.172, 0.16, 0.155]),
        "quote_ask_iv": np.array([0.174, 0.162, 0.157]),
        "reason": None, "forward_error": 0.012, "forward_source": "parity", "butterfly_ok": True,
        "calendar_ok": True, "lee_ok": True, "repaired": [], "moved": 0.0, "confidence": 0.91,
        "skew": -0.42, "risk_reversal_25": -0.0312, "butterfly_25": 0.0045,
        "variance_swap_vol": 0.171}
    return Smile(**{**fields, **changes})


def a_forecast(horizon_s: int = 300, role: str = "champion", **changes: object) -> Forecast:
    fields = {
        "made_at": AT, "horizon_s": horizon_s, "target_at": AT + timedelta(seconds=horizon_s),
        "model_name": "smile", "model_version": "1", "role": role, "forward": 680.5,
        "smile": GRID + 0.001, "lower": GRID - 0.001, "upper": GRID + 0.003, "repaired": False,
        "note": None, "latency_ms": 20.0}
    return Forecast(**{**fields, **changes})


def layer(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["layer"] == name]


def test_the_champion_is_chosen_before_the_baseline_and_never_another_horizon():
    made = [a_forecast(300, "baseline"), a_forecast(300), a_forecast(60)]
    assert frames.choose(made, 300) is made[1]
    assert frames.choose(made[:1], 300) is made[0]
    assert frames.choose(made, 900) is None
    assert frames.choose(made, None) is None


def test_a_shadow_is_never_shown_as_the_forecast():
    assert frames.choose([a_forecast(role="shadow")], 300) is None


def test_quotes_lie_at_their_strikes_in_all_three_coordinates():
    quotes = layer(frames.smile_points(a_smile(), frames.Shown()), frames.QUOTE)
    assert list(quotes["strike"]) == [670.0, 680.0, 690.0]
    assert quotes["log_moneyness"].iloc[0] == pytest.approx(np.log(670 / 680.5))
    assert quotes["z"].iloc[0] == pytest.approx(np.log(670 / 680.5) / (0.16 * 0.1))


def test_curves_pass_through_the_grid_and_carry_their_own_width():
    table = frames.smile_points(a_smile(), frames.Shown(a_forecast()))
    ahead = layer(table, frames.FORECAST)
    knots = ahead[np.isin(ahead["z"], GRID_Z)]
    assert knots["iv"].to_numpy() == pytest.approx(GRID + 0.001)
    tau = 0.01 - 300 / (365 * 86400)
    assert knots["log_moneyness"].to_numpy() == pytest.approx(GRID_Z * 0.161 * np.sqrt(tau))


def test_the_band_holds_the_forecast_at_the_distances_given():
    table = frames.smile_points(a_smile(), frames.Shown(a_forecast()))
    band, ahead = layer(table, frames.BAND), layer(table, frames.FORECAST)
    assert (ahead["iv"].to_numpy() - band["low"].to_numpy()) == pytest.approx(0.002)
    assert (band["high"].to_numpy() - ahead["iv"].to_numpy()) == pytest.approx(0.002)


def test_a_forecast_without_a_band_is_a_line_alone():
    nothing = np.full(17, np.nan)
    table = frames.smile_points(a_smile(), frames.Shown(a_forecast(lower=nothing, upper=nothing)))
    assert layer(table, frames.BAND).empty
    assert len(layer(table, frames.FORECAST)) == len(frames.DRAWN_Z)


def test_without_a_smile_there_are_no_points_rather_than_an_error():
    empty = np.array([])
    nothing = a_smile(
        forward=np.nan, atm_vol=np.nan, grid_vol=np.full(17, np.nan), reason="too few quotes",
        quote_strike=empty, quote_bid_iv=empty, quote_mid_iv=empty, quote_ask_iv=empty)
    assert frames.smile_points(nothing, frames.Shown()).empty
    assert frames.difference_points(nothing, frames.Shown()).empty


def test_differences_are_in_basis_points_at_the_same_strike():
    table = frames.difference_points(a_smile(), frames.Shown(a_forecast(), baseline=GRID + 0.0005))
    middle = layer(table, frames.BASELINE).iloc[len(frames.DRAWN_Z) // 2]
    curve = vol_at(GRID + 0.0005, 0.01, np.array([middle["log_moneyness"]]))
    fitted = vol_at(GRID, 0.01, np.array([middle["log_moneyness"]]))
    assert middle["bp"] == pytest.approx(1e4 * (curve - fitted)[0])
    assert layer(table, frames.FIT).empty


def test_a_wide_quote_is_cut_so_that_the_forecast_stays_readable():
    wide = a_smile(quote_ask_iv=np.array([0.9, 0.162, 0.157]))
    table = frames.difference_points(wide, frames.Shown(a_forecast()))
    assert layer(table, frames.QUOTE)["high"].max() < 300
    assert len(layer(table, frames.BAND)) == len(frames.DRAWN_Z)


def test_atm_points_are_on_the_new_york_clock():
    seen = pd.DataFrame({"ts": [pd.Timestamp(AT)], "atm_vol": [0.16]})
    ahead = pd.DataFrame({"target_at": [pd.Timestamp(AT)], "atm_vol": [0.161], "lower": [0.159],
                          "upper": [np.nan], "role": ["champion"]})
    table = frames.atm_points(seen, ahead)
    assert list(table["layer"]) == [frames.ATM_SEEN, frames.FORECAST]
    assert table["at"].iloc[0] == pd.Timestamp("2025-12-16 10:30:00")


def test_total_variance_is_volatility_squared_times_years():
    term = frames.term_points([a_smile()])
    assert term["total_variance"].iloc[0] == pytest.approx(0.16**2 * 0.01)
    assert term["tau_days"].iloc[0] == pytest.approx(3.65)
    assert term["quotes"].iloc[0] == "3 of 8"


def test_rejects_are_in_words_the_most_frequent_first():
    table = frames.rejects(a_smile())
    assert list(table["Quotes"]) == [4, 1]
    assert table["Rejected because"].iloc[0] == "spread too wide"


def test_every_reason_code_of_the_filter_has_words():
    from ml.smile.filter import REASONS

    assert set(REASONS) - {"delayed"} <= set(frames.REJECT_WORDS)


@pytest.mark.parametrize(("seconds", "text"), [(30, "30 s"), (60, "1 min"), (1800, "30 min"),
                                               (5400, "90 min"), (7200, "2 h")])
def test_horizons_read_as_people_say_them(seconds: int, text: str):
    assert frames.horizon_text(seconds) == text


def test_a_desk_reads_shape_and_forward_in_words_and_figures():
    table = frames.desk(a_smile()).set_index("Measure")["Value"]
    assert dict(table) == {
        "25Δ risk reversal": "-3.12%", "25Δ butterfly": "+0.45%", "Skew dσ/dk": "-0.420",
        "Variance swap": "17.10%", "Forward by": "parity ± 0.012"}


def test_what_a_row_of_before_does_not_know_is_a_dash():
    nothing = dict.fromkeys(("forward_error", "skew", "risk_reversal_25", "butterfly_25",
                             "variance_swap_vol", "confidence"), np.nan)
    old = a_smile(**nothing, forward_source=None, calendar_ok=None, lee_ok=None, repaired=None)
    assert list(frames.desk(old)["Value"]) == ["–"] * 4 + ["– ± –"]
    assert frames.repair_text(old) == "" and frames.arbitrage_left(old) == []
    assert frames.term_points([old])["forward_by"].tolist() == [""]


def test_a_repair_says_what_was_wrong_and_how_far_it_moved_the_smile():
    repaired = a_smile(repaired=["butterfly", "calendar"], moved=0.00012)
    assert frames.repair_text(repaired) == "butterfly, calendar, 1.2 bp"
    assert frames.term_points([repaired])["repaired"].tolist() == ["butterfly, calendar, 1.2 bp"]
    assert frames.repair_text(a_smile()) == ""


def test_arbitrage_that_is_left_is_named_but_not_of_what_is_no_smile():
    assert frames.arbitrage_left(a_smile()) == []
    assert frames.arbitrage_left(a_smile(butterfly_ok=False, lee_ok=False)) == ["butterfly", "lee"]
    assert frames.arbitrage_left(a_smile(butterfly_ok=False, reason="too few quotes")) == []
