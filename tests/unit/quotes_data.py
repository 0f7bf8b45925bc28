"""Small quotes frames that tests make their cases of."""

from datetime import date

import pandas as pd

T0 = pd.Timestamp("2015-12-24T14:31:00Z")
T1 = pd.Timestamp("2015-12-24T14:32:00Z")
NEAR, FAR = date(2015, 12, 31), date(2016, 1, 15)


def quotes_frame(**changed: object) -> pd.DataFrame:
    """Six quotes: two instants, two expiries; `changed` replaces columns."""
    columns = {
        "ts": [T1, T0, T0, T0, T0, T1],
        "symbol": "GOOG",
        "expiry": [NEAR, NEAR, NEAR, FAR, FAR, FAR],
        "strike": [750.0, 750.0, 750.0, 700.0, 800.0, 700.0],
        "right": ["C", "P", "C", "P", "C", "P"],
        "bid": [3.1, 4.0, 3.0, None, 1.5, 0.9],
        "ask": [3.3, 4.2, 3.2, 1.1, None, 0.8],
        "bid_size": 10.0, "ask_size": [1, 2, 3, 4, 5, 6],
        "underlying_bid": 748.0, "underlying_ask": 749.0,
    }
    return pd.DataFrame({**columns, **changed})
