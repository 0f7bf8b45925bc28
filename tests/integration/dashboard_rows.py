"""Plausible rows for the dashboard: a moving smile, its forecasts and their scores.

    python -m tests.integration.dashboard_rows URL [MINUTES]   # then a new instant every 2 s
"""

import json
import sys
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg2
from psycopg2.extras import execute_values

from ml.smile.grid import GRID_Z
from services.common.messages import FeatureRow, Forecast

SYMBOL = "SPY"
HORIZONS_S = (60, 300, 900, 1800)
EXPIRY_DAYS = (1, 3, 7, 14, 30, 60)
SPOT = 671.4
MODEL_NAMES = {"champion": "smile", "shadow": "smile.shadow", "baseline": "filtered_persistence"}
VERSIONS = {"champion": "3", "shadow": "4", "baseline": "1"}
NOW = datetime(2025, 12, 16, 15, 30, tzinfo=UTC)
STEP_S, COUNT = 20, 100
"""Half an hour before `NOW`, as the tests of queries and pages see it."""


def expiries(day: date) -> list[date]:
    return [day + timedelta(days=days) for days in EXPIRY_DAYS]


def smile(at: datetime, tau: float) -> np.ndarray:
    """A skewed smile on the grid, whose level and slope swing over minutes."""
    seconds = at.timestamp()
    noise = np.random.default_rng(int(seconds))
    level = 0.152 + 0.02 * np.sqrt(tau) + 0.004 * np.sin(seconds / 900) \
        + 0.0016 * np.sin(seconds / 130) + 0.0002 * noise.normal()
    slope = 0.13 + 0.006 * np.sin(seconds / 700)
    return level * (1 - slope * GRID_Z + 0.055 * GRID_Z ** 2)


def feature_row(at: datetime, expiry: date, source: str) -> FeatureRow:
    instant = datetime(expiry.year, expiry.month, expiry.day, 21, tzinfo=UTC)
    tau = max((instant - at).total_seconds(), 60.0) / (365 * 86400)
    grid = smile(at, tau)
    underlying = SPOT * (1 + 0.002 * np.sin(at.timestamp() / 1100))
    forward = underlying * np.exp(0.03 * tau)
    width = grid[10] * np.sqrt(tau)
    strikes = np.arange(round(forward * np.exp(-2.7 * width)),
                        round(forward * np.exp(1.6 * width)) + 1, dtype=float)
    strikes = strikes[::max(1, len(strikes) // 40)]
    z = np.log(strikes / forward) / width
    mid = np.interp(z, GRID_Z, grid) \
        + np.random.default_rng(int(at.timestamp())).normal(0, 3e-4, len(z))
    half = 0.0007 * (1 + 0.6 * z ** 2)
    return FeatureRow(
        symbol=SYMBOL, expiry=expiry, ts=at, source=source, tau=tau, underlying=underlying,
        forward=forward, forward_error=0.01, discount=0.999, borrow=0.0, atm_vol=grid[10],
        svi_a=None, svi_b=None, svi_rho=None, svi_m=None, svi_sigma=None, fit_error=0.00042,
        butterfly_ok=True, quotes_total=2 * len(z) + 12, quotes_used=len(z),
        rejects={"too_wide": 6, "zero_bid": 4, "crossed": 1, "stale": 1},
        grid_vol=grid.tolist(), grid_observed=[True] * 17, features=[0.0] * 4,
        quote_strike=strikes.tolist(), quote_bid_iv=(mid - half).tolist(),
        quote_mid_iv=mid.tolist(), quote_ask_iv=(mid + half).tolist(),
        forward_source="parity" if tau < 0.1 else "blend", rate=0.03, bumps=[0.0] * 6,
        calendar_ok=True, lee_ok=True, repaired=["butterfly"] if tau < 0.01 else [],
        moved=0.00012 if tau < 0.01 else 0.0, confidence=0.96 - 0.8 * tau,
        skew=-0.13 * grid[10] / width, risk_reversal_25=-0.19 * grid[10],
        butterfly_25=0.025 * grid[10], variance_swap_vol=1.06 * grid[10])


def forecasts(row: FeatureRow, role: str) -> list[Forecast]:
    """Half of what really comes, within a band that widens with the horizon."""
    made = []
    for horizon in HORIZONS_S:
        target_at = row.ts + timedelta(seconds=horizon)
        now = np.array(row.grid_vol)
        ahead = now + 0.5 * (smile(target_at, row.tau) - now)
        half = 0.0011 * np.sqrt(horizon / 60) * (1 + 0.25 * GRID_Z ** 2)
        made.append(Forecast(
            symbol=row.symbol, expiry=row.expiry, made_at=row.ts, horizon_s=horizon,
            target_at=target_at, source=row.source, forward=row.forward, role=role,
            model_name=MODEL_NAMES[role], model_version=VERSIONS[role],
            smile=now.tolist() if role == "baseline" else ahead.tolist(),
            lower=(ahead - half).tolist(), upper=(ahead + half).tolist(), repaired=False,
            note="the model server does not answer" if role == "baseline" else None,
            latency_ms=18 + 5 * abs(np.sin(row.ts.timestamp()))))
    return made


def score(made: Forecast) -> tuple:
    """A row of `prediction_scores`, as the monitor would write it."""
    noise = np.random.default_rng(int(made.made_at.timestamp()) + made.horizon_s)
    filtered = float(2.2 * np.sqrt(made.horizon_s / 60) * (1 + 0.3 * noise.random()))
    gain = {"champion": 0.96, "shadow": 0.955, "baseline": 1.0}[made.role]
    return (made.symbol, made.expiry, made.made_at, made.horizon_s, made.model_name,
            made.target_at, made.target_at, made.role, 38, filtered * gain, filtered * 1.1,
            filtered, filtered * 1.2, 0.88 + 0.03 * noise.random(), 6.9,
            filtered * 0.99, filtered * 0.98, filtered * 1.01, filtered * 0.99, made.source,
            made.model_version)


FOUND = {"half_spread": 0.71, "quote_age_s": 0.44, "fit_error": 0.31, "atm_vol": 0.22,
         "skew": 0.12, "curvature": 0.09, "accepted_share": 0.05, "forward_error": 0.04}
"""Population stability index of the features in a check for drift."""


def write_check(url: str, at: datetime) -> None:
    """A check for drift that found some, and a retraining after it."""
    shared = (SYMBOL, "simulated", at)
    features = [(*shared, "feature", name, "smile", "3", 1728, 240.0, index, 0.25, index / 3,
                 0.001, 0.02, None, index > 0.25) for name, index in FOUND.items()]
    residuals = [(*shared, "residual", str(horizon), "smile", "3", 78, 60.0, 0.1, 0.6, 0.1, 0.5,
                  0.0, None, None if horizon > 900 else False) for horizon in HORIZONS_S]
    skills = [(*shared, "skill", str(horizon), "smile", "3", 78, *[None] * 6, 0.04 - horizon / 2e4,
               horizon > 900) for horizon in HORIZONS_S]
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        execute_values(cursor, "INSERT INTO drift_checks VALUES %s ON CONFLICT DO NOTHING",
                       [*features, *residuals, *skills])
        cursor.execute("INSERT INTO retrainings VALUES ('smile', %s, 'version 3 on SPY "
                       "(simulated), in 3 checks after one another: the features have drifted', "
                       "'process', 'host:1', 'succeeded', %s, 'registered version 4 of smile')",
                       (at, at + timedelta(minutes=4)))
    connection.close()


def write(url: str, instants: list[datetime], source: str = "simulated",
          role: str = "champion", shadow: bool = False) -> None:
    """Rows of all four tables for these instants; scores for those whose time has come."""
    rows = [feature_row(at, expiry, source) for at in instants
            for expiry in expiries(instants[-1].date())]
    roles = (role, "shadow") if shadow else (role,)
    made = [forecast for row in rows for each in roles for forecast in forecasts(row, each)]
    due = [score(forecast) for forecast in made if forecast.target_at <= instants[-1]]
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        insert(cursor, "option_features", rows)
        insert(cursor, "predicted_smile", made)
        _insert(cursor, "spy_option_chain", [quote for row in rows for quote in _quotes(row)])
        if due:
            execute_values(cursor, "INSERT INTO prediction_scores VALUES %s "
                                   "ON CONFLICT DO NOTHING", due, page_size=1000)
    connection.close()


def insert(cursor: psycopg2.extensions.cursor, table: str,
           messages: list[FeatureRow] | list[Forecast]) -> None:
    """Messages as rows of their table; those that are there already are left."""
    if messages:
        _insert(cursor, table, [_values(message) for message in messages])


def _values(message: FeatureRow | Forecast) -> dict:
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    del values["schema"]
    plain = {name: float(value) if isinstance(value, np.floating) else value
             for name, value in values.items()}
    return {name: json.dumps(value) if isinstance(value, dict) else value
            for name, value in plain.items()}


def _quotes(row: FeatureRow) -> list[dict]:
    return [{"symbol": row.symbol, "expiry": row.expiry, "strike": strike, "right": "C",
             "sampled_at": row.ts, "source": row.source, "bid": 1.0, "ask": 1.1}
            for strike in row.quote_strike[::10]]


def _insert(cursor: psycopg2.extensions.cursor, table: str, rows: list[dict]) -> None:
    names = ", ".join(f'"{name}"' for name in rows[0])
    execute_values(cursor, f"INSERT INTO {table} ({names}) VALUES %s ON CONFLICT DO NOTHING",
                   [tuple(row.values()) for row in rows], page_size=1000)


def main() -> None:
    url, minutes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50
    now = datetime.now(UTC).replace(microsecond=0)
    write(url, [now - timedelta(seconds=10 * back) for back in range(6 * minutes, -1, -1)],
          shadow=True)
    write_check(url, now - timedelta(minutes=12))
    print("history written", flush=True)
    while True:
        time.sleep(2)
        write(url, [datetime.now(UTC).replace(microsecond=0)], shadow=True)


if __name__ == "__main__":
    main()
