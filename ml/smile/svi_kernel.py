"""Raw SVI as a curve, compiled: w, its derivatives, and Durrleman's g, for other kernels too."""

import math

import numpy as np

from ml.compiled import compiled
from ml.types import Floats


@compiled
def point(
    a: float, b: float, rho: float, m: float, sigma: float, k: float
) -> tuple[float, float, float]:
    """w(k), w′(k) and w″(k)."""
    x = k - m
    root = math.hypot(x, sigma)
    if root == 0.0:
        return a, b * rho, math.inf
    width = sigma / root
    return a + b * (rho * x + root), b * (rho + x / root), b * width * width / root


@compiled
def evaluate(
    a: float, b: float, rho: float, m: float, sigma: float, k: Floats
) -> tuple[Floats, Floats, Floats]:
    """w, w′ and w″ at each k of shape (n,)."""
    w, slope, curvature = np.empty_like(k), np.empty_like(k), np.empty_like(k)
    for i in range(len(k)):
        w[i], slope[i], curvature[i] = point(a, b, rho, m, sigma, k[i])
    return w, slope, curvature


@compiled
def durrleman(a: float, b: float, rho: float, m: float, sigma: float, k: Floats) -> Floats:
    """g(k) at each k of shape (n,)."""
    g = np.empty_like(k)
    for i in range(len(k)):
        w, slope, curvature = point(a, b, rho, m, sigma, k[i])
        centre = 1.0 - k[i] * slope / (2 * w)
        g[i] = centre * centre - slope * slope / 4 * (1 / w + 0.25) + curvature / 2
    return g
