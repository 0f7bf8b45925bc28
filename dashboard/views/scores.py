"""Live scores: forecasts whose time has come, against the baselines on the same quotes."""

import pandas as pd
import streamlit as st

from dashboard import charts, drift, frames, load, queries, scoring, widgets

COVERAGE = f"Coverage (meant {scoring.NOMINAL_COVERAGE:.0%})"
AGAINST_FILTERED, AGAINST_BEST = "Skill", "Skill vs best baseline"
RANGES = {"1 h": 60, "4 h": 240, "1 day": 1440}
BIN_S = {"1 h": 60, "4 h": 300, "1 day": 900}
LEGEND = (":orange[━] model &ensp; :blue[━] shadow &ensp; :violet[━] filtered persistence &ensp; "
          ":gray[━] persistence")
NO_SCORES = ("**No scores yet.** The monitor scores a forecast when its target time has come: the "
             "first ones a minute or so after the first forecast.")
READING = (
    "Root mean square error on the quotes observed at the target time, in basis points of "
    "volatility (0.01 vol points). **Skill** is 1 − MSE / MSE of filtered persistence on the same "
    "forecasts, and of the best of all baselines: above zero beats it; the range is a 90 % "
    "interval by bootstrap over blocks of time no shorter than the horizon. **Coverage** is the "
    "share of quotes inside the 90 % band.")
BASELINES_NOTE = "on the model's own forecasts, bp; the least of a row is marked"


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
    sums = load.score_sums(feed.symbol, feed.source, RANGES[span], bucket, BIN_S[span])
    if sums.empty:
        st.info(NO_SCORES, icon=":material/hourglass_top:")
    else:
        _scores(sums)
    drift.draw(load.last_check(feed.symbol), load.last_retrainings())


def _scores(sums: pd.DataFrame) -> None:
    scores = scoring.summary(sums)
    leading = scoring.leading(scores)
    _cards(leading)
    _table(scores)
    _baselines(leading)
    _lines(sums)


def _cards(scores: list[scoring.Score]) -> None:
    if scores[0].role == "baseline":
        st.warning("No forecast of a champion model was scored in this range; these are the "
                   "baseline's, which stood in.", icon=":material/swap_horiz:")
    for box, score in zip(st.columns(len(scores)), scores, strict=True):
        box.metric(f"{frames.horizon_text(score.horizon_s)} ahead · {score.model_name}",
                   f"{score.error_bp:.2f} bp", str(score.skill),
                   delta_color="normal" if score.skill.certain else "off", border=True,
                   delta_description=f"vs {score.baselines_bp['filtered']:.2f} bp")


def _lines(sums: pd.DataFrame) -> None:
    table = scoring.over_time(sums)
    table["at"] = frames.new_york(table["at"])
    horizons = sorted(table["horizon_s"].unique())
    boxes = [box for _ in range(0, len(horizons), 2) for box in st.columns(2)]
    for box, horizon in zip(boxes, horizons, strict=False):
        with box, widgets.panel(f"{frames.horizon_text(int(horizon))} ahead", LEGEND):
            widgets.chart(charts.error_over_time(), table[table["horizon_s"] == horizon],
                          f"error-{horizon}")


def _table(scores: list[scoring.Score]) -> None:
    number = st.column_config.NumberColumn
    two = number(format="%.2f")
    st.dataframe(
        pd.DataFrame([_row(score) for score in scores]), hide_index=True, key="scores",
        column_config={COVERAGE: number(format="percent"),
                       "Forecasts": number(format="localized"), "Error (bp)": two,
                       "Half-spread (bp)": two})
    st.caption(READING)


def _row(score: scoring.Score) -> dict[str, object]:
    best = f"{scoring.BASELINES[score.best]}, {score.baselines_bp[score.best]:.2f} bp"
    return {
        "Ahead": frames.horizon_text(score.horizon_s), "Model": score.model_name,
        "Version": score.version,
        "Role": "baseline, standing in" if score.role == "baseline" else score.role,
        "Error (bp)": score.error_bp, AGAINST_FILTERED: str(score.skill), "Best baseline": best,
        AGAINST_BEST: str(score.best_skill), COVERAGE: score.coverage,
        "Half-spread (bp)": score.half_spread_bp, "Forecasts": score.forecasts,
        "Blocks": score.blocks,
    }


def _baselines(scores: list[scoring.Score]) -> None:
    """What each baseline missed the same quotes by."""
    table = pd.DataFrame(
        [{"Model": score.error_bp, **{scoring.BASELINES[name]: error
                                      for name, error in score.baselines_bp.items()}}
         for score in scores],
        index=pd.Index([frames.horizon_text(score.horizon_s) for score in scores], name="Ahead"))
    known = table.dropna(axis="columns", how="all")
    marked = known.style.format("{:.2f}", na_rep="–").highlight_min(
        axis="columns", props=f"color: {charts.OBSERVED}; font-weight: 700")
    with widgets.panel("Errors beside each baseline's", BASELINES_NOTE):
        st.dataframe(marked, key="baselines")


widgets.refreshing(draw, 10)
