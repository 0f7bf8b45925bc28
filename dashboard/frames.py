"""From typed rows to the long tables that the charts draw; no Streamlit, no SQL."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from dashboard.queries import Forecast, Smile
from ml.smile.grid import ATM_INDEX, GRID_Z, vol_at
from ml.types import Floats

DRAWN_Z: Floats = np.linspace(GRID_Z[0], GRID_Z[-1], 65)
"""Where curves are drawn: every fourth point is one of the grid's."""
YEAR_S = 365 * 86400.0
NEW_YORK = "America/New_York"
QUOTE, FIT, FORECAST, BAND, BASELINE = ("Bid–mid–ask", "Fitted smile", "Forecast", "90 % band",
                                        "Baseline")
ATM_SEEN = "Observed"
SMILE_COLUMNS = ["layer", "z", "log_moneyness", "strike", "iv", "low", "high", "observed"]
REJECT_WORDS = {
    "sentinel": "placeholder value", "no_quote": "no quote", "one_sided": "one side only",
    "zero_bid": "no bid", "crossed": "bid above ask", "locked": "bid equals ask",
    "stale": "too old", "too_wide": "spread too wide",
    "below_intrinsic": "below intrinsic value", "no_vol": "no volatility fits",
    "outlier": "far off the others", "off_parity": "off put-call parity",
    "too_few": "too few on the expiry",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The forecast of one horizon on display, and the baseline's grid smile (17,) beside it."""

    forecast: Forecast | None = None
    baseline: Floats | None = None


def choose(forecasts: list[Forecast], horizon_s: int | None) -> Forecast | None:
    """The champion's forecast at a horizon, or the baseline's that stands in for it."""
    by_role = {item.role: item for item in forecasts if item.horizon_s == horizon_s}
    return by_role.get("champion") or by_role.get("baseline")


def forecast_tau(smile: Smile, forecast: Forecast) -> float:
    """Years from the forecast's target to expiry, by the smile's own τ."""
    ahead = (forecast.target_at - smile.ts).total_seconds()
    return max(smile.tau - ahead / YEAR_S, 0.0)


def smile_points(smile: Smile, shown: Shown) -> pd.DataFrame:
    """Quotes, fitted curve, forecast, band and baseline as one long table: `SMILE_COLUMNS`.

    Grid points lie at k = z σ_ATM √τ and K = F eᵏ of their own curve; quotes at their strikes.
    """
    parts = [_quotes(smile), _fit(smile)]
    if shown.baseline is not None:
        parts.append(_curve(BASELINE, shown.baseline, smile.tau, smile.forward))
    if shown.forecast is not None:
        forecast, tau = shown.forecast, forecast_tau(smile, shown.forecast)
        parts += [_band(forecast, tau), _curve(FORECAST, forecast.smile, tau, forecast.forward)]
    return pd.concat(parts, ignore_index=True).reindex(columns=SMILE_COLUMNS)


def difference_points(smile: Smile, shown: Shown) -> pd.DataFrame:
    """`smile_points` less the fitted curve at the same strike, as `bp`, `low`, `high` in bp.

    Bars are cut at a height that leaves the forecast readable: illiquid wings are wider.
    """
    points = smile_points(smile, shown)
    fitted = vol_at(smile.grid_vol, smile.tau, np.log(points["strike"] / smile.forward))
    points["bp"] = 1e4 * (points["iv"] - fitted)
    ends = points[["low", "high"]].sub(fitted, axis=0) * 1e4
    quotes = points["layer"] == QUOTE
    drawn = [ends[~quotes].abs().max(axis=None), points["bp"][~quotes].abs().max(),
             2.5 * ends[quotes].abs().median(axis=None), 5.0]
    limit = float(np.nanmax(drawn)) * 1.1
    points[["low", "high"]] = ends.clip(-limit, limit)
    kept = (points["layer"] != FIT) & ~(quotes & (points["bp"].abs() > limit))
    return points[kept].reset_index(drop=True)


def atm_points(seen: pd.DataFrame, forecasts: pd.DataFrame) -> pd.DataFrame:
    """`layer`, `at` (New York, naive), `atm_vol`, `lower`, `upper`: observed and forecast.

    Times lose their zone on purpose: a chart shows them as they are, whatever the browser's.
    """
    observed = pd.DataFrame({"layer": ATM_SEEN, "at": new_york(seen["ts"]),
                             "atm_vol": seen["atm_vol"]})
    ahead = pd.DataFrame({"layer": FORECAST, "at": new_york(forecasts["target_at"]),
                          "atm_vol": forecasts["atm_vol"], "lower": forecasts["lower"],
                          "upper": forecasts["upper"]})
    table = observed if ahead.empty else pd.concat([observed, ahead], ignore_index=True)
    return table.reindex(columns=["layer", "at", "atm_vol", "lower", "upper"])


def surface_points(smiles: list[Smile]) -> pd.DataFrame:
    """Every expiry's fitted curve, one row per grid point, with `expiry` as a label."""
    curves = [_fit(smile).assign(expiry=label(smile), tau_days=smile.tau * 365)
              for smile in smiles if np.isfinite(smile.atm_vol)]
    columns = [*SMILE_COLUMNS, "expiry", "tau_days"]
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=columns)


def term_points(smiles: list[Smile]) -> pd.DataFrame:
    """ATM volatility and total variance by expiry, with the numbers for a table beside it."""
    return pd.DataFrame([{
        "expiry": label(smile), "tau_days": smile.tau * 365, "forward": smile.forward,
        "forward_by": smile.forward_source or "",
        "atm_vol": smile.atm_vol, "total_variance": smile.atm_vol ** 2 * smile.tau,
        "variance_swap_vol": smile.variance_swap_vol, "skew": smile.skew,
        "risk_reversal_25": smile.risk_reversal_25, "butterfly_25": smile.butterfly_25,
        "confidence": smile.confidence, "fit_error_bp": smile.fit_error * 1e4,
        "repaired": repair_text(smile),
        "quotes": f"{smile.quotes_used} of {smile.quotes_total}", "reason": smile.reason or "",
    } for smile in smiles])


def desk(smile: Smile) -> pd.DataFrame:
    """What a desk reads off a smile, in words and figures: `Measure`, `Value`."""
    return pd.DataFrame([
        ("25Δ risk reversal", number(smile.risk_reversal_25, "+.2%")),
        ("25Δ butterfly", number(smile.butterfly_25, "+.2%")),
        ("Skew dσ/dk", number(smile.skew, "+.3f")),
        ("Variance swap", number(smile.variance_swap_vol, ".2%")),
        ("Forward by", f"{smile.forward_source or '–'} ± {number(smile.forward_error, '.3f')}"),
    ], columns=["Measure", "Value"])


def repair_text(smile: Smile) -> str:
    """Which arbitrage was repaired and by how much, such as `butterfly, 1.2 bp`; or nothing."""
    if not smile.repaired:
        return ""
    return f"{', '.join(smile.repaired)}, {number(smile.moved * 1e4, '.1f', ' bp')}"


def arbitrage_left(smile: Smile) -> list[str]:
    """Names of the arbitrage that a smile still has; of what is not known nothing is said."""
    if smile.reason:
        return []
    checks = {"butterfly": smile.butterfly_ok, "calendar": smile.calendar_ok, "lee": smile.lee_ok}
    return [name for name, ok in checks.items() if ok is not None and not ok]


def number(value: float, form: str, unit: str = "") -> str:
    """A formatted number, or a dash where it is missing."""
    return f"{value:{form}}{unit}" if math.isfinite(value) else "–"


def latency_points(latencies: pd.DataFrame) -> pd.DataFrame:
    """`at` (New York, naive), `percentile`, `latency_ms`: one row per line and half minute."""
    table = latencies.melt(id_vars="ts", value_vars=["p50", "p95", "p99"],
                           var_name="percentile", value_name="latency_ms")
    return table.assign(at=new_york(table["ts"])).drop(columns="ts")


def rejects(smile: Smile) -> pd.DataFrame:
    """`Rejected because` and `Quotes`, most frequent first."""
    ordered = sorted(smile.rejects.items(), key=lambda item: -item[1])
    return pd.DataFrame([(REJECT_WORDS.get(code, code.replace("_", " ")), count)
                         for code, count in ordered], columns=["Rejected because", "Quotes"])


def label(smile: Smile) -> str:
    """An expiry as axes and legends write it, e.g. `19 Dec 2025`."""
    return f"{smile.expiry:%d %b %Y}"


def new_york(times: pd.Series) -> pd.Series:
    """The wall-clock times in New York, without a zone."""
    return pd.to_datetime(times, utc=True).dt.tz_convert(NEW_YORK).dt.tz_localize(None)


def horizon_text(seconds: int) -> str:
    """`30 s`, `5 min` or `2 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def clock(at: datetime) -> str:
    """The time of day in New York."""
    return f"{pd.Timestamp(at).tz_convert(NEW_YORK):%H:%M:%S}"


def _quotes(smile: Smile) -> pd.DataFrame:
    log_moneyness = np.log(smile.quote_strike / smile.forward)
    width = smile.atm_vol * np.sqrt(smile.tau)
    return pd.DataFrame({
        "layer": QUOTE, "z": log_moneyness / width, "log_moneyness": log_moneyness,
        "strike": smile.quote_strike, "iv": smile.quote_mid_iv, "low": smile.quote_bid_iv,
        "high": smile.quote_ask_iv, "observed": True,
    })


def _fit(smile: Smile) -> pd.DataFrame:
    curve = _curve(FIT, smile.grid_vol, smile.tau, smile.forward)
    nearest = np.rint(np.interp(curve["z"], GRID_Z, np.arange(len(GRID_Z)))).astype(int)
    return curve.assign(observed=smile.grid_observed[nearest].astype(bool))


def _curve(layer: str, vol: Floats, tau: float, forward: float) -> pd.DataFrame:
    """The curve between the grid's points as scores read it; nothing where it is unknown."""
    log_moneyness = DRAWN_Z * vol[ATM_INDEX] * np.sqrt(tau)
    return pd.DataFrame({
        "layer": layer, "z": DRAWN_Z, "log_moneyness": log_moneyness,
        "strike": forward * np.exp(log_moneyness), "iv": vol_at(vol, tau, log_moneyness),
    }).dropna()


def _band(forecast: Forecast, tau: float) -> pd.DataFrame:
    """The band lies around the drawn curve at the distances that the forecast gives."""
    curve = _curve(BAND, forecast.smile, tau, forecast.forward)
    low, high = (curve["iv"] + np.interp(curve["z"], GRID_Z, edge - forecast.smile)
                 for edge in (forecast.lower, forecast.upper))
    return curve.drop(columns="iv").assign(low=low, high=high).dropna()
