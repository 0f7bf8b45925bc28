"""Fitting the baselines on training rows, in chunks, so that the rows need not fit in memory."""

import numpy as np

from ml.args import DataArgs
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
from ml.dataset import Samples
from ml.folds import Part
from ml.types import Floats


def fit_baselines(samples: Samples, part: Part, args: DataArgs) -> tuple[LinearBaseline, ...]:
    """All of `BASELINES`, in that order, fitted on the rows of a training part only.

    Persistence and sticky strike have nothing to fit. The weight of the EWMA is the one of least
    squared error, per horizon. The Kalman filter's ratio of variances is the most likely one of
    the windows' innovations, the same at all horizons. AR and HAR correct the EWMA.
    """
    rows = Rows(samples, part, args.horizons_s)
    window, horizons = samples.windows.shape[1], len(args.horizons_s)
    sums = moments(rows)
    newest = np.eye(window)[-1:].repeat(horizons, axis=0)
    ewma, kalman = _tuned_ewma(sums), _likeliest_kalman(sums).repeat(horizons, axis=0)
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


def _tuned_ewma(sums: Moments) -> Floats:
    """The rows' weights of least squared error by horizon, (H, W)."""
    tried = np.stack([ewma_row(weight, sums.power.shape[1]) for weight in EWMA_WEIGHTS])  # (K, W)
    loss = np.einsum("kw,hwv,kv->hk", tried, sums.power, tried)
    loss -= 2.0 * sums.response @ tried.T
    return np.asarray(tried[loss.argmin(axis=1)])


def _likeliest_kalman(sums: Moments) -> Floats:
    """The rows' weights of the most likely local level, (1, W)."""
    window = sums.by_point.shape[1]
    likelihood = [kalman_log_likelihood(ratio, sums.by_point, sums.count)
                  for ratio in SIGNAL_TO_NOISE] if window > 1 else [0.0]
    return kalman_rows(float(SIGNAL_TO_NOISE[int(np.argmax(likelihood))]), window)[-1:]
