"""What the validation fold says of a fitted network: when to be silent, how wide its bands are.

The band is judged on observed quotes, whose noise the fitted smile does not have: one offset per
horizon is added to either side so that the wanted share of validation quotes lies within
(split-conformal, Romano, Patterson and Candès 2019, "Conformalized quantile regression").
"""

from collections.abc import Sequence

import numpy as np

from ml.baselines import band_at
from ml.contract import MEDIAN
from ml.dataset import Ints, Samples
from ml.history import Series
from ml.scores import Outcome, outcomes
from ml.types import Floats

MIN_BLOCKS = 8
"""Independent stretches of time, each a horizon long, that evidence must span."""


def shrinkage(median: Floats, change: Floats, at_s: Floats,
              horizons_s: Sequence[int]) -> Floats:
    """Per horizon, the weight in [0, 1] of the median that the fold's evidence is enough for, (H,).

    `median` and `change` (N, H, 17), unknown changes NaN, made at `at_s` (N,). The weight with
    the least squared error, less its standard error: forecasts that overlap in time share what
    happens, so only blocks as long as the horizon count as independent, and with fewer than
    `MIN_BLOCKS` of them the model keeps silent.
    """
    return np.array([_weight(median[:, place], change[:, place], (at_s // horizon_s).astype(int))
                     for place, horizon_s in enumerate(horizons_s)])


def _weight(median: Floats, change: Floats, block: Ints) -> float:
    """argmin over w of Σ (w m − y)² is Σ m y / Σ m²; its error is clustered by block."""
    known = np.isfinite(change)
    agreement = np.where(known, median * np.nan_to_num(change), 0.0).sum(axis=1)  # (N,)
    power = np.where(known, median**2, 0.0).sum(axis=1)  # (N,)
    _, places = np.unique(block[known.any(axis=1)], return_inverse=True)
    by_block = [np.bincount(places, sums[known.any(axis=1)]) for sums in (agreement, power)]
    blocks, total = len(by_block[0]), float(power.sum())
    if blocks < MIN_BLOCKS or total == 0.0:
        return 0.0
    best = float(agreement.sum()) / total
    residual = by_block[0] - best * by_block[1]
    error = np.sqrt((residual**2).sum() * blocks / (blocks - 1)) / total
    return float(np.clip(best - error, 0.0, 1.0))


def band_offsets(quantiles: Floats, weights: Floats, samples: Samples,
                 history: Sequence[Series], level: float) -> Floats:
    """Per horizon, what to add to either side of a network's band, (H,).

    `quantiles` (N, H, 3, 17) are the network's own, `weights` (H,) the shrinkage of the median,
    with which the band moves along; `level` is the share of quotes wanted within.
    """
    silenced = (weights - 1.0)[:, None] * quantiles[:, :, MEDIAN]  # (N, H, 17)
    moved = quantiles + silenced[:, :, None]
    return np.array([_offset(moved[:, place], samples, history, place, level)
                     for place in range(quantiles.shape[1])])


def baseline_band(training: Samples, validation: Samples, history: Sequence[Series],
                  level: float) -> Floats:
    """Half-widths of a band around filtered persistence by horizon and grid point, (H, 17).

    Their shape is the training changes' own quantile of size, their level fits the validation
    quotes.
    """
    shape = _sizes(training.change, level)
    offsets = []
    for place, width in enumerate(shape):
        edges = np.stack([-width, np.zeros_like(width), width])
        band = np.broadcast_to(edges, (len(validation), *edges.shape))
        offsets.append(_offset(band, validation, history, place, level))
    return np.asarray(np.maximum(shape + np.array(offsets)[:, None], 0.0))


def _sizes(change: Floats, level: float) -> Floats:
    """Quantile of |change| by horizon and grid point; the horizon's own where never observed."""
    size = np.abs(change)  # (N, H, 17)
    pooled = np.array([_quantile(size[:, place], level) for place in range(size.shape[1])])
    by_point = np.array([[_quantile(size[:, place, point], level)
                          for point in range(size.shape[2])] for place in range(size.shape[1])])
    return np.where(np.isfinite(by_point), by_point, np.nan_to_num(pooled)[:, None])


def _quantile(values: Floats, level: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, level)) if known.size else float("nan")


def _offset(change: Floats, samples: Samples, history: Sequence[Series], horizon: int,
            level: float) -> float:
    """The level's quantile of how far quotes lie outside the band of `change` (N, 3, 17).

    Inside is negative.
    """
    excess = [_excess(change[one.sample], samples.filtered[one.sample], one)
              for one in outcomes(samples, history, horizon)]
    return float(np.quantile(np.concatenate(excess), level)) if excess else 0.0


def _excess(change: Floats, filtered: Floats, one: Outcome) -> Floats:
    lower, smile, upper = filtered + change
    low, high = (band_at(edge, smile, one.tau, one.log_moneyness) for edge in (lower, upper))
    return np.maximum(low - one.mid_iv, one.mid_iv - high)
