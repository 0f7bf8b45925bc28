"""Is every stage alive? Rows, newest instants and latency, as the tables tell."""

import pandas as pd
import streamlit as st

from dashboard import charts, frames, load, widgets
from dashboard.queries import Feed

RECENT_MIN = 5
LATENCY_MIN = 30
STAGES = {"spy_option_chain": "Quotes · ingest, writer", "option_features": "Smiles · features",
          "predicted_smile": "Forecasts · predictor", "prediction_scores": "Scores · monitor"}


def draw() -> None:
    """One refresh of the page."""
    feeds = widgets.feed_or_message()
    if not feeds:
        return
    feed = widgets.feed_and_its_age(feeds)
    activity = load.table_activity(feed.symbol, RECENT_MIN)
    for box, stage in zip(st.columns(len(activity)), activity.to_dict("records"), strict=True):
        box.metric(STAGES[stage["table"]], _rate(int(stage["rows"])),
                   _behind(stage["newest"], activity["newest"].max()), delta_color="off",
                   delta_arrow="off", border=True,
                   help=f"Rows of `{stage['table']}` in the last {RECENT_MIN} min of market time")
    _latency(feed)
    _roles(feed)


def _rate(rows: int) -> str:
    return f"{rows:,} rows · {rows / (60 * RECENT_MIN):,.1f}/s"


def _behind(newest: pd.Timestamp, first: pd.Timestamp) -> str:
    """How far a table is behind the newest of all."""
    if pd.isna(newest):
        return "nothing yet"
    behind = (first - newest).total_seconds()
    return f"newest {frames.clock(newest)}" + (f", {behind:,.0f} s behind" if behind > 0 else "")


def _latency(feed: Feed) -> None:
    table = frames.latency_points(load.latencies(feed.symbol, LATENCY_MIN))
    if table.empty:
        st.info("No forecasts yet, so no latency. The predictor makes them once it has a window "
                "of smiles.", icon=":material/hourglass_top:")
        return
    with widgets.panel("Latency of the predictor", "from reading the features to the forecast, "
                       f"last {LATENCY_MIN} min"):
        widgets.chart(charts.latency(), table, "latency")


def _roles(feed: Feed) -> None:
    table = load.roles(feed.symbol, RECENT_MIN)
    if table.empty:
        return
    with widgets.panel("Who made the forecasts", f"last {RECENT_MIN} min"):
        st.dataframe(table.fillna({"note": "–"}), hide_index=True, key="roles", column_config={
            "role": "Role", "model_name": "Model", "model_version": "Version",
            "note": st.column_config.TextColumn("Why a baseline stands in", width="large"),
            "forecasts": "Forecasts", "repaired": "Moved to be free of arbitrage"})


widgets.refreshing(draw, 5)
