"""A surface with arbitrage moved to the nearest one without, on the checked range.

The SVI of a curve stays, its bumps move: as little as possible in volatility on the grid, weighted
by the trust in each slice. Curves that contradict one another move jointly, their clean neighbours
are bounds. Where that has no solution, they are blended with a surface that has no arbitrage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ml.smile import arbitrage, nearest
from ml.smile import curve as curves
from ml.smile.arbitrage import TOLERANCE, SliceCheck, check
from ml.smile.fallback import copied, tamed, targets
from ml.smile.grid import GRID_Z
from ml.types import Floats, RawSvi, SmileCurve, Violation

Found = tuple[Floats, Floats]
"""What `arbitrage.worst` says of a surface."""
Fallback = Callable[[], Sequence[RawSvi] | None]
"""A surface near the quotes, made only where it is needed; None where there is none."""

_LEAST_TRUST = 1e-6  # of the most trusted slice's
_LEAST_TAU = 1e-9
_BISECTIONS = 8
_MOST_JOINTLY = 8  # curves; more that contradict one another are no surface to be near to
_SHARES = (0.0, 0.5, 1.0)
_SHARP = 0.5  # least width of a vertex that bumps can mend, in standard deviations


@dataclass(frozen=True, slots=True)
class Repaired:
    """A surface after repair, one entry per curve."""

    curves: tuple[SmileCurve, ...]
    moved: Floats
    """Root mean square change of volatility on the grid's 17 points, shape (s,)."""
    violations_before: tuple[tuple[Violation, ...], ...]
    checks_after: tuple[SliceCheck, ...]


def repair(
    surface: Sequence[SmileCurve],
    tau: Floats,
    trust: Floats,
    fallback: Fallback | None = None,
) -> Repaired:
    """The curves of one instant, in order of expiry, made free of arbitrage.

    `tau` in years and `trust`, shape (s,), are positive; trust is an inverse squared error: a
    slice moves in inverse proportion to it. `fallback` makes a surface near the quotes, SSVI's
    slices of the same expiries; without it, or where it has arbitrage itself, a simpler one takes
    its place. A clean surface comes back as it is, with `moved` exactly 0.

    >>> flat = [curves.plain(RawSvi(w, 0.0, 0.0, 0.0, 0.1)) for w in (0.0101, 0.01)]
    >>> done = repair(flat, np.array([0.25, 0.26]), np.array([1.0, 9.0]))
    >>> done.violations_before, [one.violations for one in done.checks_after]
    ((('calendar',), ('calendar',)), [(), ()])
    >>> (done.moved * 1e4).round(1).tolist()
    [9.2, 1.0]
    """
    before = tuple(surface)
    found = arbitrage.worst(arbitrage.pack(before))
    checks = arbitrage.described(before, *found)
    violations = tuple(one.violations for one in checks)
    moved = np.zeros(len(before))
    if not any(violations):
        return Repaired(before, moved, violations, checks)
    years = np.maximum(np.nan_to_num(np.asarray(tau, dtype=np.float64)), _LEAST_TAU)
    with np.errstate(all="ignore"):
        after, found = _mended(before, found, _relative(trust), years, fallback)
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            if new is not old:
                moved[place] = _distance(old, new, float(years[place]))
    return Repaired(tuple(after), moved, violations, arbitrage.described(after, *found))


def _distance(old: SmileCurve, new: SmileCurve, tau: float) -> float:
    """A volatility that the old curve does not have counts as 0."""
    k = GRID_Z * np.sqrt(curves.total_variance(new, np.zeros(1)))
    change = np.abs(
        curves.volatility(new, tau, k) - np.nan_to_num(curves.volatility(old, tau, k), posinf=0.0))
    most = float(change.max())
    return most * float(np.sqrt(np.mean((change / most) ** 2))) if most > 0 else 0.0


def _relative(trust: Floats) -> Floats:
    known = np.nan_to_num(np.asarray(trust, dtype=np.float64), posinf=0.0)
    most = float(np.max(known))
    return np.clip(known / (most if most > 0 else 1.0), _LEAST_TRUST, 1.0)


@dataclass(frozen=True, slots=True)
class _Run:
    """Curves that are mended jointly, between neighbours that stay, where there are any."""

    curves: list[SmileCurve]
    price: list[float]
    """Of a squared change of √w: relative trust over τ."""
    before: list[SmileCurve]
    after: list[SmileCurve]
    surface: Callable[[], list[SmileCurve]]
    """One without arbitrage, of all expiries."""
    place: slice
    """Where in it the run stands."""

    def spare(self) -> list[SmileCurve]:
        """Curves that could stand in the run's place."""
        return self.surface()[self.place]

    def shortfall(self, inner: list[SmileCurve]) -> float:
        """By how much these curves in the run's place miss the worst condition; 0 if clean."""
        rows = arbitrage.pack([*self.before, *inner, *self.after])
        butterfly, calendar = arbitrage.worst(rows)
        own = butterfly[len(self.before):len(self.before) + len(inner)]
        least = min(float(own.min()), float(calendar.min(initial=0.0)))
        return -least if least < -TOLERANCE else 0.0


def _mended(
    before: Sequence[SmileCurve], found: Found, trust: Floats, tau: Floats,
    fallback: Fallback | None,
) -> tuple[list[SmileCurve], Found]:
    """Mends run after run; each leaves fewer conditions broken, so that it ends."""
    tame = tamed(before, found[0])

    @cache
    def spare() -> list[SmileCurve]:
        return targets(tame, trust, fallback() if fallback else None)

    current = [one or spare()[place] for place, one in enumerate(tame)]
    if any(new is not old for new, old in zip(current, before, strict=True)):
        found = arbitrage.worst(arbitrage.pack(current))
    for _ in range(2 * len(current)):
        runs = _runs(*found)
        if not runs:
            break
        for low, high in runs:
            low, high = _with_contradicted(current, trust, low, high)
            current = _mend(current, (trust / tau).tolist(), spare, low, high)
        found = arbitrage.worst(arbitrage.pack(current))
    return current, found


def _runs(butterfly: Floats, calendar: Floats) -> list[tuple[int, int]]:
    """First and last of the curves that contradict themselves or one another."""
    runs: list[tuple[int, int]] = []
    linked = [*(calendar < -TOLERANCE).tolist(), False]
    low = 0
    for high, least in enumerate(butterfly.tolist()):
        if not linked[high]:
            if high > low or least < -TOLERANCE:
                runs.append((low, high))
            low = high + 1
    return runs


def _with_contradicted(
    current: list[SmileCurve], trust: Floats, low: int, high: int
) -> tuple[int, int]:
    """The run, with the curves beyond it that are contradicted by one of its own which is trusted
    more: it should not give way to them."""
    def yields(outer: int, inner: int) -> bool:
        near, far = sorted((outer, inner))
        _, gap = arbitrage.worst(arbitrage.pack([current[near], current[far]]))
        return bool(gap[0] < -TOLERANCE) and trust[outer] < trust[inner]

    first, last = low, high
    while last + 1 < len(current) and any(yields(last + 1, one) for one in range(low, high)):
        last += 1
    while first > 0 and any(yields(first - 1, one) for one in range(low + 1, high + 1)):
        first -= 1
    return first, last


def _mend(
    current: list[SmileCurve], price: list[float], spare: Callable[[], list[SmileCurve]],
    low: int, high: int,
) -> list[SmileCurve]:
    """The curves with `low` to `high` free of arbitrage, with more of them if it takes more."""
    size = len(current)
    for method, reach in ((_nearest, 0), (_softened, 0), (_nearest, 1), (_softened, 1),
                          (_blended, 0), (_blended, 1), (_blended, 3), (_blended, size)):
        first, end = max(low - reach, 0), min(high + reach + 1, size)
        run = _Run(current[first:end], price[first:end], current[max(first - 1, 0):first],
                   current[end:end + 1], spare, slice(first, end))
        if method is not _blended and end - first > _MOST_JOINTLY:
            continue
        if (found := method(run)) is not None:
            return [*current[:first], *found, *current[end:]]
    return spare()


def _nearest(run: _Run) -> list[SmileCurve] | None:
    return nearest.project(run.curves, run.price, run.before, run.after, run.shortfall)


def _softened(run: _Run) -> list[SmileCurve] | None:
    """The nearest to the run with the curves in doubt drawn to their spares, as little as works.

    In doubt are those with butterfly arbitrage and those with a vertex too sharp for bumps.
    """
    own = [one.butterfly_ok for one in (check([curve])[0] for curve in run.curves)]
    doubtful = [not ok or one.svi.sigma < _SHARP * one.scale
                for one, ok in zip(run.curves, own, strict=True)]
    if not any(doubtful):
        return None
    copies = [copied(one, spare) if doubt else one
              for one, spare, doubt in zip(run.curves, run.spare(), doubtful, strict=True)]
    for share in _SHARES:
        start = [replace(one, bumps=(1 - share) * one.bumps) if doubt else one
                 for one, doubt in zip(copies, doubtful, strict=True)]
        found = nearest.project(start, run.price, run.before, run.after, run.shortfall)
        if found is not None:
            return found
    return None


def _blended(run: _Run) -> list[SmileCurve] | None:
    """The least share of the spares that is clean; None if even those are not."""
    copies = [copied(one, spare) for one, spare in zip(run.curves, run.spare(), strict=True)]

    def mixed(share: float) -> list[SmileCurve]:
        return [replace(one, bumps=(1 - share) * one.bumps) for one in copies]

    if run.shortfall(mixed(1.0)):
        return None
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        low, high = (share, high) if run.shortfall(mixed(share)) else (low, share)
    return mixed(high)
