"""Weights of a window's rows by which a filter of the smile is an average of them, newest last."""

import numpy as np

from ml.types import Floats

EWMA_WEIGHTS = np.concatenate([np.arange(0.02, 0.1, 0.02), np.arange(0.1, 1.01, 0.05)])
"""Weights of the newest row that are tried."""
SIGNAL_TO_NOISE = np.logspace(-4.0, 4.0, 49)
"""Ratios q/r of the local level's steps to what is added to each observation, in variance."""


def ewma_row(weight: float, window: int) -> Floats:
    """Weights (W,) of the exponentially weighted mean, normalised over the window.

    >>> ewma_row(0.5, 2).round(3).tolist()
    [0.333, 0.667]
    """
    decay = (1.0 - weight) ** np.arange(window - 1, -1, -1.0)
    return np.asarray(decay / decay.sum())


def kalman_rows(ratio: float, window: int) -> Floats:
    """What a local level's Kalman filter knows after each row of a window, (W, W).

    Row t holds the weights of rows 0 … t in the filtered level at t, with a diffuse start: Durbin
    and Koopman (2012), "Time Series Analysis by State Space Methods", section 2.2 and 2.9, with
    variances in units of the observation's.

    >>> kalman_rows(1.0, 2).round(3).tolist()  # gain (1 + 1) / (1 + 1 + 1)
    [[1.0, 0.0], [0.333, 0.667]]
    """
    rows = np.zeros((window, window))
    rows[0, 0] = 1.0
    for row, gain in enumerate(_gains(ratio, window)[1:], start=1):
        rows[row] = (1.0 - gain) * rows[row - 1]
        rows[row, row] = gain
    return rows


def kalman_log_likelihood(ratio: float, moments: Floats, count: int, points: Floats) -> float:
    """Of the windows' innovations, up to a constant, at q/r = `ratio`.

    `moments` (17, W, W) are the sums of d dᵀ over `count` windows of deviations d by grid point.
    The level of noise is each point's own, concentrated out (Durbin and Koopman, section 2.10);
    `points` (17,) are the weights of the points' likelihoods.
    """
    window = moments.shape[1]
    rows, gains = kalman_rows(ratio, window), _gains(ratio, window)
    innovations = np.eye(window)[1:] - rows[:-1]  # (W − 1, W)
    variance = 1.0 / (1.0 - gains[1:])  # F = P + r is r / (1 − K), (W − 1,)
    square = np.einsum("tw,gwv,tv->gt", innovations, moments, innovations) / variance
    noise = np.maximum(square.sum(axis=1), np.finfo(float).tiny)  # (17,)
    return float(-0.5 * count * (points.sum() * np.log(variance).sum()
                                 + (window - 1) * (points @ np.log(noise))))


def _gains(ratio: float, window: int) -> Floats:
    """Kalman gains (W,); the first, of a diffuse start, is 1."""
    gains, uncertainty = np.ones(window), 1.0
    for row in range(1, window):
        predicted = uncertainty + ratio
        gains[row] = uncertainty = predicted / (predicted + 1.0)
    return gains
