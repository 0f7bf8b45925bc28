"""The smile as a curve: a raw SVI times a smooth factor that follows what SVI cannot.

    w(k) = w_SVI(k) · (1 + Σ cⱼ Bⱼ(x)),    x = k / (σ_ATM √τ) of the SVI

The Bⱼ are the cubic B-splines on fixed knots (de Boor, 1978, "A Practical Guide to Splines",
ch. IX), denser near the money. All vanish with two derivatives at the ends of the knots, so that w
is twice continuously differentiable and the far wings are SVI's. The coefficients are a linear
smoother of the quotes' relative misfit: no knots are chosen and nothing is switched by the data,
so that equal quotes give equal curves and close ones close curves.
"""

import math

import numpy as np

from ml.compiled import compiled
from ml.smile import svi_kernel
from ml.types import Floats, RawSvi, SmileCurve

KNOTS: Floats = np.array([
    -8.0, -6.2, -5.0, -4.1, -3.4, -2.8, -2.2, -1.6, -1.1, -0.65, -0.2,
    0.2, 0.6, 1.0, 1.4, 1.85, 2.4, 3.1, 4.3, 6.5])
"""In units of x; they end far out, for quotes at x = 3 may be lifted a lot."""
BUMPS = len(KNOTS) - 4
"""Number of coefficients."""
ROW = 6 + BUMPS
"""Length of a curve as one row: a, b, ρ, m, σ, scale, bumps."""

_STIFFNESS = 20.0
"""Price of ∫f″² and of ∫f² for the factor 1 + f(x), against squared errors of w / w_SVI. Measured
by leaving every fourth strike out of SPY's and GOOG's fits: flat from 20 to 100. Where nothing is
quoted, f decays within about one standard deviation."""
_LEAST_FACTOR = 0.1
_LEAST_SCALE = 1e-9
_LEAST_FOR_NOISE = 5  # quotes from which their scatter can be told
_MAD = 0.6745  # of a normal variable, in its standard deviation
_LEFT, _RIGHT = float(KNOTS[0]), float(KNOTS[-1])
_GAUSS, _GAUSS_WEIGHT = np.polynomial.legendre.leggauss(4)


def _pieces() -> Floats:
    """Polynomials of the four B-splines that live on an interval, by the Cox–de Boor recursion.

    Shape (intervals, 4, 4): of B_{i−3} … B_i on interval i the coefficients of (x − knot i)⁰ … ³.
    Those that do not exist near the ends are zero.
    """
    intervals = len(KNOTS) - 1
    knots = np.concatenate([KNOTS[0] - np.arange(3.0, 0.0, -1.0), KNOTS,
                            KNOTS[-1] + np.arange(1.0, 4.0)])
    table = np.zeros((intervals, 4, 4))
    for i in range(intervals):
        at = i + 3  # the interval's place in the prolonged knots
        table[i, 3, 0] = 1.0
        for degree in range(1, 4):
            lower = np.vstack([table[i], np.zeros(4)])
            for place in range(3 - degree, 4):
                j = at - 3 + place
                left, right = knots[[j, j + 1]], knots[[j + degree, j + degree + 1]]
                up, down = lower[place] / (right - left)[0], lower[place + 1] / (right - left)[1]
                table[i, place] = (knots[at] - left[0]) * up + (right[1] - knots[at]) * down
                table[i, place, 1:] += up[:-1] - down[:-1]
        table[i, [j < 0 or j >= BUMPS for j in range(i - 3, i + 1)]] = 0.0
    return table


_TABLE = _pieces()


@compiled
def _local(x: float) -> tuple[int, float]:
    """The interval of x, −1 beyond the knots, and how far x is into it."""
    if not _LEFT <= x < _RIGHT:
        return -1, 0.0
    interval = 0
    while x >= KNOTS[interval + 1]:
        interval += 1
    return interval, x - KNOTS[interval]


@compiled
def point(row: Floats, k: float) -> tuple[float, float, float]:
    """w(k), w′(k) and w″(k) of a curve as a row of shape (ROW,)."""
    w, slope, curvature = svi_kernel.point(row[0], row[1], row[2], row[3], row[4], k)
    interval, t = _local(k / row[5])
    if interval < 0:
        return w, slope, curvature
    f, f1, f2 = 1.0, 0.0, 0.0
    for place in range(max(0, 3 - interval), min(4, BUMPS + 3 - interval)):
        c, p = row[3 + interval + place], _TABLE[interval, place]
        f += c * (p[0] + t * (p[1] + t * (p[2] + t * p[3])))
        f1 += c * (p[1] + t * (2 * p[2] + t * 3 * p[3]))
        f2 += c * (2 * p[2] + t * 6 * p[3])
    f1, f2 = f1 / row[5], f2 / row[5] ** 2
    return w * f, slope * f + w * f1, curvature * f + 2 * slope * f1 + w * f2


@compiled
def evaluate(row: Floats, k: Floats) -> Floats:
    """w, w′ and w″ at each k of shape (n,), shape (3, n)."""
    values = np.empty((3, len(k)))
    for i in range(len(k)):
        values[0, i], values[1, i], values[2, i] = point(row, k[i])
    return values


@compiled
def design(x: Floats) -> Floats:
    """The B-splines and their first two derivatives at each x of shape (n,), shape (3, n, BUMPS).
    """
    values = np.zeros((3, len(x), BUMPS))
    for i in range(len(x)):
        interval, t = _local(x[i])
        for place in range(max(0, 3 - interval), min(4, BUMPS + 3 - interval)):
            if interval >= 0:
                j, p = interval - 3 + place, _TABLE[interval, place]
                values[0, i, j] = p[0] + t * (p[1] + t * (p[2] + t * p[3]))
                values[1, i, j] = p[1] + t * (2 * p[2] + t * 3 * p[3])
                values[2, i, j] = 2 * p[2] + t * 6 * p[3]
    return values


def _roughness() -> Floats:
    """Exact by Gauss's quadrature, for the integrand is piecewise of degree 6."""
    half = np.diff(KNOTS) / 2
    x = (KNOTS[:-1, None] + half[:, None] * (1 + _GAUSS)).ravel()
    weight = (half[:, None] * _GAUSS_WEIGHT).ravel()
    value, _, curvature = design(x)
    return np.asarray(curvature.T * weight @ curvature + value.T * weight @ value)


ROUGHNESS: Floats = _roughness()
"""∫(f″² + f²) dx of f = Σ cⱼ Bⱼ as a quadratic form of c, shape (BUMPS, BUMPS)."""
_PENALTY = _STIFFNESS * ROUGHNESS


def pack(curve: SmileCurve) -> Floats:
    """The curve as the row of shape (ROW,) that kernels take."""
    svi, row = curve.svi, np.empty(ROW)
    row[:6] = svi.a, svi.b, svi.rho, svi.m, svi.sigma, curve.scale
    row[6:] = curve.bumps
    return row


def plain(svi: RawSvi) -> SmileCurve:
    """The curve that is the SVI itself.

    >>> plain(RawSvi(0.04, 0.0, 0.0, 0.0, 0.1)).scale
    0.2
    """
    variance, _, _ = svi_kernel.point(
        float(svi.a), float(svi.b), float(svi.rho), float(svi.m), float(svi.sigma), 0.0)
    scale = math.sqrt(max(variance, _LEAST_SCALE**2)) if variance < math.inf else 1.0
    return SmileCurve(svi, scale, np.zeros(BUMPS))


def total_variance(curve: SmileCurve, log_moneyness: Floats) -> Floats:
    """w(k) at ln(K/F), in the shape of `log_moneyness`; of any sign if the bumps are extreme.

    >>> bumped = SmileCurve(RawSvi(0.04, 0.0, 0.0, 0.0, 0.1), 0.2, np.full(BUMPS, 0.1))
    >>> total_variance(bumped, np.array([0.0, 9.0])).round(6).tolist()
    [0.044, 0.04]
    """
    return derivatives(curve, log_moneyness)[0]


def derivatives(curve: SmileCurve, log_moneyness: Floats) -> tuple[Floats, Floats, Floats]:
    """w, dw/dk and d²w/dk² at ln(K/F), each in the shape of `log_moneyness`.

    >>> w, slope, curvature = derivatives(plain(RawSvi(0.01, 0.1, 0.0, 0.0, 0.3)), np.array([0.4]))
    >>> round(float(w[0]), 12), round(float(slope[0]), 12), round(float(curvature[0]), 12)
    (0.06, 0.08, 0.072)
    """
    k = np.asarray(log_moneyness, dtype=np.float64)
    values = evaluate(pack(curve), np.ascontiguousarray(k.ravel()))
    return values[0].reshape(k.shape), values[1].reshape(k.shape), values[2].reshape(k.shape)


def volatility(curve: SmileCurve, tau: float, log_moneyness: Floats) -> Floats:
    """√(w(k) / τ), in the shape of `log_moneyness`; NaN where w is negative or τ is not positive.

    >>> volatility(plain(RawSvi(0.01, 0.1, 0.0, 0.0, 0.3)), 0.25, np.array([0.4])).round(6).tolist()
    [0.489898]
    """
    with np.errstate(all="ignore"):
        tau = tau if tau > 0 else np.nan
        return np.asarray(np.sqrt(total_variance(curve, log_moneyness) / tau))


def fit_bumps(
    svi: RawSvi, log_moneyness: Floats, variance: Floats, weight: Floats
) -> SmileCurve:
    """The SVI with the bumps that the quotes ask for; arrays of shape (n,), ascending ln(K/F).

    `weight` is the inverse squared error of the total `variance`, as for `svi.fit`. To it comes
    what neighbouring strikes contradict one another by: the scatter of a quote about the line
    through its two neighbours, as a median, so that noise is not followed and a systematic
    misfit is. Penalised least squares (Eilers and Marx, 1996, "Flexible smoothing with B-splines
    and penalties") of w / w_SVI − 1; rows that are not finite are left out. Not free of arbitrage:
    see `ml.smile.repair`.

    >>> base, k = RawSvi(0.04, 0.0, 0.0, 0.0, 0.1), np.linspace(-0.5, 0.3, 81)
    >>> curve = fit_bumps(base, k, np.full(81, 0.0404), np.full(81, 1e10))
    >>> total_variance(curve, np.array([0.0, 5.0])).round(6).tolist()
    [0.0404, 0.04]
    """
    curve = plain(svi)
    points = np.array([log_moneyness, variance, weight], dtype=np.float64)
    x, misfit, square, scatter = _misfits(pack(curve), points)
    noise = 0.0
    if len(x) >= _LEAST_FOR_NOISE:
        noise = float(np.sort(scatter)[len(scatter) // 2]) / _MAD
    moments = _moments(x, misfit, square + noise * noise)
    if not np.isfinite(moments).all():
        return curve
    bumps = np.linalg.solve(moments[:, :BUMPS] + _PENALTY, moments[:, BUMPS])
    if not np.isfinite(bumps).all():
        return curve
    return SmileCurve(svi, curve.scale, np.maximum(bumps, _LEAST_FACTOR - 1))


@compiled
def _misfits(row: Floats, points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """x, w / w_SVI − 1, its squared error, and its scatter about its neighbours, where finite."""
    n = 0
    found = np.empty((3, points.shape[1]))
    for k, variance, weight in points.T:
        base = point(row, k)[0]
        misfit, square = variance / base - 1, 1 / (weight * base * base)
        if base > 0 and weight > 0 and math.isfinite(k + misfit + square):
            found[0, n], found[1, n], found[2, n] = k / row[5], misfit, square
            n += 1
    scatter = np.empty(max(n - 2, 0))
    for i in range(n - 2):
        x, y = found[0, i:i + 3], found[1, i:i + 3]
        share = (x[2] - x[1]) / (x[2] - x[0]) if x[2] > x[0] else 0.5  # of the left neighbour
        off = y[1] - share * y[0] - (1 - share) * y[2]
        scatter[i] = abs(off) / math.sqrt(1 + share**2 + (1 - share) ** 2)
    return found[0, :n], found[1, :n], found[2, :n], scatter


@compiled
def _moments(x: Floats, misfit: Floats, square: Floats) -> Floats:
    """The normal equations: BᵀWB and BᵀWy side by side, shape (BUMPS, BUMPS + 1)."""
    moments = np.zeros((BUMPS, BUMPS + 1))
    local = np.empty(4)
    for i in range(len(x)):
        interval, t = _local(x[i])
        if interval < 0:
            continue
        low, high = max(0, interval - 3), min(BUMPS, interval + 1)
        for j in range(low, high):
            p = _TABLE[interval, j - interval + 3]
            local[j - low] = p[0] + t * (p[1] + t * (p[2] + t * p[3]))
        for j in range(low, high):
            pull = local[j - low] / square[i]
            moments[j, BUMPS] += pull * misfit[i]
            for other in range(low, high):
                moments[j, other] += pull * local[other - low]
    return moments
