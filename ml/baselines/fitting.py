"""Fitting the baselines on training rows, in chunks, so that the rows need not fit in memory."""

import numpy as np

from ml.baselines.components import components, lags, regress
from ml.baselines.filters import (
    EWMA_WEIGHTS,
    SIGNAL_TO_NOISE,
    ewma_row,
    kalman_log_likelihood,
    kalman_rows,
)
from ml.baselines.linear import LinearBaseline, as_tuples
from ml.baselines.moments import Moments, Rows, moments
from ml.dataset import Dataset
from ml.evidence import MIN_BLOCKS, blocks
from ml.folds import Part
from ml.types import Floats, Ints


def fit_baselines(dataset: Dataset, part: Part, points: Floats) -> tuple[LinearBaseline, ...]:
    """All of `BASELINES`, in that order, fitted on the rows of a training part only.

    `points` (17,) says what an error at each grid point weighs, see `quote_density`.

    Persistence and sticky strike have nothing to fit. The weight of the EWMA is the one of least
    squared error, per horizon; where the rows span too little time to tell, that of the horizon
    before, for of a level under noise the same average is best at any horizon (Muth, 1960,
    "Optimal properties of exponentially weighted forecasts"). The Kalman filter's ratio of
    variances is the most likely one of the innovations of windows without gaps, the same at all
    horizons. AR and HAR correct the EWMA.
    """
    rows = Rows(dataset.samples, part, dataset.args.horizons_s, points)
    window, horizons = dataset.samples.windows.shape[1], len(dataset.args.horizons_s)
    tried = np.stack([ewma_row(weight, window) for weight in EWMA_WEIGHTS])  # (K, W)
    sums = moments(rows, tried)
    newest = np.eye(window)[-1:].repeat(horizons, axis=0)
    ewma = tried[_inherited(sums.losses.argmin(axis=0), rows)]  # (H, W)
    kalman = _likeliest_kalman(sums, points).repeat(horizons, axis=0)
    loadings = components(sums.across)

    def regression(name: str) -> LinearBaseline:
        weights = regress(rows, ewma, loadings, lags(name, window))
        return LinearBaseline(name=name, base=as_tuples(ewma), loadings=as_tuples(loadings),
                              weights=as_tuples(weights))

    return (LinearBaseline(name="persistence", base=as_tuples(newest)),
            LinearBaseline(name="ewma", base=as_tuples(ewma)),
            LinearBaseline(name="sticky_strike", held_by="strike", base=as_tuples(newest)),
            regression("ar"), regression("har"),
            LinearBaseline(name="kalman", base=as_tuples(kalman)))


def _inherited(chosen: Ints, rows: Rows) -> Ints:
    """The choices by horizon (H,), ascending; the one before's where there is no evidence."""
    for place, horizon_s in enumerate(rows.horizons_s):
        if place and blocks(rows.at_s, horizon_s)[1] < MIN_BLOCKS:
            chosen[place] = chosen[place - 1]
    return chosen


def _likeliest_kalman(sums: Moments, points: Floats) -> Floats:
    """The rows' weights of the most likely local level, (1, W); the newest only without rows."""
    window = sums.by_point.shape[1]
    if window == 1 or not sums.complete:
        return np.eye(window)[-1:]
    likelihood = [kalman_log_likelihood(ratio, sums.by_point, sums.complete, points)
                  for ratio in SIGNAL_TO_NOISE]
    return kalman_rows(float(SIGNAL_TO_NOISE[int(np.argmax(likelihood))]), window)[-1:]
