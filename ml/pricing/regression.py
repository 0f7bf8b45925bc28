"""Linear regression with normal priors on its coefficients that a few wrong rows don't move."""

import math
from dataclasses import dataclass

import numpy as np

from ml.compiled import compiled
from ml.types import Bools, Floats

_FREEDOM = 4.0  # of Student's t
_ITERATIONS = 12
_CONVERGED = 1e-3  # change of any row's weight
_LEAST_FREE = 1e-9
_PRIOR_ROWS = 3.0  # rows' worth of belief that the stated deviations are right


@dataclass(frozen=True, slots=True)
class Regression:
    """Posterior of p coefficients, and what each of n rows would be predicted without itself."""

    mean: Floats
    covariance: Floats
    scale: float
    """By how much the stated deviations are too small, at least 1."""
    left_out: Floats
    """Prediction of each row's target from all other rows, shape (n,)."""
    left_out_variance: Floats
    """Variance of those predictions, the target's own not included, shape (n,)."""


def regress(
    design: Floats,
    target: Floats,
    deviation: Floats,
    counted: Bools,
    mean: Floats,
    precision: Floats,
    doubt: Floats,
) -> Regression:
    """Regression of `target` (n,) on `design` (n, p) with the prior N(`mean`, `precision`⁻¹).

    `deviation` is the standard deviation of each target; rows not `counted` are only predicted.
    Each row weighs as Student's t with four degrees of freedom has it (Lange, Little and Taylor,
    1989), judged by how far it is off what the others predict: a wrong row can't hide by bending
    the line to itself. `doubt` says how far off the prior mean a row may be at the start.

    >>> x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> fit = regress(np.stack([np.ones(5), x], axis=1), 1 + 2 * x + 1e3 * (x == 3),
    ...               np.full(5, 0.1), x >= 0, np.zeros(2), np.eye(2) * 1e-4, np.full(5, 10.0))
    >>> fit.mean.round(2).tolist()
    [1.0, 2.0]
    """
    size, rank = design.shape
    posterior, covariance = np.empty(rank), np.empty((rank, rank))
    left_out = np.empty((2, size))
    scale = _solve(design, target, deviation, counted, mean, precision, doubt,
                   posterior, covariance, left_out)
    return Regression(posterior, covariance, scale, left_out[0], left_out[1])


@compiled
def _solve(
    design: Floats, target: Floats, deviation: Floats, counted: Bools, mean: Floats,
    precision: Floats, doubt: Floats, posterior: Floats, covariance: Floats, left_out: Floats,
) -> float:
    """Fills the last three and gives the scale: a loop of weighing and solving."""
    size = len(target)
    emphasis, off, weight = np.empty(size), np.empty(size), np.empty(size)
    for i in range(size):
        off[i] = (target[i] - _dot(design[i], mean)) / doubt[i]
        emphasis[i] = (_FREEDOM + 1.0) / (_FREEDOM + off[i] * off[i])
    scale = 1.0
    for _ in range(_ITERATIONS):
        for i in range(size):
            weight[i] = emphasis[i] / (deviation[i] * scale) ** 2 if counted[i] else 0.0
        _posterior(design, target, weight, mean, precision, posterior, covariance)
        seen, change = 0, 0.0
        for i in range(size):
            fitted, spread = _dot(design[i], posterior), _form(covariance, design[i])
            # Dropping a row divides its residual and its prediction's variance by this.
            free = max(1.0 - weight[i] * spread, _LEAST_FREE)
            left_out[0, i], left_out[1, i] = fitted, spread / free
            if counted[i]:
                gap = (target[i] - fitted) / free
                left_out[0, i] = target[i] - gap
                ratio = gap / math.sqrt((deviation[i] * scale) ** 2 + spread / free)
                before, emphasis[i] = emphasis[i], (_FREEDOM + 1.0) / (_FREEDOM + ratio * ratio)
                change = max(change, abs(emphasis[i] - before))
                off[seen] = abs(ratio)
                seen += 1
        scale = _rescaled(off, seen, scale)
        if change < _CONVERGED:
            break
    return scale


@compiled
def _posterior(
    design: Floats, target: Floats, weight: Floats, mean: Floats, precision: Floats,
    posterior: Floats, covariance: Floats,
) -> None:
    rank = len(mean)
    moment = np.empty(rank)
    for i in range(rank):
        moment[i] = _dot(precision[i], mean)
        for j in range(rank):
            covariance[i, j] = precision[i, j]
    for row in range(len(target)):
        if weight[row] > 0.0:
            for i in range(rank):
                moment[i] += weight[row] * design[row, i] * target[row]
                for j in range(rank):
                    covariance[i, j] += weight[row] * design[row, i] * design[row, j]
    _invert(covariance)
    for i in range(rank):
        posterior[i] = _dot(covariance[i], moment)


@compiled
def _invert(matrix: Floats) -> None:
    """The inverse of a positive definite matrix in its place, by Gauss and Jordan."""
    rank = len(matrix)
    for k in range(rank):
        pivot = 1.0 / matrix[k, k]
        matrix[k, k] = 1.0
        for j in range(rank):
            matrix[k, j] *= pivot
        for i in range(rank):
            if i != k:
                factor = matrix[i, k]
                matrix[i, k] = 0.0
                for j in range(rank):
                    matrix[i, j] -= factor * matrix[k, j]


@compiled
def _rescaled(off: Floats, seen: int, scale: float) -> float:
    """The scale at which the median row is off by the median of a normal deviation."""
    if seen == 0:
        return 1.0
    for i in range(1, seen):
        value, j = off[i], i
        while j > 0 and off[j - 1] > value:
            off[j] = off[j - 1]
            j -= 1
        off[j] = value
    median = 0.5 * (off[seen // 2] + off[(seen - 1) // 2])
    square = (1.4826 * median * scale) ** 2
    return max(math.sqrt((_PRIOR_ROWS + seen * square) / (_PRIOR_ROWS + seen)), 1.0)


@compiled
def _form(matrix: Floats, vector: Floats) -> float:
    total = 0.0
    for i in range(len(vector)):
        total += vector[i] * _dot(matrix[i], vector)
    return max(total, 0.0)


@compiled
def _dot(left: Floats, right: Floats) -> float:
    total = 0.0
    for i in range(len(left)):
        total += left[i] * right[i]
    return total
