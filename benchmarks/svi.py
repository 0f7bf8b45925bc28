"""One expiry's SVI, warm and cold, beside scipy's least squares; and the SSVI of 30 expiries.

The peers fit the five raw parameters from one sensible start: bounded, as ours, and by MINPACK's
Levenberg–Marquardt, which is faster and knows no bounds.
Slices have 90 strikes of a smile that wanders from slice to slice, with noise of a third of the
half-spread. Warm starts are the fit of the slice before, as in a stream. Times are the
processor's, so that a busy machine doesn't favour the short one.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import least_squares

from ml.smile import ssvi, svi
from ml.types import Floats, RawSvi

STRIKES = 90
SLICES = 300
PEER_SLICES = 40
EXPIRIES = 30
EXPIRY_STRIKES = 60
ROUNDS = 20
WARM_AIM, COLD_AIM, SURFACE_AIM = 0.1, 1.0, 5.0  # ms
_TAU, _VOL = 28 / 365, 0.16
_DEVIATION = _VOL * _TAU**0.5
_SPREAD = 0.0007  # half-spread at the money, in volatility

Quotes = tuple[Floats, Floats, Floats]
"""ln(K/F), total variance and weight."""


def main() -> None:
    """Print medians in ms of one core, ratios to the peer, and what each fit costs."""
    quotes = _slices(SLICES)
    cold, cold_fits = _timed([partial(svi.fit, *one) for one in quotes])
    warm, warm_fits = _timed([partial(svi.fit, *one, warm=before)
                              for one, before in zip(quotes[1:], cold_fits, strict=False)])
    peer, peer_fits = _timed([partial(_peer, *one, "trf") for one in quotes[:PEER_SLICES]])
    free, free_fits = _timed([partial(_peer, *one, "lm") for one in quotes[:PEER_SLICES]])
    print(f"{'a slice of ' + str(STRIKES) + ' strikes':26} {'ms':>8} {'aim':>5} {'ratio':>7}  "
          "cost above the best of all: median, worst")
    names = (("scipy, bounded", peer, peer_fits[1:], ""), ("scipy, free", free, free_fits[1:], ""),
             ("cold", cold, cold_fits[1:], COLD_AIM), ("warm", warm, warm_fits, WARM_AIM))
    fits = [found for _, _, found, _ in names]
    for name, took, found, aim in names:
        extra = _extra(quotes[1:PEER_SLICES], found, fits)
        print(f"{name:26} {took:8.3f} {aim!s:>5} {peer / took:7.0f}  "
              f"{statistics.median(extra):.2%}, {max(extra):.2%}")
    _surface()


def _slices(count: int) -> list[Quotes]:
    random = np.random.default_rng(0)
    x = np.linspace(-3.2, 1.9, STRIKES)
    half = _SPREAD * (1 + x**2 / 2)
    shape, slices = np.array([0.22, -0.5, 0.1, 1.2]), []
    for _ in range(count):
        shape = shape + random.normal(0, 0.003, 4)
        b, rho, m, sigma = shape
        curve = RawSvi(1 - b * (np.hypot(m, sigma) - rho * m), b, rho, m, sigma)
        vol = _VOL * np.sqrt(svi.total_variance(curve, x))
        vol = vol + random.normal(0, half / 3)
        slices.append((x * _DEVIATION, vol**2 * _TAU, 1 / (2 * vol * _TAU * half) ** 2))
    return slices


def _timed(calls: list[Callable[[], RawSvi | None]]) -> tuple[float, list[RawSvi]]:
    """Median milliseconds of a call, and what the calls gave."""
    calls[0]()
    times, given = [], []
    for call in calls:
        start = time.process_time()
        found = call()
        times.append(time.process_time() - start)
        assert found is not None
        given.append(found)
    return statistics.median(times) * 1e3, given


def _peer(k: Floats, variance: Floats, weight: Floats, method: str) -> RawSvi:
    root = np.sqrt(weight)

    def residual(at: Floats) -> Floats:
        a, b, rho, m, sigma = at
        return np.asarray(root * (a + b * (rho * (k - m) + np.hypot(k - m, sigma)) - variance))

    start = [variance.min() / 2, 0.1, -0.5, 0.0, 0.1]
    bounds = ([0, 0, -1, k[0], 1e-4], [variance.max(), 2, 1, k[-1], 2])
    limits = {"bounds": bounds} if method == "trf" else {}
    return RawSvi(*least_squares(residual, start, method=method, x_scale="jac", **limits).x)


def _extra(quotes: list[Quotes], found: list[RawSvi], fits: list[list[RawSvi]]) -> list[float]:
    """By how much each fit of the quotes costs more than the best of all fits of them."""
    return [_cost(one, mine) / min(_cost(one, other[i]) for other in fits) - 1
            for i, (one, mine) in enumerate(zip(quotes, found, strict=False))]


def _cost(quotes: Quotes, found: RawSvi) -> float:
    k, variance, weight = quotes
    return float(np.sum(weight * (svi.total_variance(found, k) - variance) ** 2))


def _surface() -> None:
    cold, warm, before = [], [], None
    for number in range(ROUNDS + 1):
        slices = _expiries(number)
        start = time.process_time()
        ssvi.fit(slices)
        middle = time.process_time()
        before = ssvi.fit(slices, before)
        cold.append((middle - start) * 1e3)
        warm.append((time.process_time() - middle) * 1e3)
    size = f"SSVI, {EXPIRIES} × {EXPIRY_STRIKES}"
    print(f"{size + ', cold':26} {statistics.median(cold[1:]):8.3f}")
    print(f"{size + ', warm':26} {statistics.median(warm[1:]):8.3f} {SURFACE_AIM!s:>5}")


def _expiries(seed: int) -> list[ssvi.Slice]:
    """Quotes that are no SSVI: each expiry has a skew of its own, and noise."""
    random = np.random.default_rng(seed)
    tau = np.geomspace(2 / 365, 2.0, EXPIRIES)
    surface = ssvi.SsviSurface(tau, 0.03 * tau**1.05, -0.65, 1.1, 0.42)
    slices = []
    for own, theta in zip(tau, surface.theta, strict=True):
        k = np.linspace(-2.8, 1.7, EXPIRY_STRIKES) * np.sqrt(theta)
        variance = ssvi.total_variance(surface, theta, k) * (1 + 0.05 * np.sin(own * 9) * k)
        error = 0.01 * variance
        slices.append(ssvi.Slice(own, k, variance + random.normal(0, error), 1 / error**2))
    return slices
