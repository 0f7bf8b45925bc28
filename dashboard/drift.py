"""Drift and retraining on the Scores page: what the monitor found last, and did about it."""

import pandas as pd
import streamlit as st

from dashboard import frames, widgets

NO_CHECK = ("**No check for drift yet.** The monitor makes one every half hour of market time, "
            "once it knows the champion (`SMILE_MODEL_SERVER_URL`).")
READING = ("**PSI** is the population stability index against the training fold, drift from the "
           "**limit** on: 0.25, or what chance reaches with as few independent samples as the "
           "recent ones are **worth**. **Outside** is the share beyond all of the training fold.")
KINDS = {"feature": "features drifted", "residual": "horizons with grown errors",
         "skill": "horizons worse than the best baseline"}
STATUS_COLOURS = {"succeeded": "green", "running": "blue", "requested": "blue",
                  "failed": "red", "lost": "red"}
WORDS = {True: "yes", False: "no"}


def draw(check: pd.DataFrame, retrainings: pd.DataFrame) -> None:
    """The panel of the last check and the last retraining."""
    with widgets.panel("Drift of the champion", _when(check)):
        if check.empty:
            st.info(NO_CHECK, icon=":material/hourglass_top:")
        else:
            st.markdown(" ".join(badges(check)))
            left, right = st.columns([3, 2])
            with left:
                _features(check[check["kind"] == "feature"])
            with right:
                _horizons(check[check["kind"] != "feature"])
            st.caption(READING)
        st.markdown(retraining_text(retrainings))


def badges(check: pd.DataFrame) -> list[str]:
    """A badge per kind: how many of those that could be told were found."""
    made = []
    for kind, words in KINDS.items():
        told = check[(check["kind"] == kind) & check["found"].notna()]
        found = int(told["found"].astype(bool).sum())
        if len(told):
            colour = "green" if not found else "orange" if found < len(told) / 2 else "red"
            made.append(widgets.badge(f"{found} of {len(told)} {words}", colour))
        elif (check["kind"] == kind).any():
            made.append(widgets.badge(f"too little to tell of {words}", "gray"))
    return made


def retraining_text(retrainings: pd.DataFrame) -> str:
    """The last retraining in a line of Markdown."""
    if retrainings.empty:
        return "**Last retraining** :gray[none was asked for]"
    last = retrainings.iloc[0]
    detail = f" · {last['detail']}" if last["detail"] else ""
    return (f"**Last retraining** {widgets.badge(last['status'], STATUS_COLOURS[last['status']])} "
            f"{last['requested_at']:%d %b %Y %H:%M} UTC :gray[· {last['reason']}{detail}]")


def _when(check: pd.DataFrame) -> str:
    if check.empty:
        return ""
    first = check.iloc[0]
    return (f"version {first['model_version']} on {first['source']} quotes, the day up to "
            f"{first['at']:%d %b} {frames.clock(first['at'])} New York")


def _features(table: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    top = max(1.0, float(table["psi"].max(skipna=True)) if table["psi"].notna().any() else 1.0)
    st.dataframe(
        _told(table.rename(columns={"subject": "Feature", "psi": "PSI", "psi_limit": "Limit",
                                    "ks": "KS", "outside": "Outside", "effective": "Worth",
                                    "samples": "Samples"}),
              ["Feature", "PSI", "Limit", "KS", "Outside", "Samples", "Worth"]),
        hide_index=True, key="drift-features", column_config={
            "PSI": st.column_config.ProgressColumn(format="%.2f", min_value=0.0, max_value=top),
            "Limit": number(format="%.2f"), "KS": number(format="%.2f"),
            "Outside": number(format="percent"), "Samples": number(format="localized"),
            "Worth": number(format="%.0f")})


def _horizons(table: pd.DataFrame) -> None:
    """Grown errors and lost skill beside each other, by horizon."""
    by_kind = table.assign(found=table["found"].map(WORDS).fillna("–")).pivot(
        index="subject", columns="kind", values=["found", "skill"])
    rows = [{"Ahead": frames.horizon_text(int(horizon)),
             "Errors grown": by_kind["found"].get("residual", pd.Series()).get(horizon, "–"),
             "Skill vs best baseline": by_kind["skill"].get("skill", pd.Series()).get(horizon),
             "Lost": by_kind["found"].get("skill", pd.Series()).get(horizon, "–")}
            for horizon in sorted(by_kind.index, key=int)]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="drift-horizons", column_config={
            "Skill vs best baseline": st.column_config.NumberColumn(format="percent")})


def _told(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return table.assign(Drift=table["found"].map(WORDS).fillna("–"))[[*columns, "Drift"]]
