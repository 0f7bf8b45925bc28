"""A surface as a JSON document; `docs/smile.md` says what each key is. Missing is null."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml.pricing.term import TermStructure
from ml.smile.confidence import evidence_of, factors
from ml.smile.convert import SviConversionError, to_jump_wings
from ml.smile.curve import KNOTS
from ml.smile.desk import FixedTenor, swap_beyond
from ml.smile.grid import GRID_Z
from ml.smile.reading import Reading, SurfaceReading, ex_date
from ml.types import SmileSnapshot

SCHEMA = 1
"""Version of the document; it rises when a key changes its meaning or goes."""

Json = dict[str, Any]


def document(readings: Sequence[SurfaceReading], source: str) -> Json:
    """The readings as what `json.dumps(…, allow_nan=False)` takes."""
    whole: Json = _plain({"schema": SCHEMA, "source": source, "grid_z": GRID_Z,
                          "surfaces": [_surface(reading) for reading in readings]})
    return whole


def _surface(reading: SurfaceReading) -> Json:
    surface, clock = reading.surface, reading.clock
    return {
        "symbol": surface.symbol, "at": surface.at,
        "clock": {"name": "trading" if clock.trading else "calendar",
                  "closed_weight": clock.closed_weight if clock.trading else None},
        "term": None if surface.term is None else _term(surface.term, reading),
        "smiles": [_smile(one) for one in reading.expiries],
        "fixed_tenors": [_tenor(tenor) for tenor in reading.tenors],
    }


def _term(term: TermStructure, reading: SurfaceReading) -> Json:
    at = reading.surface.at
    return {
        **_fields(term, "spot", "spot_error", "spot_gap", "spot_off", "rate_error"),
        "dividends": [
            {"ex_date": ex_date(at, years), "amount": amount, "error": error}
            for years, amount, error in zip(term.dividend_times.tolist(), term.dividends.tolist(),
                                            term.dividend_errors.tolist(), strict=True)],
    }


def _smile(one: Reading) -> Json:
    smile = one.smile
    return {
        **_fields(smile, "expiry", "tau", "reason", "underlying", "forward", "forward_error",
                  "forward_source", "discount", "borrow", "atm_vol", "desk"),
        "days": one.days,
        "variance_swap_beyond": swap_beyond(smile),
        "rate": -np.log(smile.discount) / (one.days / 365) if smile.discount > 0 else None,
        "svi": None if smile.svi is None else _svi(smile),
        "bumps": None if smile.curve is None else {
            "scale": smile.curve.scale, "knots": KNOTS, "coefficients": smile.curve.bumps},
        "grid": {"vol": smile.grid_vol, "observed": smile.grid_observed},
        "fit": {"error": smile.fit_error, "half_spread": one.half_spread, "inside": one.inside},
        "arbitrage": {**_fields(smile, "butterfly_ok", "calendar_ok", "lee_ok", "repaired"),
                      "moved": smile.moved},
        "confidence": {"value": smile.confidence, "factors": factors(evidence_of(smile))},
        "counts": {"total": smile.quotes_total, "rejects": smile.rejects,
                   "used": 0 if smile.reason else len(smile.quotes.strike)},
        "quote_age_s": smile.quote_age_s,
        "quotes": _quotes(one),
    }


def _svi(smile: SmileSnapshot) -> Json:
    assert smile.svi is not None
    try:
        wings = to_jump_wings(smile.svi, smile.tau)
    except SviConversionError:
        wings = None
    return {"raw": smile.svi, "jump_wings": wings}


def _quotes(one: Reading) -> Json:
    points, rich = one.smile.quotes, one.residuals
    return {
        "right": np.where(points.strike >= one.smile.forward, "C", "P"),
        **_fields(points, "strike", "log_moneyness"),
        "bid_vol": points.bid_iv, "mid_vol": points.mid_iv, "ask_vol": points.ask_iv,
        "rich_vol": rich.vol, "rich_half_spreads": rich.half_spreads, "inside": rich.inside,
    }


def _tenor(tenor: FixedTenor) -> Json:
    return _fields(tenor, *FixedTenor.__slots__)


def _fields(record: Any, *names: str) -> Json:
    return {name: getattr(record, name) for name in names}


def _plain(value: Any) -> Any:
    """`value` in JSON's own types: numbers that are not finite are null, dates ISO texts."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value.tolist()]
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return {name: _plain(getattr(value, name)) for name in value.__slots__}
