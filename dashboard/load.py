"""The queries behind small caches: one answer serves every viewer for a second or so."""

from collections.abc import Callable
from datetime import date, datetime
from typing import ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from dashboard import queries, score_queries
from dashboard.database import Reader
from dashboard.freshness import Freshness
from dashboard.settings import DashboardSettings
from ml.features import filtered_smile
from ml.types import Floats
from services.common.settings import load

P = ParamSpec("P")
R = TypeVar("R")


@st.cache_resource
def settings() -> DashboardSettings:
    """What the environment says."""
    return load(DashboardSettings)


@st.cache_resource
def reader() -> Reader:
    """The one connection of this process."""
    return Reader(settings().database_url)


@st.cache_resource
def freshness() -> Freshness:
    """What this process has seen of the feeds' clocks."""
    return Freshness()


def _cached(ttl: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    return st.cache_data(ttl=ttl, max_entries=32, show_spinner=False)


@_cached(1)
def feeds() -> list[queries.Feed]:
    return queries.feeds(reader())


@_cached(5)
def quotes_waiting() -> bool:
    return queries.quotes_waiting(reader())


@_cached(5)
def expiries(symbol: str) -> list[date]:
    return queries.expiries(reader(), symbol)


@_cached(5)
def nearest_smile(symbol: str) -> date | None:
    return queries.nearest_smile(reader(), symbol)


@_cached(1)
def smile(symbol: str, expiry: date) -> queries.Smile | None:
    return queries.smile(reader(), symbol, expiry)


@_cached(1)
def forecasts(symbol: str, expiry: date) -> list[queries.Forecast]:
    return queries.forecasts(reader(), symbol, expiry)


@_cached(1)
def baseline(symbol: str, expiry: date, at: datetime) -> Floats:
    """The filtered smile (17,) at this instant, which the baseline holds at every horizon."""
    shape = settings()
    grids = queries.recent_grids(reader(), symbol, expiry, at, shape.step_s, shape.window)
    return filtered_smile(grids, shape.filter_weight)


@_cached(1)
def term_structure(symbol: str) -> list[queries.Smile]:
    return queries.term_structure(reader(), symbol)


@_cached(4)
def atm_history(symbol: str, expiry: date, minutes: int) -> pd.DataFrame:
    return queries.atm_history(reader(), symbol, expiry, minutes)


@_cached(4)
def atm_forecasts(symbol: str, expiry: date, horizon_s: int, minutes: int) -> pd.DataFrame:
    return queries.atm_forecasts(reader(), symbol, expiry, horizon_s, minutes)


@_cached(9)
def score_sums(symbol: str, source: str, minutes: int, bucket: str, bin_s: int) -> pd.DataFrame:
    days = queries.EXPIRY_BUCKETS[bucket]
    return score_queries.score_sums(reader(), symbol, source, minutes, days, bin_s)


@_cached(9)
def last_check(symbol: str) -> pd.DataFrame:
    return score_queries.last_check(reader(), symbol)


@_cached(9)
def last_retrainings() -> pd.DataFrame:
    return score_queries.last_retrainings(reader())


@_cached(4)
def table_activity(symbol: str, minutes: int) -> pd.DataFrame:
    return queries.table_activity(reader(), symbol, minutes)


@_cached(4)
def latencies(symbol: str, minutes: int) -> pd.DataFrame:
    return queries.latencies(reader(), symbol, minutes)


@_cached(4)
def roles(symbol: str, minutes: int) -> pd.DataFrame:
    return queries.roles(reader(), symbol, minutes)
