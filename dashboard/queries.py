"""Every question the pages ask of the tables: one function each, typed and bounded.

"Now" is market time: the newest instant of the symbol in the table asked, so that a replayed
recording reads like a live feed. Each query starts from an index and reads a few minutes, or one
day of scores at most.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from dashboard.database import Reader
from ml.smile.grid import GRID_SIZE
from ml.types import Floats

ATM_PLACE = 11  # of z = 0 in the grid arrays, counted from 1 as SQL does
EXPIRY_BUCKETS: dict[str, tuple[int, int]] = {
    "All expiries": (0, 100_000), "Today": (0, 0), "1–7 days": (1, 7), "8–30 days": (8, 30),
    "Over 30 days": (31, 100_000),
}


@dataclass(frozen=True, slots=True)
class Feed:
    """A symbol with smiles, the instant of its newest one, and where its quotes come from."""

    symbol: str
    newest: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry's newest smile; `quote_*` have shape (m,), `grid_*` shape (17,)."""

    expiry: date
    ts: datetime
    source: str
    tau: float
    underlying: float
    forward: float
    atm_vol: float
    fit_error: float
    quotes_total: int
    quotes_used: int
    rejects: dict[str, int]
    grid_vol: Floats
    grid_observed: Floats
    quote_strike: Floats
    quote_bid_iv: Floats
    quote_mid_iv: Floats
    quote_ask_iv: Floats
    reason: str | None
    forward_error: float
    forward_source: str | None
    butterfly_ok: bool
    calendar_ok: bool | None
    lee_ok: bool | None
    repaired: list[str] | None
    """Arbitrage that the fit had before it was repaired."""
    moved: float
    """By how much the repair moved the grid, in volatility."""
    confidence: float
    """Trust in the fit, 0 to 1; this and what follows is NaN in rows from before there was it."""
    skew: float
    """Slope of volatility by log-moneyness, at the money."""
    risk_reversal_25: float
    butterfly_25: float
    variance_swap_vol: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """One forecast of one expiry; `smile`, `lower`, `upper` have shape (17,)."""

    made_at: datetime
    horizon_s: int
    target_at: datetime
    model_name: str
    model_version: str
    role: str
    forward: float
    smile: Floats
    lower: Floats
    upper: Floats
    repaired: bool
    note: str | None
    latency_ms: float


def feeds(reader: Reader) -> list[Feed]:
    """All symbols with smiles, the one with the newest smile first."""
    frame = reader.frame("""
        WITH RECURSIVE symbols AS (
            (SELECT symbol FROM option_features ORDER BY symbol LIMIT 1)
            UNION ALL
            SELECT (SELECT symbol FROM option_features WHERE symbol > s.symbol
                    ORDER BY symbol LIMIT 1)
            FROM symbols s WHERE s.symbol IS NOT NULL)
        SELECT s.symbol, f.ts, f.source FROM symbols s
        CROSS JOIN LATERAL (SELECT ts, source FROM option_features
                            WHERE symbol = s.symbol ORDER BY ts DESC LIMIT 1) f
        ORDER BY f.ts DESC""")
    return [Feed(row["symbol"], row["ts"].to_pydatetime(), row["source"])
            for row in frame.to_dict("records")]


def quotes_waiting(reader: Reader) -> bool:
    """True if there are raw quotes at all, with or without smiles."""
    frame = reader.frame("SELECT EXISTS (SELECT FROM spy_option_chain) AS any_quotes")
    return bool(frame["any_quotes"].iloc[0])


def expiries(reader: Reader, symbol: str) -> list[date]:
    """The expiries seen in the last two minutes of data and not past, nearest first."""
    frame = reader.frame("""
        SELECT DISTINCT expiry FROM option_features
        WHERE symbol = %(symbol)s
          AND ts > (SELECT max(ts) FROM option_features WHERE symbol = %(symbol)s)
                   - INTERVAL '2 minutes'
          AND reason IS DISTINCT FROM 'expired'
        ORDER BY expiry""", symbol=symbol)
    return list(frame["expiry"])


def nearest_smile(reader: Reader, symbol: str) -> date | None:
    """The nearest expiry with a smile in the last two minutes of data.

    Today's own often has none any more towards its end, when few strikes have a price.
    """
    frame = reader.frame("""
        SELECT min(expiry) AS expiry FROM option_features
        WHERE symbol = %(symbol)s AND reason IS NULL
          AND ts > (SELECT max(ts) FROM option_features WHERE symbol = %(symbol)s)
                   - INTERVAL '2 minutes'""", symbol=symbol)
    found: date | None = frame["expiry"].iloc[0]
    return found


def smile(reader: Reader, symbol: str, expiry: date) -> Smile | None:
    """The newest smile of one expiry in the last minutes of data.

    Where no instant of them has a smile it is the newest row, with its reason; None where there
    is no row either.
    """
    frame = reader.frame(f"""
        SELECT {_SMILE} FROM option_features WHERE symbol = %(symbol)s AND expiry = %(expiry)s
          AND ts > (SELECT max(ts) FROM option_features WHERE symbol = %(symbol)s)
                   - INTERVAL '5 minutes'
        ORDER BY reason IS NULL DESC, ts DESC LIMIT 1""", symbol=symbol, expiry=expiry)
    return _smiles(frame)[0] if len(frame) else None


def term_structure(reader: Reader, symbol: str) -> list[Smile]:
    """The newest smile of every expiry seen in the last minute of data, nearest first."""
    return _smiles(reader.frame(f"""
        SELECT DISTINCT ON (expiry) {_SMILE}
        FROM option_features
        WHERE symbol = %(symbol)s
          AND ts > (SELECT max(ts) FROM option_features WHERE symbol = %(symbol)s)
                   - INTERVAL '1 minute'
        ORDER BY expiry, ts DESC""", symbol=symbol))


def forecasts(reader: Reader, symbol: str, expiry: date) -> list[Forecast]:
    """The newest forecasts of one expiry: every horizon and model of one instant."""
    frame = reader.frame("""
        SELECT made_at, horizon_s, target_at, model_name, model_version, role, forward, smile,
               lower, upper, repaired, note, latency_ms
        FROM predicted_smile
        WHERE symbol = %(symbol)s AND expiry = %(expiry)s
          AND made_at = (SELECT max(made_at) FROM predicted_smile
                         WHERE symbol = %(symbol)s AND expiry = %(expiry)s)
        ORDER BY horizon_s, model_name""", symbol=symbol, expiry=expiry)
    arrays = ("smile", "lower", "upper")
    return [Forecast(**_record(row, arrays)) for row in frame.to_dict("records")]


def recent_grids(reader: Reader, symbol: str, expiry: date, at: datetime, step_s: float,
                 window: int) -> Floats:
    """Grid smiles (window, 17) at steps of `step_s` up to `at`, newest last, NaN for missing.

    Row i back is the latest of the half step up to `at` − i · `step_s`, as windows are built.
    """
    frame = reader.frame("""
        SELECT lag.place, f.grid_vol
        FROM generate_series(0, %(window)s - 1) AS lag (place)
        CROSS JOIN LATERAL (
            SELECT grid_vol FROM option_features
            WHERE symbol = %(symbol)s AND expiry = %(expiry)s AND reason IS NULL
              AND ts <= %(at)s - lag.place * make_interval(secs => %(step)s)
              AND ts > %(at)s - (lag.place + 0.5) * make_interval(secs => %(step)s)
            ORDER BY ts DESC LIMIT 1) f""",
                         symbol=symbol, expiry=expiry, at=at, step=step_s, window=window)
    grids = np.full((window, GRID_SIZE), np.nan)
    for place, grid in zip(frame["place"], frame["grid_vol"], strict=True):
        grids[window - 1 - place] = np.array(grid, dtype=np.float64)
    return grids


def atm_history(reader: Reader, symbol: str, expiry: date, minutes: int) -> pd.DataFrame:
    """`ts`, `atm_vol`: the last observed value of every ten seconds of the last `minutes`."""
    return reader.frame("""
        SELECT DISTINCT ON (date_bin('10 seconds', ts, 'epoch')) ts, atm_vol
        FROM option_features
        WHERE symbol = %(symbol)s AND expiry = %(expiry)s AND atm_vol IS NOT NULL
          AND ts > (SELECT max(ts) FROM option_features
                    WHERE symbol = %(symbol)s AND expiry = %(expiry)s)
                   - make_interval(mins => %(minutes)s)
        ORDER BY date_bin('10 seconds', ts, 'epoch'), ts DESC""",
                        symbol=symbol, expiry=expiry, minutes=minutes)


def atm_forecasts(reader: Reader, symbol: str, expiry: date, horizon_s: int,
                  minutes: int) -> pd.DataFrame:
    """`target_at`, `atm_vol`, `lower`, `upper`, `role`: what was forecast for these times.

    One forecast for every ten seconds from `minutes` before the newest one was made; the
    champion's where there is one, else the baseline that stood in.
    """
    return reader.frame("""
        SELECT DISTINCT ON (date_bin('10 seconds', target_at, 'epoch')) target_at,
               smile[%(atm)s] AS atm_vol, lower[%(atm)s] AS lower, upper[%(atm)s] AS upper, role
        FROM predicted_smile
        WHERE symbol = %(symbol)s AND expiry = %(expiry)s AND horizon_s = %(horizon)s
          AND role <> 'shadow'
          AND made_at > (SELECT max(made_at) FROM predicted_smile
                         WHERE symbol = %(symbol)s AND expiry = %(expiry)s)
                        - make_interval(mins => %(minutes)s, secs => %(horizon)s)
        ORDER BY date_bin('10 seconds', target_at, 'epoch'), role = 'champion' DESC,
                 target_at DESC""",
                        symbol=symbol, expiry=expiry, horizon=horizon_s, minutes=minutes,
                        atm=ATM_PLACE)


def table_activity(reader: Reader, symbol: str, minutes: int) -> pd.DataFrame:
    """`table`, `newest` and `rows` of the last `minutes` of market time, in pipeline order."""
    return reader.frame("""
        WITH newest AS (SELECT
            (SELECT max(sampled_at) FROM spy_option_chain WHERE symbol = %(symbol)s) AS quotes,
            (SELECT max(ts) FROM option_features WHERE symbol = %(symbol)s) AS features,
            (SELECT made_at FROM predicted_smile WHERE symbol = %(symbol)s
             ORDER BY target_at DESC LIMIT 1) AS forecasts,
            (SELECT max(target_at) FROM prediction_scores WHERE symbol = %(symbol)s) AS scores),
        since AS (SELECT coalesce(quotes, features) - make_interval(mins => %(minutes)s) AS at
                  FROM newest)
        SELECT 'spy_option_chain' AS "table", quotes AS newest,
               (SELECT count(*) FROM spy_option_chain
                WHERE symbol = %(symbol)s AND sampled_at > since.at) AS rows FROM newest, since
        UNION ALL SELECT 'option_features', features,
               (SELECT count(*) FROM option_features
                WHERE symbol = %(symbol)s AND ts > since.at) FROM newest, since
        UNION ALL SELECT 'predicted_smile', forecasts,
               (SELECT count(*) FROM predicted_smile WHERE symbol = %(symbol)s
                AND target_at > since.at AND made_at > since.at) FROM newest, since
        UNION ALL SELECT 'prediction_scores', scores,
               (SELECT count(*) FROM prediction_scores
                WHERE symbol = %(symbol)s AND target_at > since.at) FROM newest, since""",
                        symbol=symbol, minutes=minutes)


def latencies(reader: Reader, symbol: str, minutes: int) -> pd.DataFrame:
    """`ts`, `p50`, `p95`, `p99` in milliseconds and `forecasts`, for every half minute."""
    return reader.frame(f"""
        SELECT date_bin('30 seconds', made_at, 'epoch') AS ts,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99,
               count(*) AS forecasts
        FROM predicted_smile WHERE {_RECENT} GROUP BY 1 ORDER BY 1""",
                        symbol=symbol, minutes=minutes)


def roles(reader: Reader, symbol: str, minutes: int) -> pd.DataFrame:
    """`role`, `model_name`, `model_version`, `note`, `forecasts`, `repaired`, most first."""
    return reader.frame(f"""
        SELECT role, model_name, model_version, note, count(*) AS forecasts,
               count(*) FILTER (WHERE repaired) AS repaired
        FROM predicted_smile WHERE {_RECENT} GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 20""",
                        symbol=symbol, minutes=minutes)


# target_at is later than made_at, so that the index on it bounds both.
_RECENT = """symbol = %(symbol)s
    AND target_at > (SELECT made_at FROM predicted_smile WHERE symbol = %(symbol)s
                     ORDER BY target_at DESC LIMIT 1) - make_interval(mins => %(minutes)s)
    AND made_at > (SELECT made_at FROM predicted_smile WHERE symbol = %(symbol)s
                   ORDER BY target_at DESC LIMIT 1) - make_interval(mins => %(minutes)s)"""


_SMILE = ", ".join(Smile.__slots__)


def _smiles(frame: pd.DataFrame) -> list[Smile]:
    arrays = ("grid_vol", "grid_observed", "quote_strike", "quote_bid_iv", "quote_mid_iv",
              "quote_ask_iv")
    return [Smile(**_record(row, arrays)) for row in frame.to_dict("records")]


def _record(row: dict[Hashable, Any], arrays: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a dataclass from a row of a frame: arrays with NaN for NULL."""
    return {str(name): _plain(value, name in arrays) for name, value in row.items()}


def _plain(value: Any, is_array: bool) -> Any:
    if is_array:
        return np.array(value, dtype=np.float64)
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value
