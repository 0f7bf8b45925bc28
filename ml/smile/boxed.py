"""Minimum of many two-variable quadratics on a box, in closed form."""

import numpy as np

from ml.types import Floats


def minimum_on_box(
    h11: Floats, h12: Floats, h22: Floats, b1: Floats, b2: Floats, upper: Floats
) -> tuple[Floats, Floats, Floats]:
    """Minimisers and minima of h11 p² + 2 h12 p q + h22 q² − 2 b1 p − 2 b2 q, 0 ≤ p, q ≤ `upper`.

    All arrays have shape (c,), each quadratic is convex. A convex quadratic is least on a box
    either at its own minimum or on one of the four sides, where it is a clipped parabola.
    """
    determinant = h11 * h22 - h12 * h12
    p, q = (b1 * h22 - b2 * h12) / determinant, (b2 * h11 - b1 * h12) / determinant
    inside = (p >= 0) & (p <= upper) & (q >= 0) & (q <= upper)
    if not inside.all():
        p_side, q_side = _least_side(h11, h12, h22, b1, b2, upper)
        p, q = np.where(inside, p, p_side), np.where(inside, q, q_side)
    return p, q, _value(h11, h12, h22, b1, b2, p, q)


def _least_side(
    h11: Floats, h12: Floats, h22: Floats, b1: Floats, b2: Floats, upper: Floats
) -> tuple[Floats, Floats]:
    zero = np.zeros_like(upper)
    p = np.array([zero, upper, b1 / h11, (b1 - h12 * upper) / h11])
    q = np.array([b2 / h22, (b2 - h12 * upper) / h22, zero, upper])
    p, q = np.minimum(np.maximum(p, 0.0), upper), np.minimum(np.maximum(q, 0.0), upper)
    value = _value(h11, h12, h22, b1, b2, p, q)
    best = np.argmin(np.where(np.isnan(value), np.inf, value), axis=0)
    rows = np.arange(len(upper))
    return p[best, rows], q[best, rows]


def _value(
    h11: Floats, h12: Floats, h22: Floats, b1: Floats, b2: Floats, p: Floats, q: Floats
) -> Floats:
    return np.asarray(p * (h11 * p - 2 * b1) + q * (h22 * q - 2 * b2) + 2 * h12 * p * q)
