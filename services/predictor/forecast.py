"""From a filtered smile and what a model says of it to the forecasts of one feature row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from ml.calendar import YEAR_SECONDS
from ml.contract import ModelContract
from ml.smile.grid import GRID_SIZE, MAX_VOL, MIN_VOL
from ml.smile.grid_repair import repair
from ml.types import Floats
from services.common.messages import Column, FeatureRow, Forecast, Role

BASELINE = "filtered_persistence"
BASELINE_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a forecast is made of, by the model's contract or, before it is known, by settings."""

    step_s: float
    window: int
    filter_weight: float
    horizons_s: tuple[int, ...]
    half_band: Floats | None = None
    """Half-width of the baseline's band, (H, 17); None where nobody has measured it."""

    @classmethod
    def of(cls, contract: ModelContract) -> "Shape":
        """The shape that a model's contract fixes."""
        return cls(contract.step_s, contract.window, contract.filter_weight, contract.horizons_s,
                   np.array(contract.band_fallback, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Case:
    """One feature row to forecast from."""

    row: FeatureRow
    filtered: Floats
    """The filtered smile at the row's instant, (17,)."""
    window: Floats | None
    """The model's input (W, F); None where too little is known for it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made a forecast, and how long it took."""

    model_name: str
    model_version: str
    role: Role
    latency_ms: float
    note: str | None = None


def model_forecasts(case: Case, shape: Shape, change: Floats, origin: Origin) -> list[Forecast]:
    """The forecasts of a model's `change` (H, Q, 17) of the filtered smile.

    Its quantiles are ascending with the median in the middle; the outer ones are the band.
    """
    made = []
    for place, horizon_s in _horizons(case.row, shape.horizons_s):
        smiles = case.filtered + change[place]
        band = smiles[0], smiles[-1]
        made.append(_forecast(case.row, horizon_s, smiles[len(smiles) // 2], band, origin))
    return made


def baseline_forecasts(case: Case, shape: Shape, origin: Origin) -> list[Forecast]:
    """The filtered smile held at every horizon."""
    made = []
    for place, horizon_s in _horizons(case.row, shape.horizons_s):
        half = np.full(GRID_SIZE, np.nan) if shape.half_band is None else shape.half_band[place]
        band = case.filtered - half, case.filtered + half
        made.append(_forecast(case.row, horizon_s, case.filtered, band, origin))
    return made


def _horizons(row: FeatureRow, horizons_s: Sequence[int]) -> list[tuple[int, int]]:
    """Place and length of the horizons that end before the expiry."""
    left_s = row.tau * YEAR_SECONDS
    return [(place, length) for place, length in enumerate(horizons_s) if length < left_s]


def _forecast(row: FeatureRow, horizon_s: int, raw: Floats, band: tuple[Floats, Floats],
              origin: Origin) -> Forecast:
    if row.forward is None:
        raise ValueError("a forecast is made of rows with a smile only")
    smile, moved = repair(raw, row.tau - horizon_s / YEAR_SECONDS)
    return Forecast(
        symbol=row.symbol, expiry=row.expiry, made_at=row.ts, horizon_s=horizon_s,
        target_at=row.ts + timedelta(seconds=horizon_s), model_name=origin.model_name,
        model_version=origin.model_version, role=origin.role, source=row.source,
        forward=row.forward, smile=smile.tolist(),
        # A repaired smile may leave its band, which then is made to hold it.
        lower=_column(np.minimum(np.maximum(band[0], MIN_VOL), smile)),
        upper=_column(np.maximum(np.minimum(band[1], MAX_VOL), smile)),
        repaired=moved > 0.0, note=origin.note, latency_ms=origin.latency_ms)


def _column(values: Floats) -> Column:
    return [value if math.isfinite(value) else None for value in values.tolist()]
