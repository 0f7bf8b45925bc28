"""Whether the output curves of a surface admit arbitrage: checks on curves, not on parameters.

Butterfly: Durrleman's g(k) ≥ 0. Calendar: total variance at the same ln(K/F) does not fall with the
expiry. Lee: the wings grow at most by 2 per unit of |k| and stay positive. All as in Gatheral and
Jacquier (2014), "Arbitrage-free SVI volatility surfaces", sections 2 to 4.

Butterfly and calendar are checked at `CHECKED_Z` of each curve, and within that range at the knots
of its bumps, where g has its kinks, and about the vertex of its SVI and of the next expiry's;
between two neighbouring expiries the range is the nearer's. Beyond it a curve is extrapolation,
bound by Lee alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.compiled import compiled
from ml.smile import curve as curves
from ml.smile.curve import KNOTS
from ml.types import Floats, RawSvi, SmileCurve, Violation

CHECKED_Z: Final[Floats] = np.linspace(-3.0, 2.0, 101)
"""z = k / √w(0) at which curves are checked: the grid and half a standard deviation around."""
CHECKED_Z.setflags(write=False)
_VERTEX: Final[Floats] = np.array([-3.0, -1.5, -0.7, 0.0, 0.7, 1.5, 3.0])
"""(k − m) / σ of an SVI at which it is checked besides: its vertex may fall between the nodes."""
NODES = len(CHECKED_Z) + len(KNOTS) + 2 * len(_VERTEX)
TOLERANCE = 1e-9
"""What rounding may cost: of g, of a ratio of variances, of a slope."""
LEE_SLOPE = 2.0
"""Lee (2004), "The moment formula for implied volatility at extreme strikes"."""


@dataclass(frozen=True, slots=True)
class SliceCheck:
    """What one curve of a surface was found to be."""

    butterfly_ok: bool
    calendar_ok: bool
    """Against the neighbours on both sides; True where there are none."""
    lee_ok: bool
    worst_butterfly: float
    """Least g; −inf where w is not positive."""
    worst_calendar: float
    """Least w_far / w_near − 1 against either neighbour; NaN where there is none."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Names of the conditions that are not met."""
        met: dict[Violation, bool] = {
            "butterfly": self.butterfly_ok, "calendar": self.calendar_ok, "lee": self.lee_ok}
        return tuple(name for name, ok in met.items() if not ok)


def check(surface: Sequence[SmileCurve]) -> tuple[SliceCheck, ...]:
    """Every curve of one instant, in order of expiry.

    >>> flat = [curves.plain(RawSvi(w, 0.0, 0.0, 0.0, 0.1)) for w in (0.02, 0.01)]
    >>> [one.violations for one in check(flat)], round(check(flat)[0].worst_calendar, 12)
    ([('calendar',), ('calendar',)], -0.5)
    """
    return described(surface, *worst(pack(surface)))


def described(
    surface: Sequence[SmileCurve], butterfly: Floats, calendar: Floats
) -> tuple[SliceCheck, ...]:
    """`check` of curves that `worst` has been found of."""
    gaps = [math.nan, *calendar.tolist(), math.nan]
    return tuple(
        _slice_check(one.svi, least, gaps[place:place + 2])
        for place, (one, least) in enumerate(zip(surface, butterfly.tolist(), strict=True)))


def _slice_check(svi: RawSvi, butterfly: float, gaps: list[float]) -> SliceCheck:
    known = [gap for gap in gaps if not math.isnan(gap)]
    least = min(known, default=math.nan)
    return SliceCheck(butterfly >= -TOLERANCE, not least < -TOLERANCE, lee_ok(svi),
                      butterfly, least)


def pack(surface: Sequence[SmileCurve]) -> Floats:
    """The curves as rows for kernels, shape (s, ROW)."""
    rows = np.empty((len(surface), curves.ROW))
    for row, one in zip(rows, surface, strict=True):
        svi = one.svi
        row[:6] = svi.a, svi.b, svi.rho, svi.m, svi.sigma, one.scale
        row[6:] = one.bumps
    return rows


def lee_slopes(svi: RawSvi) -> tuple[float, float]:
    """How fast total variance grows with |k| far to the left, and far to the right.

    >>> lee_slopes(RawSvi(0.01, 0.5, -0.6, 0.0, 0.2))
    (0.8, 0.2)
    """
    b, rho = float(svi.b), float(svi.rho)
    return b * (1 - rho), b * (1 + rho)


def lee_ok(svi: RawSvi) -> bool:
    """Whether the wings grow within 0 and 2, and the SVI is nowhere negative.

    >>> lee_ok(RawSvi(0.01, 1.5, -0.6, 0.0, 0.2))
    False
    """
    a, b, rho, sigma = (float(value) for value in (svi.a, svi.b, svi.rho, svi.sigma))
    least = a + b * sigma * math.sqrt(max(1 - rho * rho, 0.0))
    within = all(-TOLERANCE <= slope <= LEE_SLOPE + TOLERANCE for slope in lee_slopes(svi))
    return within and sigma >= 0 and -TOLERANCE * max(abs(a), TOLERANCE) <= least < math.inf


def checked_log_moneyness(curve: SmileCurve) -> Floats:
    """`CHECKED_Z` in ln(K/F), shape (101,); NaN where w(0) is negative."""
    row = curves.pack(curve)
    return nodes(row, row)[:len(CHECKED_Z)]


def durrleman(curve: SmileCurve, log_moneyness: Floats) -> Floats:
    """g(k) in the shape of `log_moneyness`; negative is butterfly arbitrage, NaN where w = 0.

    >>> flat = curves.plain(RawSvi(0.04, 0.0, 0.0, 0.0, 0.1))
    >>> durrleman(flat, np.array([-0.2, 0.2])).tolist()
    [1.0, 1.0]
    """
    k = np.asarray(log_moneyness, dtype=np.float64)
    w, slope, curvature = curves.derivatives(curve, k)
    with np.errstate(all="ignore"):
        centre = 1 - k * slope / (2 * w)
        return np.asarray(centre**2 - slope**2 / 4 * (1 / w + 0.25) + curvature / 2)


def calendar_gap(near: SmileCurve, far: SmileCurve, log_moneyness: Floats) -> Floats:
    """w_far − w_near at the same ln(K/F), that is at the same forward moneyness; in its shape.

    >>> near, far = (curves.plain(RawSvi(w, 0.0, 0.0, 0.0, 0.1)) for w in (0.01, 0.02))
    >>> calendar_gap(near, far, np.zeros(1)).tolist()
    [0.01]
    """
    return curves.total_variance(far, log_moneyness) - curves.total_variance(near, log_moneyness)


@compiled
def nodes(row: Floats, next_row: Floats) -> Floats:
    """ln(K/F) at which a curve, and the gap to the next, is checked, shape (NODES,)."""
    deviation = math.sqrt(curves.point(row, 0.0)[0])
    grid, knots, vertex = len(CHECKED_Z), len(KNOTS), len(_VERTEX)
    k = np.empty(NODES)
    for i in range(grid):
        k[i] = CHECKED_Z[i] * deviation
    for i in range(knots):
        k[grid + i] = KNOTS[i] * row[5]
    for i in range(vertex):
        k[grid + knots + i] = row[3] + _VERTEX[i] * row[4]
        k[grid + knots + vertex + i] = next_row[3] + _VERTEX[i] * next_row[4]
    for i in range(grid, NODES):
        k[i] = min(max(k[i], k[0]), k[grid - 1])
    return k


@compiled
def worst(rows: Floats) -> tuple[Floats, Floats]:
    """Least g of each curve, shape (s,), and least w_far / w_near − 1 of each pair, (s − 1,).

    −inf where a variance is not positive, or a value is not a number.
    """
    size = len(rows)
    butterfly, calendar = np.empty(size), np.empty(max(size - 1, 0))
    for i in range(size):
        least_g, least_gap = math.inf, math.inf
        for k in nodes(rows[i], rows[min(i + 1, size - 1)]):
            w, slope, curvature = curves.point(rows[i], k)
            centre = 1 - k * slope / (2 * w)
            g = centre * centre - slope * slope / 4 * (1 / w + 0.25) + curvature / 2
            least_g = min(least_g, g) if w > 0 and g > -math.inf else -math.inf
            if i + 1 < size:
                gap = curves.point(rows[i + 1], k)[0] / w - 1
                least_gap = min(least_gap, gap) if w > 0 and gap > -math.inf else -math.inf
        butterfly[i] = least_g
        if i + 1 < size:
            calendar[i] = least_gap
    return butterfly, calendar
