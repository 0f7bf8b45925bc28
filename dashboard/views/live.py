"""The live smile of one expiry, its forecast with band, and how the two have met so far."""

import streamlit as st

from dashboard import charts, frames, load, widgets
from dashboard.queries import Feed, Forecast, Smile
from ml.smile.grid import ATM_INDEX

HISTORY_MIN = 45
BASELINE_HELP = ("Filtered persistence: the exponentially weighted smile of the last minutes, "
                 "which a model has to beat.")
USED_HELP = ("Out of the money and near the grid. Those in the money or far out are not used, "
             "though nothing is wrong with them; those with a flaw are rejected, and listed below.")
AXES: dict[str, charts.Axis] = {"Log-moneyness": "log_moneyness", "Strike": "strike", "z": "z"}


def draw() -> None:
    """One refresh of the page."""
    feeds = widgets.feed_or_message()
    if not feeds:
        return
    symbol_box, expiry_box, horizon_box, axis_box, toggle_box = st.columns(
        [1, 1.4, 1.9, 2, 1.1], vertical_alignment="bottom")
    with symbol_box:
        feed = widgets.pick_feed(feeds)
    with expiry_box:
        expiry = widgets.pick_expiry(feed.symbol, feed.newest.date())
    if expiry is None:
        return
    smile, made = load.smile(feed.symbol, expiry), load.forecasts(feed.symbol, expiry)
    with horizon_box:
        horizon = widgets.pick_horizon(feed.symbol, made)
    with axis_box:
        axis = AXES[st.segmented_control("Horizontal axis", list(AXES), default="Log-moneyness",
                                         required=True, key="axis")]
    with toggle_box:
        with_baseline = st.toggle("Baseline", value=True, key="baseline", help=BASELINE_HELP)
    if smile is None:
        return
    forecast = frames.choose(made, horizon)
    beside = with_baseline and forecast is not None and forecast.role == "champion"
    shown = frames.Shown(forecast, load.baseline(feed.symbol, expiry, smile.ts) if beside else None)
    _status(feed, smile, forecast, horizon)
    _metrics(smile, forecast)
    _curves(smile, shown, axis)
    left, middle, right = st.columns([2.6, 1.1, 1.1])
    with left:
        _history(feed, smile, horizon)
    with middle:
        _desk(smile)
    with right:
        _rejects(smile)


def _curves(smile: Smile, shown: frames.Shown, axis: charts.Axis) -> None:
    baseline = shown.baseline is not None
    left, right = st.columns([3, 2])
    with left, widgets.panel("Smile"):
        widgets.chart(charts.smile(axis, baseline), frames.smile_points(smile, shown), "smile")
    with right, widgets.panel("Against the fitted smile", "at the same strike"):
        widgets.chart(charts.difference(axis, baseline), frames.difference_points(smile, shown),
                      "difference")


def _status(feed: Feed, smile: Smile, forecast: Forecast | None, horizon: int | None) -> None:
    badges = widgets.feed_badges(feed, widgets.age_of(feed)) + widgets.fit_badges(smile)
    if forecast is not None:
        badges.append(widgets.model_badge(forecast))
        if forecast.repaired:
            badges.append(widgets.badge("forecast moved to be free of arbitrage", "orange",
                                        "build"))
    st.markdown(" ".join(badges))
    if smile.reason:
        st.warning(f"No smile at {frames.clock(smile.ts)}: {smile.reason}.",
                   icon=":material/warning:")
    if forecast is None:
        ahead = f" {frames.horizon_text(horizon)} ahead" if horizon else ""
        st.info(f"No forecast{ahead} for this expiry yet. The predictor makes one as soon as it "
                "has a full window of smiles, and none beyond the expiry.",
                icon=":material/hourglass_top:")
    elif forecast.role == "baseline":
        st.warning(f"The baseline stands in for the model: {forecast.note or 'no reason given'}.",
                   icon=":material/swap_horiz:")


def _metrics(smile: Smile, forecast: Forecast | None) -> None:
    label, atm = _forecast_atm(smile, forecast)
    values = {
        "Underlying": frames.number(smile.underlying, ",.2f"),
        "Forward": frames.number(smile.forward, ",.2f"),
        "ATM volatility": frames.number(smile.atm_vol, ".2%"),
        label: atm,
        "Fit error": frames.number(smile.fit_error * 1e4, ".1f", " bp"),
        "Quotes used": f"{smile.quotes_used} of {smile.quotes_total}",
    }
    for box, (name, value) in zip(st.columns(len(values)), values.items(), strict=True):
        box.metric(name, value, border=True, help=USED_HELP if name == "Quotes used" else None)


def _forecast_atm(smile: Smile, forecast: Forecast | None) -> tuple[str, str]:
    """When the forecast is for, and its ATM volatility with the distance from today's."""
    if forecast is None:
        return "ATM forecast", "–"
    atm = float(forecast.smile[ATM_INDEX])
    change = frames.number((atm - smile.atm_vol) * 1e4, "+.1f", " bp")
    return f"ATM at {frames.clock(forecast.target_at)}", f"{atm:.2%} :small[:gray[{change}]]"


def _history(feed: Feed, smile: Smile, horizon: int | None) -> None:
    seen = load.atm_history(feed.symbol, smile.expiry, HISTORY_MIN)
    ahead = load.atm_forecasts(feed.symbol, smile.expiry, horizon or 0, HISTORY_MIN)
    with widgets.panel("At the money, seen and foreseen",
                       f"{HISTORY_MIN} min; a forecast stands at the time it was made for"):
        widgets.chart(charts.atm_history(), frames.atm_points(seen, ahead), "atm")


def _desk(smile: Smile) -> None:
    with widgets.panel("What a desk reads"):
        st.table(frames.desk(smile), hide_index=True, hide_header=True, border="horizontal")


def _rejects(smile: Smile) -> None:
    with widgets.panel("Quotes rejected", "at this instant"):
        table = frames.rejects(smile)
        if table.empty:
            st.caption("None: no quote has a flaw.")
        else:
            st.table(table, hide_index=True, border="horizontal")


widgets.refreshing(draw, 2)
