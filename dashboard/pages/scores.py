"""Live scores: forecasts whose time has come, against the baselines on the same quotes."""

import math

import pandas as pd
import streamlit as st

from dashboard import charts, frames, load, queries, scoring, widgets

COVERAGE = f"Coverage (meant {scoring.NOMINAL_COVERAGE:.0%})"
RANGES = {"1 h": 60, "4 h": 240, "1 day": 1440}
BIN_S = {"1 h": 60, "4 h": 300, "1 day": 900}
LEGEND = (":orange[━] model &ensp; :violet[━] filtered persistence &ensp; :gray[━] persistence")
NO_SCORES = ("**No scores yet.** The monitor scores a forecast when its target time has come: the "
             "first ones a minute or so after the first forecast.")
READING = (
    "Root mean square error on the quotes observed at the target time, in basis points of "
    "volatility (0.01 vol points). **Skill** is 1 − MSE / MSE of filtered persistence on the same "
    "forecasts: above zero beats the baseline; the range is a 90 % interval by bootstrap over "
    "blocks of time no shorter than the horizon. **Coverage** is the share of quotes inside the "
    "90 % band.")


def draw() -> None:
    """One refresh of the page."""
    feeds = widgets.feed_or_message()
    if not feeds:
        return
    symbol_box, bucket_box, range_box = st.columns([1, 3.6, 2.4], vertical_alignment="bottom")
    with symbol_box:
        feed = widgets.pick_feed(feeds)
    with bucket_box:
        bucket = st.segmented_control("Time to expiry", list(queries.EXPIRY_BUCKETS),
                                      default="All expiries", required=True, key="bucket")
    with range_box:
        span = st.segmented_control("Last", list(RANGES), default="1 h", required=True,
                                    key="range")
    st.markdown(" ".join(widgets.feed_badges(feed, widgets.age_of(feed))))
    sums = load.score_sums(feed.symbol, RANGES[span], bucket, BIN_S[span])
    if sums.empty:
        st.info(NO_SCORES, icon=":material/hourglass_top:")
        return
    _cards(sums)
    _table(sums)
    _lines(sums)


def _cards(sums: pd.DataFrame) -> None:
    role = scoring.leading_role(sums)
    if role == "baseline":
        st.warning("No forecast of a champion model was scored in this range; these are the "
                   "baseline's, which stood in.", icon=":material/swap_horiz:")
    scores = [score for score in scoring.summary(sums) if score.role == role]
    for box, score in zip(st.columns(len(scores)), scores, strict=True):
        box.metric(f"{frames.horizon_text(score.horizon_s)} ahead · {score.model_name}",
                   f"{score.error_bp:.2f} bp", skill_text(score),
                   delta_color="normal" if certain(score) else "off", border=True,
                   delta_description=f"vs {score.filtered_bp:.2f} bp")


def _lines(sums: pd.DataFrame) -> None:
    table = scoring.over_time(sums)
    table["at"] = frames.new_york(table["at"])
    horizons = sorted(table["horizon_s"].unique())
    boxes = [box for _ in range(0, len(horizons), 2) for box in st.columns(2)]
    for box, horizon in zip(boxes, horizons, strict=False):
        with box, widgets.panel(f"{frames.horizon_text(int(horizon))} ahead", LEGEND):
            widgets.chart(charts.error_over_time(), table[table["horizon_s"] == horizon],
                          f"error-{horizon}")


def _table(sums: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    percent = number(format="percent")
    st.dataframe(
        pd.DataFrame([_row(score) for score in scoring.summary(sums)]), hide_index=True,
        key="scores", column_config={
            COVERAGE: percent, "Forecasts": number(format="localized"),
            **{name: number(format="%.2f") for name in (
                "Error (bp)", "Filtered persistence", "Persistence", "Sticky strike",
                "Half-spread")}})
    st.caption(READING)


def _row(score: scoring.Score) -> dict[str, object]:
    return {
        "Ahead": frames.horizon_text(score.horizon_s), "Model": score.model_name,
        "Role": "baseline, standing in" if score.role == "baseline" else score.role,
        "Error (bp)": score.error_bp, "Filtered persistence": score.filtered_bp,
        "Persistence": score.persistence_bp, "Sticky strike": score.strike_bp,
        "Half-spread": score.half_spread_bp, "Skill": skill_text(score),
        COVERAGE: score.coverage, "Forecasts": score.forecasts, "Blocks": score.blocks,
    }


def skill_text(score: scoring.Score) -> str:
    """`+4.1 % (+1.0 … +7.3)`; without the range where there are too few blocks for one."""
    text = f"{100 * score.skill:+.1f} %"
    if not math.isfinite(score.skill_low):
        return text
    return f"{text} ({100 * score.skill_low:+.1f} … {100 * score.skill_high:+.1f})"


def certain(score: scoring.Score) -> bool:
    """True if the interval of the skill leaves out zero."""
    return score.skill_low > 0 or score.skill_high < 0


widgets.refreshing(draw, 10)
