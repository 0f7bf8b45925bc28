"""All expiries of a symbol at one instant: level, total variance and shape."""

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
    picker, status = st.columns([1, 5], vertical_alignment="bottom")
    with picker:
        feed = widgets.pick_feed(feeds)
    status.markdown(" ".join(widgets.feed_badges(feed, widgets.age_of(feed))))
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
    with widgets.panel("Every expiry's fitted smile", "by standardised moneyness"):
        widgets.chart(charts.smiles(), frames.surface_points(smiles), "smiles")
    _each(smiles)
    _table(table)


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
    st.dataframe(table, hide_index=True, key="terms", column_config={
        "expiry": "Expiry", "tau_days": number("Days", format="%.2f"),
        "atm_vol": number("ATM volatility", format="percent"),
        "total_variance": number("Total variance", format="%.5f"),
        "forward": number("Forward", format="%.2f"),
        "skew": number("Skew z −1 to +1", format="percent"),
        "fit_error_bp": number("Fit error (bp)", format="%.1f"),
        "quotes": "Quotes used", "reason": "No smile because"})


widgets.refreshing(draw, 2)
