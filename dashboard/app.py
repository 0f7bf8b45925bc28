"""The dashboard: pages and what they share. Run with `python -m dashboard`.

Their folder is not called `pages`: a server whose first visitor asks for /scores would find that
folder by itself and show the page without this file.
"""

import streamlit as st

st.set_page_config(page_title="Smile forecast", page_icon="📈", layout="wide")
st.html("<style>"
        ".block-container {padding-top: 4.2rem; padding-bottom: 2rem;}"
        "[data-stale='true'] {opacity: 1 !important; transition: none !important;}"
        "[data-testid='stMetricValue'] {font-size: 1.45rem; font-variant-numeric: tabular-nums;}"
        "</style>")
st.navigation([
    st.Page("views/live.py", title="Live smile", icon=":material/ssid_chart:", default=True),
    st.Page("views/scores.py", title="Scores", icon=":material/target:"),
    st.Page("views/term_structure.py", title="Term structure", icon=":material/layers:"),
    st.Page("views/pipeline.py", title="Pipeline", icon=":material/conversion_path:"),
], position="top").run()
