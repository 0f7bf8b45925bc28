"""What the Scores page asks of the tables: sums of scores, checks for drift, retrainings.

"Now" is market time, as in `queries`.
"""

import pandas as pd

from dashboard.database import Reader

BASELINES = {
    "filtered": "filtered_persistence_bp", "persistence": "persistence_bp",
    "strike": "sticky_strike_bp", "ewma": "ewma_bp", "ar": "ar_bp", "har": "har_bp",
    "kalman": "kalman_bp"}
"""Column of each baseline's error; the keys begin the names of its sums."""
_KNOWN_BY = {"strike": "strike", "ewma": "ewma", "ar": "ewma", "har": "ewma", "kalman": "ewma"}
"""Whose column tells for which forecasts a baseline is known: fitted ones come together, and
persistence and filtered persistence are always asked for."""
_SUMS = ", ".join([
    *(f"sum({column} * {column}) AS {name}_sq" for name, column in BASELINES.items()),
    *(f"count({BASELINES[name]}) AS {name}_count, sum(error_bp * error_bp) "
      f"FILTER (WHERE {BASELINES[name]} IS NOT NULL) AS {name}_model_sq"
      for name in sorted(set(_KNOWN_BY.values())))])


def score_sums(reader: Reader, symbol: str, source: str, minutes: int, days: tuple[int, int],
               bin_s: int) -> pd.DataFrame:
    """Sums over bins of `bin_s` by target time of the last `minutes`' scores, for `scoring`.

    Only of quotes of one source: errors on a simulated market say nothing of those on a live one.
    `days` are the least and the greatest number of days from forecast to expiry, by the UTC date
    (in trading hours it is New York's too, and far cheaper over a day's scores). One row per
    horizon_s, role, model_name, model_version and `at` (the bin's start): `forecasts`, `quotes`,
    sums of squared errors in bp² (`model_sq`, and of each of `BASELINES` its `_sq`, how many are
    known `_count`, and the model's on just these `_model_sq`), `covered` quotes among `banded`,
    and the mean `half_spread_bp`.
    """
    frame = reader.frame(f"""
        SELECT horizon_s, role, model_name, model_version,
               date_bin(make_interval(secs => %(bin)s), target_at, 'epoch') AS at,
               count(*) AS forecasts, sum(quotes) AS quotes,
               sum(error_bp * error_bp) AS model_sq,
               {_SUMS},
               sum(coverage * quotes) AS covered,
               (sum(quotes) FILTER (WHERE coverage IS NOT NULL))::float8 AS banded,
               avg(half_spread_bp) AS half_spread_bp
        FROM prediction_scores
        WHERE symbol = %(symbol)s AND source = %(source)s AND quotes > 0 AND error_bp IS NOT NULL
          AND persistence_bp IS NOT NULL AND filtered_persistence_bp IS NOT NULL
          AND target_at > (SELECT max(target_at) FROM prediction_scores
                           WHERE symbol = %(symbol)s AND source = %(source)s)
                          - make_interval(mins => %(minutes)s)
          AND expiry - made_at::date BETWEEN %(first)s AND %(last)s
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""",
                         symbol=symbol, source=source, minutes=minutes, bin=bin_s,
                         first=days[0], last=days[1])
    return frame.assign(**{
        f"{name}_{part}": frame[f"{_KNOWN_BY[name]}_{part}" if name in _KNOWN_BY else whole]
        for name in BASELINES for part, whole in (("count", "forecasts"),
                                                  ("model_sq", "model_sq"))})


def last_check(reader: Reader, symbol: str) -> pd.DataFrame:
    """All findings of the latest check for drift of a symbol; the strongest of a kind first.

    `at`, `source`, `kind` (feature, residual, skill), `subject` (its name, or seconds ahead),
    `model_version`, `samples`, `effective`, `psi`, `psi_limit`, `ks`, `outside`, `skill`, `found`.
    """
    return reader.frame("""
        SELECT d.at, d.source, d.kind, d.subject, d.model_version, d.samples, d.effective, d.psi,
               d.psi_limit, d.ks, d.outside, d.skill, d.found
        FROM drift_checks d
        JOIN (SELECT source, at FROM drift_checks WHERE symbol = %(symbol)s
              ORDER BY at DESC LIMIT 1) n ON d.source = n.source AND d.at = n.at
        WHERE d.symbol = %(symbol)s
        ORDER BY d.kind, CASE WHEN d.kind = 'feature' THEN -d.psi ELSE d.subject::float8 END""",
                        symbol=symbol)


def last_retrainings(reader: Reader) -> pd.DataFrame:
    """`requested_at`, `status`, `ended_at`, `reason`, `detail` of the latest, newest first."""
    return reader.frame("""
        SELECT requested_at, status, ended_at, reason, detail FROM retrainings
        ORDER BY requested_at DESC LIMIT 3""")
