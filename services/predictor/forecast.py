"""From a filtered smile and what is said of its change to the forecasts of one feature row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from ml.bands import LEVEL, issue, scaled
from ml.baselines import FILTERED
from ml.calendar import YEAR_SECONDS
from ml.contract import ModelContract
from ml.features import DEVIATIONS
from ml.smile.grid import GRID_SIZE
from ml.stand_in import StandIns
from ml.types import Floats
from services.common.messages import Column, FeatureRow, Forecast, Role

BASELINE_VERSION = "0"
"""Of filtered persistence by the settings, before any contract is known."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a forecast is made of, by the model's contract or, before it is known, by settings."""

    step_s: float
    window: int
    filter_weight: float
    horizons_s: tuple[int, ...]
    half_band: Floats
    """Half-width of the stand-ins' bands, (H, 17); NaN where nobody has measured it."""
    stand_ins: StandIns
    version: str = BASELINE_VERSION
    """Of the model whose stand-ins they are."""
    level: float = LEVEL
    """Share of mids that the bands are to hold."""

    @classmethod
    def plain(cls, step_s: float, window: int, filter_weight: float,
              horizons_s: Sequence[int]) -> "Shape":
        """Filtered persistence without a band."""
        horizons = len(horizons_s)
        return cls(step_s, window, filter_weight, tuple(horizons_s),
                   np.full((horizons, GRID_SIZE), np.nan),
                   StandIns.of((), (FILTERED,) * horizons, window))

    @classmethod
    def of(cls, contract: ModelContract, version: str) -> "Shape":
        """The shape that a model's contract fixes."""
        return cls(contract.step_s, contract.window, contract.filter_weight, contract.horizons_s,
                   np.array(contract.band_fallback, dtype=np.float64),
                   StandIns.of(contract.baselines, contract.anchor, contract.window), version,
                   contract.quantiles[-1] - contract.quantiles[0])


@dataclass(frozen=True, slots=True)
class Case:
    """One feature row to forecast from."""

    row: FeatureRow
    filtered: Floats
    """The filtered smile at the row's instant, (17,)."""
    recent: Floats
    """The smiles that it was filtered from, (W, 17); NaN where one is missing."""
    window: Floats | None
    """The model's input (W, F); None where too little is known for it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made a forecast, and how long it took."""

    model_version: str
    role: Role
    latency_ms: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of one case, and by whom."""

    names: tuple[str, ...]
    """The model's or the baseline's by horizon, (H,)."""
    change: Floats
    """(H, 3, 17) against the filtered smile: lower end of the band, median, upper end."""
    origin: Origin


def stand_in(case: Case, shape: Shape, origin: Origin) -> Word:
    """The anchors' word on a case: of its window, or of what is known of a short history."""
    if case.window is None:
        said = shape.stand_ins.of_short_history(case.recent, case.filtered)
    else:
        said = shape.stand_ins.of_window(case.window[:, DEVIATIONS])
    middle, half = said.change, shape.half_band
    return Word(said.names, np.stack([middle - half, middle, middle + half], axis=1), origin)


def forecasts(case: Case, shape: Shape, word: Word, scales: Floats) -> list[Forecast]:
    """The forecasts of a word, its bands times `scales` (H,), for the horizons before expiry."""
    row, origin = case.row, word.origin
    if row.forward is None:
        raise ValueError("a forecast is made of rows with a smile only")
    tau = row.tau - np.array(shape.horizons_s) / YEAR_SECONDS
    made = issue(case.filtered, scaled(word.change, scales), tau)
    columns = zip(shape.horizons_s, word.names, made.smile.tolist(), _columns(made.lower),
                  _columns(made.upper), scales.tolist(), made.moved.tolist(), strict=True)
    left_s = row.tau * YEAR_SECONDS
    return [Forecast(
        symbol=row.symbol, expiry=row.expiry, made_at=row.ts, horizon_s=horizon_s,
        target_at=row.ts + timedelta(seconds=horizon_s), model_name=name,
        model_version=origin.model_version, role=origin.role, source=row.source,
        forward=row.forward, smile=smile, lower=lower, upper=upper, band_scale=scale,
        repaired=moved > 0.0, note=origin.note, latency_ms=origin.latency_ms)
        for horizon_s, name, smile, lower, upper, scale, moved in columns if horizon_s < left_s]


def _columns(edges: Floats) -> list[Column]:
    """Edges (H, 17) as lists, null where there is none."""
    columns: list[Column] = edges.tolist()
    if np.isfinite(edges).all():
        return columns
    return [[value if math.isfinite(value) else None for value in column]
            for column in edges.tolist()]
