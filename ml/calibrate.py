"""What the calibration part says of a fitted network: how much to believe it, how wide its bands.

The band is judged on observed quotes, whose noise the fitted smile does not have: one offset per
horizon is added to either side so that the wanted share of the part's quotes lies within
(split-conformal, Romano, Patterson and Candès 2019, "Conformalized quantile regression").
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ml.baselines import band_at, on_grid
from ml.dataset import Dataset, Ints
from ml.evidence import MIN_BLOCKS, blocks, clustered_error
from ml.folds import Part
from ml.types import Floats

MOST_FORECASTS = 4000
"""Forecasts of a horizon whose quotes are looked at, evenly spaced: enough for a quantile."""
MOST_CHANGES = 20_000
"""Windows whose changes a quantile by grid point is taken of."""


def shrinkage(excess: Floats, missed: Floats, at_s: Floats, horizons_s: Sequence[int]) -> Floats:
    """Per horizon, the weight in [0, 1] of the network that the evidence is enough for, (H,).

    `excess` (N, H, 17) is its median minus the anchor's change, `missed` (N, H, 17) the actual
    change minus the anchor's, NaN where unknown; forecasts made at `at_s` (N,). The weight with
    the least squared error, less its standard error: forecasts that overlap in time share what
    happens, so only blocks as long as the horizon count as independent, and with fewer than
    `MIN_BLOCKS` of them the anchor speaks alone.
    """
    return np.array([_weight(excess[:, place], missed[:, place], at_s, horizon_s)
                     for place, horizon_s in enumerate(horizons_s)])


def _weight(excess: Floats, missed: Floats, at_s: Floats, horizon_s: int) -> float:
    """argmin over w of Σ (w m − y)² is Σ m y / Σ m²; its error is clustered by block."""
    known = np.isfinite(missed)
    agreement = np.where(known, excess * np.nan_to_num(missed), 0.0).sum(axis=1)  # (N,)
    power = np.where(known, excess**2, 0.0).sum(axis=1)  # (N,)
    seen, total = known.any(axis=1), float(power.sum())
    if not seen.any() or blocks(at_s[seen], horizon_s)[1] < MIN_BLOCKS or total == 0.0:
        return 0.0
    best = float(agreement.sum()) / total
    error = clustered_error((agreement - best * power)[seen], at_s[seen], horizon_s) / total
    return float(np.clip(best - error, 0.0, 1.0))


def band_offsets(quantiles: Floats, dataset: Dataset, part: Part, level: float) -> Floats:
    """Per horizon, what to add to either side of a band, (H,).

    `quantiles` (n, H, 3, 17) are the part's forecast changes, `level` the share of quotes wanted
    within.
    """
    return np.array([_offset(quantiles[:, place], dataset, part, place, level)
                     for place in range(quantiles.shape[1])])


def baseline_band(dataset: Dataset, training: Part, calibration: Part, level: float) -> Floats:
    """Half-widths of a band around filtered persistence by horizon and grid point, (H, 17).

    Their shape is the training changes' own quantile of size, their level fits the calibration
    quotes.
    """
    shape = change_sizes(spread(training, MOST_CHANGES).changes(dataset.samples), level)
    band = np.stack([-shape, np.zeros_like(shape), shape], axis=1)  # (H, 3, 17)
    alike = np.broadcast_to(band, (len(calibration), *band.shape))
    offsets = band_offsets(alike, dataset, calibration, level)
    return np.asarray(np.maximum(shape + offsets[:, None], 0.0))


def spread(part: Part, most: int) -> Part:
    """At most so many samples of a part, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(int))
    return Part(part.places[chosen], part.known[chosen])


def change_sizes(change: Floats, level: float) -> Floats:
    """Quantile of |change| (N, H, 17) by horizon and point, (H, 17).

    A point that is never observed takes its horizon's.
    """
    size = np.abs(change)
    pooled = [_quantile(size[:, place], level) for place in range(size.shape[1])]
    by_point = [[_quantile(size[:, place, point], level) for point in range(size.shape[2])]
                for place in range(size.shape[1])]
    return np.where(np.isfinite(by_point), by_point, np.nan_to_num(pooled)[:, None])


def _quantile(values: Floats, level: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, level)) if known.size else float("nan")


def _offset(change: Floats, dataset: Dataset, part: Part, horizon: int, level: float) -> float:
    """The level's quantile of how far quotes lie outside the band of `change` (n, 3, 17).

    Inside is negative.
    """
    chosen = np.flatnonzero(part.known[:, horizon])
    steps = np.unique(np.linspace(0, len(chosen) - 1, min(MOST_FORECASTS, len(chosen))).astype(int))
    excess = list(_excesses(change, dataset, part, horizon, chosen[steps])) if len(chosen) else []
    return float(np.quantile(np.concatenate(excess), level)) if excess else 0.0


def _excesses(change: Floats, dataset: Dataset, part: Part, horizon: int,
              chosen: Ints) -> Iterator[Floats]:
    samples, seen = dataset.samples, dataset.observations
    for at in chosen:
        sample = part.places[at]
        row = samples.target[sample, horizon]
        log_moneyness, mid_iv, _ = seen.quotes(row)
        tau = float(seen.tau[row])
        used = on_grid(log_moneyness, float(seen.atm_vol[row]), tau) & np.isfinite(mid_iv)
        if used.any():
            lower, smile, upper = samples.filtered[sample] + change[at]
            low, high = (band_at(edge, smile, tau, log_moneyness[used])
                         for edge in (lower, upper))
            yield np.maximum(low - mid_iv[used], mid_iv[used] - high)
