"""Ridge regression of changes on the last row of a window, in pieces."""

from collections.abc import Iterable

import numpy as np

from ml.types import Floats

PENALTIES = np.logspace(-2.0, 3.0, 16)
"""In units of the regressors' mean power."""
Pieces = Iterable[tuple[Floats, Floats]]


def ridge(training: Pieces, validation: Pieces) -> Floats:
    """Coefficients (H, F, 17) of scaled rows (n, F) for changes (n, H, 17), NaN where unknown.

    Per horizon, the penalty is that of the least squared error on `validation`; where none does
    better than saying nothing, the coefficients are 0.
    """
    power, response = _sums(training)  # (H, 17, F, F), (H, F, 17)
    seen_power, seen_response = _sums(validation)
    return np.stack([_best(*one) for one in zip(power, response, seen_power, seen_response,
                                                strict=True)])


def _sums(pieces: Pieces) -> tuple[Floats, Floats]:
    """Σ x xᵀ by horizon and point over the known, and Σ x y."""
    sums = []
    for rows, change in pieces:
        known = np.isfinite(change).astype(float)
        power = np.einsum("nf,nhg,ne->hgfe", rows, known, rows, optimize=True)
        response = np.einsum("nf,nhg->hfg", rows, np.nan_to_num(change), optimize=True)
        sums.append((power, response))
    power, response = (np.sum(column, axis=0) for column in zip(*sums, strict=True))
    return np.asarray(power), np.asarray(response)


def _best(power: Floats, response: Floats, seen_power: Floats, seen_response: Floats) -> Floats:
    best, least = np.zeros_like(response), 0.0
    for penalty in PENALTIES:
        coefficients = _solve(power, response, penalty)  # (F, 17)
        fitted = np.einsum("fg,gfe,eg->", coefficients, seen_power, coefficients, optimize=True)
        loss = fitted - 2.0 * (coefficients * seen_response).sum()
        if loss < least:
            best, least = coefficients, float(loss)
    return best


def _solve(power: Floats, response: Floats, penalty: float) -> Floats:
    scale = max(float(np.einsum("gff->", power)) / (power.shape[0] * power.shape[1]), 1e-12)
    ridge_power = power + penalty * scale * np.eye(power.shape[1])
    return np.asarray(np.linalg.solve(ridge_power, response.T[:, :, None])[:, :, 0].T)
