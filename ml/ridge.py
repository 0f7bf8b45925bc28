"""Ridge regression of changes on the last row of a window, in pieces."""

from collections.abc import Iterable, Sequence

import numpy as np

from ml.types import Floats

PENALTIES = np.logspace(-2.0, 3.0, 16)
"""In units of the regressors' mean power."""
Piece = tuple[Floats, Floats]
"""Scaled rows x (n, F) and changes y (n, H, 17), NaN where unknown."""
Sums = tuple[Floats, Floats]
"""Σ x xᵀ over the known, (H, 17, F, F), and Σ x y, (H, F, 17)."""


def sums(pieces: Iterable[Piece]) -> Sums:
    """By horizon and grid point; one piece at least."""
    power, response = zip(*map(_of_piece, pieces), strict=True)
    return np.sum(power, axis=0), np.sum(response, axis=0)


def _of_piece(piece: Piece) -> Sums:
    rows, change = piece
    known = np.isfinite(change).astype(float)
    power = np.einsum("nf,nhg,ne->hgfe", rows, known, rows, optimize=True)
    return power, np.einsum("nf,nhg->hfg", rows, np.nan_to_num(change), optimize=True)


def ridge(blocks: Sequence[Sums], unseen: Sums) -> Floats:
    """Coefficients (H, F, 17) of rows for changes, fitted on all `blocks`.

    The penalty of a horizon is that of the least squared error where each of the blocks, which
    follow each other in time, is forecast from the others, and `unseen` from all; where none
    does better than saying nothing, the coefficients are 0.
    """
    power, response = (np.sum(column, axis=0) for column in zip(*blocks, strict=True))
    whole = (power, response)
    rest = [(power - one[0], response - one[1]) for one in blocks]
    pairs = [*zip(rest, blocks, strict=True), (whole, unseen)]
    horizons = range(len(power))
    return np.stack([_fitted(_at(whole, place), [(_at(fit, place), _at(judge, place))
                                                 for fit, judge in pairs])
                     for place in horizons])


def _at(one: Sums, place: int) -> Sums:
    return one[0][place], one[1][place]


def _fitted(whole: Sums, pairs: Sequence[tuple[Sums, Sums]]) -> Floats:
    losses = [sum(_loss(_solve(fit, penalty), judge) for fit, judge in pairs)
              for penalty in PENALTIES]
    best = int(np.argmin(losses))
    return _solve(whole, PENALTIES[best]) if losses[best] < 0.0 else np.zeros_like(whole[1])


def _loss(coefficients: Floats, judge: Sums) -> float:
    """Sum of squared errors, less that of saying nothing."""
    power, response = judge
    fitted = np.einsum("fg,gfe,eg->", coefficients, power, coefficients, optimize=True)
    return float(fitted - 2.0 * (coefficients * response).sum())


def _solve(sums_of: Sums, penalty: float) -> Floats:
    """Coefficients (F, 17) of one horizon."""
    power, response = sums_of
    scale = max(float(np.einsum("gff->", power)) / (power.shape[0] * power.shape[1]), 1e-12)
    held = power + penalty * scale * np.eye(power.shape[1])
    return np.asarray(np.linalg.solve(held, response.T[:, :, None])[:, :, 0].T)
