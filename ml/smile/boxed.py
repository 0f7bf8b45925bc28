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
    zero = np.zeros_like(upper)
    p = np.stack([
        (b1 * h22 - b2 * h12) / determinant,
        zero,
        upper,
        np.clip(b1 / h11, 0.0, upper),
        np.clip((b1 - h12 * upper) / h11, 0.0, upper),
    ])
    q = np.stack([
        (b2 * h11 - b1 * h12) / determinant,
        np.clip(b2 / h22, 0.0, upper),
        np.clip((b2 - h12 * upper) / h22, 0.0, upper),
        zero,
        upper,
    ])
    value = p * (h11 * p - 2 * b1) + q * (h22 * q - 2 * b2) + 2 * h12 * p * q
    inside = (p[0] >= 0) & (p[0] <= upper) & (q[0] >= 0) & (q[0] <= upper)
    value[0] = np.where(inside, value[0], np.inf)
    best = np.argmin(np.where(np.isnan(value), np.inf, value), axis=0)
    rows = np.arange(len(upper))
    return p[best, rows], q[best, rows], value[best, rows]
