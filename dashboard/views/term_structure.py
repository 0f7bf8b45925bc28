"""All expiries of a symbol at one instant: level, total variance, shape and how sure they are."""

import pandas as pd
import streamlit as st

from dashboard import charts, frames, load, widgets
from dashboard.queries import Smile

MOST = 12


def draw() -> None:
    """One refresh of the page."""
    feeds = widgets.feed_or_message()
    if not feeds:
        return
    feed = widgets.feed_and_its_age(feeds)
    smiles = load.term_structure(feed.symbol)
    table = frames.term_points(smiles)
    if table["atm_vol"].isna().all():
        st.info("No expiry has a smile at this instant; the table on the live page says why.",
                icon=":material/hourglass_top:")
        return
    left, right = st.columns(2)
    with left, widgets.panel("At-the-money volatility by expiry"):
        widgets.chart(charts.term_structure("atm_vol"), table, "atm-term")
    with right, widgets.panel("Total variance", "must not fall with time"):
        widgets.chart(charts.term_structure("total_variance"), table, "variance-term")
    _table(table)
    with widgets.panel("Every expiry's fitted smile", "by standardised moneyness"):
        widgets.chart(charts.smiles(), frames.surface_points(smiles), "smiles")
    _each(smiles)


def _each(smiles: list[Smile]) -> None:
    nothing = frames.Shown()
    shown = smiles[:MOST]
    boxes = [box for _ in range(0, len(shown), 3) for box in st.columns(3)]
    for box, smile in zip(boxes, shown, strict=False):
        with box, widgets.panel(frames.label(smile), smile.reason or "quotes and fit by ln(K/F)"):
            widgets.chart(charts.small_smile(), frames.smile_points(smile, nothing),
                          f"small-{smile.expiry}")


def _table(table: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    st.dataframe(table.drop(columns="total_variance"), hide_index=True, key="terms",
                 column_config={
        "expiry": "Expiry", "tau_days": number("Days", format="%.2f"),
        "forward": number("Forward", format="%.2f"), "forward_by": st.column_config.TextColumn(
            "Forward by", help="Its own put-call parity, the other expiries' or both"),
        "atm_vol": number("ATM", format="percent"),
        "variance_swap_vol": number("Var swap", format="percent"),
        "skew": number("Skew", format="%.3f", help="Slope dσ/dk at the money"),
        "risk_reversal_25": number("25Δ RR", format="percent", help="Call less put volatility"),
        "butterfly_25": number("25Δ BF", format="percent", help="Mean of both less at the money"),
        "confidence": st.column_config.ProgressColumn(
            "Confidence", format="%.2f", min_value=0.0, max_value=1.0, help="Trust in the fit"),
        "fit_error_bp": number("Fit error (bp)", format="%.1f"),
        "repaired": "Arbitrage repaired", "quotes": "Quotes used", "reason": "No smile because"})


widgets.refreshing(draw, 2)
