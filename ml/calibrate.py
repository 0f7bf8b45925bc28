"""What the calibration part says of a fitted network: how much to believe it, how wide its bands.

The band is judged on observed quotes, whose noise the fitted smile does not have: its half-widths
are multiplied by one factor per horizon, so that the wanted share of the part's quotes lies within
(split conformal with a normalised score: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, 2018,
"Distribution-Free Predictive Inference for Regression", section 5.2). A horizon of which the part
holds no observed quote takes the factor of the horizon before; that is said.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from ml.baselines import band_at, on_grid
from ml.dataset import Dataset
from ml.errors import TrainingDataError
from ml.evidence import MIN_BLOCKS, blocks, clustered_error
from ml.folds import Part
from ml.smile.grid import vol_at
from ml.spread import spread
from ml.types import Floats, Ints

MOST_FORECASTS = 4000
"""Forecasts of a horizon whose quotes are looked at, evenly spaced: enough for a quantile."""
SMALLEST_WIDTH = 1e-6
"""Of a band, in volatility: a hundredth of a basis point."""
MOST_CHANGES = 20_000
"""Windows whose changes a quantile by grid point is taken of."""
log = logging.getLogger(__name__)


def shrinkage(excess: Floats, missed: Floats, at_s: Floats, horizons_s: Sequence[int],
              points: Floats) -> Floats:
    """Per horizon, the weight in [0, 1] of the network that the evidence is enough for, (H,).

    `excess` (N, H, 17) is its median minus the anchor's change, `missed` (N, H, 17) the actual
    change minus the anchor's, NaN where unknown; forecasts made at `at_s` (N,), and `points` (17,)
    says what an error at each grid point weighs. The weight with
    the least squared error, less its standard error: forecasts that overlap in time share what
    happens, so only blocks as long as the horizon count as independent, and with fewer than
    `MIN_BLOCKS` of them the anchor speaks alone.
    """
    return np.array([_weight(excess[:, place], missed[:, place], at_s, horizon_s, points)
                     for place, horizon_s in enumerate(horizons_s)])


def _weight(excess: Floats, missed: Floats, at_s: Floats, horizon_s: int,
            points: Floats) -> float:
    """argmin over w of Σ (w m − y)² is Σ m y / Σ m²; its error is clustered by block."""
    known = np.isfinite(missed)
    agreement = (excess * np.nan_to_num(missed)) @ points  # (N,)
    power = np.where(known, excess**2, 0.0) @ points  # (N,)
    seen, total = known.any(axis=1), float(power.sum())
    if not seen.any() or blocks(at_s[seen], horizon_s)[1] < MIN_BLOCKS or total == 0.0:
        return 0.0
    best = float(agreement.sum()) / total
    error = clustered_error((agreement - best * power)[seen], at_s[seen], horizon_s) / total
    return float(np.clip(best - error, 0.0, 1.0))


def band_factors(quantiles: Floats, dataset: Dataset, part: Part, level: float) -> Floats:
    """Per horizon, what to multiply a band's half-widths by, (H,).

    `quantiles` (n, H, 3, 17) are the part's forecast changes, `level` the share of quotes wanted
    within. A horizon of which nothing was observed takes the factor of the one before, the first
    that of the next.

    Raises:
        TrainingDataError: nothing was observed of any horizon.
    """
    factors = np.array([_factor(quantiles[:, place], dataset, part, place, level)
                        for place in range(quantiles.shape[1])])
    seen = np.flatnonzero(np.isfinite(factors))
    if not len(seen):
        raise TrainingDataError("too little history: the calibration part holds no observed quote "
                                "to fit the bands' width to")
    before = np.maximum(np.searchsorted(seen, np.arange(len(factors)), side="right") - 1, 0)
    taken = seen[before]
    for place in np.flatnonzero(~np.isfinite(factors)).tolist():
        _tell(dataset.args.horizons_s[place], dataset.args.horizons_s[taken[place]])
    return np.asarray(factors[taken])


@lru_cache(maxsize=64)
def _tell(horizon_s: int, taken_s: int) -> None:
    log.warning("no quote %d s ahead was observed in a calibration part: its bands take the "
                "factor of %d s", horizon_s, taken_s)


def baseline_band(dataset: Dataset, training: Part, calibration: Part, level: float) -> Floats:
    """Half-widths of a band around filtered persistence by horizon and grid point, (H, 17).

    Their shape is the training changes' own quantile of size, their level fits the calibration
    quotes.
    """
    shape = change_sizes(spread(training, MOST_CHANGES).changes(dataset.samples), level)
    shape = np.maximum(shape, SMALLEST_WIDTH)
    band = np.stack([-shape, np.zeros_like(shape), shape], axis=1)  # (H, 3, 17)
    alike = np.broadcast_to(band, (len(calibration), *band.shape))
    return np.asarray(shape * band_factors(alike, dataset, calibration, level)[:, None])


def change_sizes(change: Floats, level: float) -> Floats:
    """Quantile of |change| (N, H, 17) by horizon and point, (H, 17).

    A point that is never observed takes its horizon's; NaN where nothing of that is observed.
    """
    size = np.abs(change)
    pooled = [_quantile(size[:, place], level) for place in range(size.shape[1])]
    by_point = [[_quantile(size[:, place, point], level) for point in range(size.shape[2])]
                for place in range(size.shape[1])]
    return np.where(np.isfinite(by_point), by_point, np.array(pooled)[:, None])


def _quantile(values: Floats, level: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, level)) if known.size else float("nan")


def _factor(change: Floats, dataset: Dataset, part: Part, horizon: int, level: float) -> float:
    """The level's quantile of quotes' distances from the median of `change` (n, 3, 17), in
    half-widths of the band on their side; NaN where nothing was observed."""
    chosen = np.flatnonzero(part.known[:, horizon])
    steps = np.unique(np.linspace(0, len(chosen) - 1, min(MOST_FORECASTS, len(chosen))).astype(int))
    ratios = np.concatenate([np.empty(0), *_ratios(change, dataset, part, horizon, chosen[steps])])
    return float(np.quantile(ratios, level)) if len(ratios) else float("nan")


def _ratios(change: Floats, dataset: Dataset, part: Part, horizon: int,
            chosen: Ints) -> Iterator[Floats]:
    samples, seen = dataset.samples, dataset.observations
    for at in chosen:
        sample = part.places[at]
        row = samples.target[sample, horizon]
        log_moneyness, mid_iv, _ = seen.quotes(row)
        tau = float(seen.tau[row])
        used = on_grid(log_moneyness, float(seen.atm_vol[row]), tau) & np.isfinite(mid_iv)
        if used.any():
            edges = samples.filtered[sample] + change[at]  # (3, 17)
            yield _distances(edges, tau, log_moneyness[used], mid_iv[used])


def _distances(edges: Floats, tau: float, log_moneyness: Floats, mid_iv: Floats) -> Floats:
    """How far quotes (m,) lie from the median, in half-widths of the band there."""
    lower, smile, upper = edges
    middle = vol_at(smile, tau, log_moneyness)
    low, high = (band_at(edge, smile, tau, log_moneyness) for edge in (lower, upper))
    width = np.where(mid_iv < middle, middle - low, high - middle)
    return np.abs(mid_iv - middle) / np.maximum(width, SMALLEST_WIDTH)
