"""AR and HAR on principal components of the smile: ridge regressions of what a filter misses.

A component's move over a horizon is regressed on the same component's scores in the window: on
every row's (AR), or on the latest, the mean of the last five and that of all (HAR; Corsi, 2009,
"A Simple Approximate Long-Memory Model of Realized Volatility"). The forecast is direct, one
regression per horizon, and its penalty is the one that did best on the last quarter of the
training rows when fitted on those before.
"""

from dataclasses import dataclass

import numpy as np

from ml.baselines.linear import filter_of
from ml.baselines.moments import Rows
from ml.types import Floats

COMPONENTS = 3
"""Level, slope and curvature."""
PENALTIES = (*np.logspace(-3.0, 3.0, 13).tolist(), np.inf)
"""In units of the regressors' mean power; infinity leaves the filter as it is."""
INNER_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal equations of one horizon: Σ x xᵀ (P, P), Σ x y (P,) and Σ y² over known points."""

    power: Floats
    response: Floats
    square: float

    def __add__(self, other: "Normal") -> "Normal":
        return Normal(self.power + other.power, self.response + other.response,
                      self.square + other.square)

    def solve(self, penalty: float) -> Floats:
        """Ridge coefficients (P,)."""
        scale = np.diag(self.power).mean()
        if not np.isfinite(penalty) or scale <= 0.0:
            return np.zeros(len(self.response))
        ridge = self.power + penalty * scale * np.eye(len(self.response))
        return np.asarray(np.linalg.solve(ridge, self.response))

    def loss(self, coefficients: Floats) -> float:
        """Sum of squared errors of coefficients (P,)."""
        fitted = coefficients @ self.power @ coefficients
        return float(self.square - 2.0 * coefficients @ self.response + fitted)


def components(across: Floats, count: int = COMPONENTS) -> Floats:
    """Leading eigenvectors (R, 17) of the smiles' second moments (17, 17), orthonormal.

    Signs are fixed, so that the same rows give the same numbers everywhere.
    """
    leading = np.linalg.eigh(across)[1][:, ::-1][:, :count].T
    signs = np.sign(leading[np.arange(count), np.abs(leading).argmax(axis=1)])
    return np.asarray(leading * signs[:, None])


def lags(kind: str, window: int) -> Floats:
    """Which means of a window's rows are regressed on, (L, W).

    >>> lags("har", 10).sum(axis=1).tolist()
    [1.0, 1.0, 1.0]
    """
    if kind == "ar":
        return np.eye(window)
    means = [np.arange(window) >= window - min(rows, window) for rows in (1, 5, window)]
    return np.stack([rows / rows.sum() for rows in means])


def regress(rows: Rows, base: Floats, loadings: Floats, regressors: Floats) -> Floats:
    """Weights (H, R, W) of the correction to a filter of weights `base` (H, W).

    `loadings` (R, 17) are the components, `regressors` (L, W) what of a window is regressed on.
    """
    early, between, late = _in_time(rows, base, loadings, regressors)
    chosen = [_coefficients(*parts) for parts in zip(early, between, late, strict=True)]
    shape = (len(base), len(loadings), len(regressors))
    return np.asarray(np.stack(chosen).reshape(shape) @ regressors)


def _coefficients(early: Normal, between: Normal, late: Normal) -> Floats:
    losses = [late.loss(early.solve(penalty)) for penalty in PENALTIES]
    return (early + between + late).solve(PENALTIES[int(np.argmin(losses))])


def _in_time(rows: Rows, base: Floats, loadings: Floats,
             regressors: Floats) -> tuple[list[Normal], ...]:
    """Normal equations by horizon: of the earlier rows, of those whose target is not earlier
    than the last quarter, and of the last quarter."""
    begin = np.quantile(rows.at_s, INNER_SHARE)
    size = len(loadings) * len(regressors)
    filtered = filter_of(base)
    sums = tuple([Normal(np.zeros((size, size)), np.zeros(size), 0.0) for _ in base]
                 for _ in range(3))
    for at_s, deviations, change in rows:
        scores = np.einsum("lw,nwg,rg->nrl", regressors, deviations, loadings, optimize=True)
        missed = change - filtered.changes(deviations)
        for place, horizon_s in enumerate(rows.horizons_s):
            when = (at_s + horizon_s > begin).astype(int) + (at_s >= begin)
            for third, normals in enumerate(sums):
                chosen = when == third
                normals[place] += _normal(scores[chosen], missed[chosen, place], loadings,
                                          rows.points)
    return sums


def _normal(scores: Floats, missed: Floats, loadings: Floats, points: Floats) -> Normal:
    """Of scores (n, R, L) and what the filter misses, (n, 17); `points` (17,) are weights."""
    known = np.isfinite(missed) * points
    target = np.nan_to_num(missed)
    size = scores.shape[1] * scores.shape[2]
    overlap = np.einsum("rg,ng,sg->nrs", loadings, known, loadings, optimize=True)
    power = np.einsum("nrl,nrs,nsm->rlsm", scores, overlap, scores, optimize=True)
    response = np.einsum("nrl,nr->rl", scores, (target * points) @ loadings.T)
    return Normal(power.reshape(size, size), response.reshape(size),
                  float((target**2 @ points).sum()))
