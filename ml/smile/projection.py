"""Least distance programming: the smallest step that satisfies linear inequalities.

Lawson and Hanson (1974), "Solving Least Squares Problems", ch. 23, pose it and solve it by
non-negative least squares. Here its dual is solved by the active-set method of Goldfarb and Idnani
(1983), "A numerically stable dual method for solving strictly convex quadratic programs", which
starts at no step at all and costs little where few inequalities bind, as in a repair.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.compiled import compiled
from ml.types import Floats

Status = Literal["solved", "infeasible", "unfinished"]

_STATUS: tuple[Status, ...] = ("solved", "infeasible", "unfinished")
_SOLVED, _INFEASIBLE, _UNFINISHED = range(3)
_TOLERANCE = 1e-10  # of an inequality, once its row has length 1
_DEPENDENT = 1e-9  # length of what is left of a unit row that the active ones span
_ROUNDS = 8  # steps at most, for each unknown


@dataclass(frozen=True, slots=True)
class LeastDistance:
    """The point nearest to the origin, shape (n,), unless `status` says why there is none.

    "infeasible": the inequalities contradict one another. "unfinished": not found within the
    allowed steps. In both cases the point satisfies a part of them only.
    """

    point: Floats
    status: Status


def least_distance(rows: Floats, bounds: Floats) -> LeastDistance:
    """The x of least ‖x‖ with `rows` · x ≥ `bounds`; shapes (m, n) and (m,).

    Raises:
        ValueError: if a value is not finite.

    >>> least_distance(np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([2.0, 0.5])).point.tolist()
    [1.0, 1.0]
    >>> least_distance(np.array([[1.0], [-1.0]]), np.array([1.0, 0.0])).status
    'infeasible'
    """
    matrix = np.array(rows, dtype=np.float64, order="C")
    limits = np.array(bounds, dtype=np.float64)
    if not (np.isfinite(matrix).all() and np.isfinite(limits).all()):
        raise ValueError("inequalities must be finite")
    length = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    known = length > 0
    if (limits[~known] > 0).any():
        return LeastDistance(np.zeros(matrix.shape[1]), "infeasible")
    if not known.all():
        matrix, limits, length = matrix[known], limits[known], length[known]
    point, status = _solve(matrix / length[:, None], limits / length)
    return LeastDistance(point, _STATUS[status])


@compiled
def _solve(rows: Floats, bounds: Floats) -> tuple[Floats, int]:
    """The dual active-set method; rows of length 1."""
    n = rows.shape[1]
    x, left, rate = np.zeros(n), np.zeros(n), np.zeros(n)
    basis, upper = np.zeros((n, n)), np.zeros((n, n))  # the active rows as QR, in order of entry
    price = np.zeros(n + 1)  # of the active rows, and of the entering one
    count, entering, missing = 0, -1, 0.0
    for _ in range(_ROUNDS * (n + 1)):
        if entering < 0:
            entering, missing = _worst(rows, bounds, x)
            if entering < 0:
                return x, _SOLVED
            price[count] = 0.0
        along = _rates(rows[entering], basis, upper, count, left, rate)
        # The largest step that keeps the prices positive, and the one that meets the inequality.
        leaving, step, full = -1, math.inf, math.inf
        for j in range(count):
            if rate[j] > 0 and price[j] < step * rate[j]:
                leaving, step = j, price[j] / rate[j]
        if along > _DEPENDENT * _DEPENDENT:
            full = missing / along
        elif leaving < 0:
            return x, _INFEASIBLE
        if full <= step:
            leaving, step = -1, full
        for j in range(count):
            price[j] = max(price[j] - step * rate[j], 0.0)
        price[count] += step
        if full < math.inf:
            missing -= step * along
            for i in range(n):
                x[i] += step * left[i]
        if leaving < 0:
            _append(rows[entering], basis, upper, count)
            count, entering = count + 1, -1
        else:
            count -= 1
            for j in range(leaving, count + 1):
                price[j] = price[j + 1]
            _drop(basis, upper, leaving, count)
    return x, _UNFINISHED


@compiled
def _worst(rows: Floats, bounds: Floats, x: Floats) -> tuple[int, float]:
    """The most violated inequality and by how much; −1 if none is."""
    worst, most = -1, _TOLERANCE
    for i in range(len(bounds)):
        missing = bounds[i]
        for j in range(len(x)):
            missing -= rows[i, j] * x[j]
        if missing > most:
            worst, most = i, missing
    return worst, most


@compiled
def _orthogonal(row: Floats, basis: Floats, count: int, left: Floats, parts: Floats) -> float:
    """What `row` has outside the basis goes to `left`, what inside to `parts`; ‖left‖²."""
    for i in range(len(row)):
        left[i], parts[i] = row[i], 0.0
    for _ in range(2):  # once is not enough for nearly parallel rows, twice is
        for j in range(count):
            part = 0.0
            for i in range(len(row)):
                part += basis[j, i] * left[i]
            parts[j] += part
            for i in range(len(row)):
                left[i] -= part * basis[j, i]
    total = 0.0
    for i in range(len(row)):
        total += left[i] * left[i]
    return total


@compiled
def _rates(
    row: Floats, basis: Floats, upper: Floats, count: int, left: Floats, rate: Floats
) -> float:
    """‖left‖² as above; `rate` combines the active rows to the rest of `row`."""
    along = _orthogonal(row, basis, count, left, rate)
    for j in range(count - 1, -1, -1):
        for i in range(j + 1, count):
            rate[j] -= upper[j, i] * rate[i]
        rate[j] /= upper[j, j]
    return along


@compiled
def _append(row: Floats, basis: Floats, upper: Floats, count: int) -> None:
    """`row` as the active one at place `count`."""
    parts = np.zeros(len(row))
    length = math.sqrt(_orthogonal(row, basis, count, basis[count], parts))
    for j in range(count):
        upper[j, count] = parts[j]
    upper[count, count] = length
    for i in range(len(row)):
        basis[count, i] /= length


@compiled
def _drop(basis: Floats, upper: Floats, place: int, count: int) -> None:
    """Without the active row at `place`, which leaves `count`: Givens rotations restore QR."""
    for j in range(place, count):
        for i in range(j + 2):
            upper[i, j] = upper[i, j + 1]
    for i in range(place, count):
        length = math.hypot(upper[i, i], upper[i + 1, i])
        cosine, sine = upper[i, i] / length, upper[i + 1, i] / length
        for matrix, low, high in ((upper, i, count), (basis, 0, basis.shape[1])):
            for j in range(low, high):
                one, two = matrix[i, j], matrix[i + 1, j]
                matrix[i, j] = cosine * one + sine * two
                matrix[i + 1, j] = cosine * two - sine * one
