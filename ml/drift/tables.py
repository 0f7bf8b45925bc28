"""A check for drift, from the tables: the same by the monitor and by the report on demand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ml.contract import ModelContract
from ml.drift.findings import (
    Errors,
    Finding,
    feature_findings,
    residual_finding,
    skill_finding,
)
from ml.features import INSTANT_FEATURES
from ml.types import Floats

Rows = Callable[[str, dict[str, Any]], Sequence[tuple[Any, ...]]]
"""All rows of a statement with these values."""
FEATURES_EVERY = timedelta(minutes=5)
LEAST_BLOCK_S = 300
FIRST_DAY = timedelta(days=1)
"""The model's first day of scores, which later errors are held against."""
BASELINES = ("persistence_bp", "filtered_persistence_bp", "sticky_strike_bp", "ewma_bp", "ar_bp",
             "har_bp", "kalman_bp")

# The rows of the newest instant before each of a series of times, by a step in the index each.
FEATURES = """
SELECT extract(epoch FROM n.ts)::float8, f.features
FROM generate_series(%(until)s, %(since)s + %(every)s, -%(every)s) AS g (at)
CROSS JOIN LATERAL (
    SELECT f.ts FROM option_features f
    WHERE f.symbol = %(symbol)s AND f.source = %(source)s
      AND f.ts <= g.at AND f.ts > g.at - %(every)s
    ORDER BY f.ts DESC LIMIT 1) n
JOIN option_features f ON f.symbol = %(symbol)s AND f.source = %(source)s AND f.ts = n.ts
WHERE f.reason IS NULL AND f.ts <= %(until)s AND f.ts > %(since)s
ORDER BY n.ts, f.expiry"""

ERRORS = f"""
SELECT horizon_s,
       extract(epoch FROM date_bin(make_interval(secs => greatest(horizon_s, %(block)s)),
                                   target_at, 'epoch'))::float8 AS block,
       count(*), sum(error_bp ^ 2),
       {", ".join(f"CASE WHEN count({name}) = count(*) THEN sum({name} ^ 2) END"
                  for name in BASELINES)}
FROM prediction_scores
WHERE symbol = %(symbol)s AND source = %(source)s AND role = 'champion'
  AND model_name = %(model)s AND (%(version)s IS NULL OR model_version = %(version)s)
  AND target_at > %(since)s AND target_at <= %(until)s
  AND error_bp IS NOT NULL AND filtered_persistence_bp IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2"""

FIRST_SCORE = """
SELECT target_at FROM prediction_scores
WHERE symbol = %(symbol)s AND source = %(source)s AND role = 'champion'
  AND model_name = %(model)s AND (%(version)s IS NULL OR model_version = %(version)s)
  AND target_at > %(trained_until)s AND quotes > 0
ORDER BY target_at LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at: a symbol's quotes of one source, the model, and a span of time."""

    symbol: str
    source: str
    version: str | None
    """Of the model; None takes the scores of all versions of its name."""
    since: datetime
    until: datetime


def check(rows: Rows, contract: ModelContract, asked: Asked) -> list[Finding]:
    """Every feature's drift, and by horizon the champion's errors and skill."""
    at_s, features = recent_features(rows, asked)
    values = {"symbol": asked.symbol, "source": asked.source, "model": contract.name,
              "version": asked.version}
    now = _errors(rows, values, max(asked.since, contract.trained_until), asked.until)
    then = _first_errors(rows, values, contract, asked.since) if now else {}
    return [*feature_findings(contract, at_s, features),
            *(residual_finding(horizon, then.get(horizon), errors)
              for horizon, errors in now.items()),
            *(skill_finding(horizon, errors) for horizon, errors in now.items())]


def recent_features(rows: Rows, asked: Asked) -> tuple[Floats, Floats]:
    """Times (n,) in epoch seconds and `INSTANT_FEATURES` (n, F) of smiles five minutes apart."""
    found = rows(FEATURES, {"symbol": asked.symbol, "source": asked.source, "since": asked.since,
                            "until": asked.until, "every": FEATURES_EVERY})
    width = len(INSTANT_FEATURES)
    # Rows of before the list of features changed can't be read by it.
    kept = [(at, values) for at, values in found if len(values) == width]
    features = np.array([values for _, values in kept], dtype=np.float64).reshape(-1, width)
    return np.array([at for at, _ in kept], dtype=np.float64), features


def _first_errors(rows: Rows, values: Mapping[str, Any], contract: ModelContract,
                  until: datetime) -> dict[int, Errors]:
    """Of the first day of this model; empty until that is over."""
    first = rows(FIRST_SCORE, {**values, "trained_until": contract.trained_until})
    if not first or first[0][0] + FIRST_DAY > until:
        return {}
    return _errors(rows, values, first[0][0], first[0][0] + FIRST_DAY)


def _errors(rows: Rows, values: Mapping[str, Any], since: datetime,
            until: datetime) -> dict[int, Errors]:
    found = rows(ERRORS, {**values, "since": since, "until": until, "block": LEAST_BLOCK_S})
    table = np.array(found, dtype=np.float64).reshape(len(found), 4 + len(BASELINES))
    by_horizon = {int(horizon): table[table[:, 0] == horizon] for horizon in np.unique(table[:, 0])}
    return {horizon: Errors(part[:, 1], part[:, 2], part[:, 3], part[:, 4:])
            for horizon, part in by_horizon.items()}
