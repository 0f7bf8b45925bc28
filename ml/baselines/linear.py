"""Baselines that are linear in a window's smiles, as numbers: the same in training and serving.

Every one predicts the change of the grid smile against the window's filtered smile, as a network
does, from the window's deviations from it. A linear filter of the smiles whose weights sum to 1
is the same filter of the deviations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from ml.smile.grid import GRID_SIZE
from ml.types import Bools, Floats

BASELINES = ("persistence", "ewma", "sticky_strike", "ar", "har", "kalman")
FILTERED = "filtered_persistence"
"""The baseline that predicts no change against the filtered smile; it needs no numbers."""
_AND = "+"
HeldBy = Literal["moneyness", "strike"]
Row = Annotated[tuple[float, ...], Meta(min_length=1)]
_TOLERANCE = 1e-6


class LinearBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast that is linear in the deviations (W, 17) of a window, the newest row last.

    change[h] = Σ_w base[h, w] d_w + Σ_r loadings_r Σ_w weights[h, r, w] (loadings_r · d_w)

    A window repeats a smile where there was none; such rows say nothing new, and the base's
    weights are normalised over the others (`fresh`).
    """

    name: str
    """One of `BASELINES`."""
    held_by: HeldBy = "moneyness"
    """What the forecast smile is a function of until its target time. One held by strike still
    has to be moved by ln(F_target / F_made), see `held_by_strike`."""
    base: tuple[Row, ...]
    """Weights of the rows' smiles by horizon, (H, W); each horizon's sum to 1."""
    loadings: tuple[Row, ...] = ()
    """Orthonormal principal components of the smile, (R, 17)."""
    weights: tuple[tuple[Row, ...], ...] = ()
    """Corrections in the components' space, (H, R, W)."""

    def __post_init__(self) -> None:
        base = np.asarray(self.base)  # (H, W); a ragged one is refused here
        if base.ndim != 2 or np.abs(base.sum(axis=1) - 1.0).max() > _TOLERANCE:
            raise ValueError(f"`base` of {self.name} needs weights by horizon that sum to 1")
        wanted = (len(base), len(self.loadings), base.shape[1])
        if self.loadings and np.asarray(self.weights).shape != wanted:
            raise ValueError(f"`weights` of {self.name} need the shape {wanted}")


def fresh(deviations: Floats) -> Bools:
    """Which rows of windows (B, W, 17) are no mere repeats of another, (B, W).

    The first of equal rows is, but of those that end the window the last.

    >>> fresh(np.array([[[1.0], [2.0], [2.0], [3.0], [3.0]]])).tolist()
    [[True, True, False, False, True]]
    """
    same = (deviations[:, 1:] == deviations[:, :-1]).all(axis=2)  # (B, W − 1)
    to_the_end = np.logical_and.accumulate(same[:, ::-1], axis=1)[:, ::-1]
    edge = np.zeros((len(deviations), 1), bool)
    as_before = np.concatenate([edge, same[:, :-1]], axis=1)
    return np.concatenate([~as_before & ~to_the_end, ~edge], axis=1)


@dataclass(frozen=True, slots=True)
class Linear:
    """The numbers of one baseline, or of a different one at each horizon, as arrays."""

    base: Floats
    """(H, W)"""
    loadings: Floats
    """(R, 17)"""
    weights: Floats
    """(H, R, W)"""
    speaks: Bools
    """False at horizons at which it predicts no change, (H,)."""

    def changes(self, deviations: Floats) -> Floats:
        """(B, W, 17) to (B, H, 17), as `LinearBaseline` says."""
        weights = self.base * fresh(deviations)[:, None]  # (B, H, W)
        change = weights @ deviations / weights.sum(axis=2, keepdims=True)
        if len(self.loadings):
            scores = deviations @ self.loadings.T  # (B, W, R)
            moves = np.einsum("hrw,bwr->bhr", self.weights, scores, optimize=True)
            change += moves @ self.loadings
        return np.asarray(change * self.speaks[:, None])


def filter_of(base: Floats) -> Linear:
    """Weights (H, W) of a window's smiles, and nothing else."""
    horizons, window = base.shape
    return Linear(base, np.empty((0, GRID_SIZE)), np.empty((horizons, 0, window)),
                  np.ones(horizons, bool))


def arrays(baseline: LinearBaseline) -> Linear:
    """A baseline's numbers as arrays."""
    base = np.asarray(baseline.base, float)
    if not baseline.loadings:
        return filter_of(base)
    return Linear(base, np.asarray(baseline.loadings), np.asarray(baseline.weights),
                  np.ones(len(base), bool))


def name_of_mean(names: Sequence[str]) -> str:
    """What the mean of these baselines is called; of one alone it is that one's name.

    >>> name_of_mean(["ewma", "har"])
    'ewma+har'
    """
    return _AND.join(names)


def members(name: str) -> tuple[str, ...]:
    """The baselines that one so called is the mean of, see `name_of_mean`."""
    return tuple(name.split(_AND))


def stacked(baselines: Sequence[LinearBaseline], names: Sequence[str], window: int) -> Linear:
    """At each horizon the baseline of this name, or the mean of several, as one.

    `FILTERED`, which predicts no change, is no part of a mean.

    Raises:
        KeyError: a name is that of no baseline given.
    """
    held = {one.name: arrays(one) for one in baselines}
    base = np.eye(window)[-1:].repeat(len(names), axis=0)
    loadings, weights = [np.empty((0, GRID_SIZE))], [np.empty((len(names), 0, window))]
    for name in dict.fromkeys(name for name in names if name != FILTERED):
        here = np.array([name == other for other in names])
        mean = _mean([held[member] for member in members(name)])
        base[here] = mean.base[here]
        loadings.append(mean.loadings)
        weights.append(np.where(here[:, None, None], mean.weights, 0.0))
    return Linear(base, np.concatenate(loadings), np.concatenate(weights, axis=1),
                  np.array([name != FILTERED for name in names]))


def _mean(several: Sequence[Linear]) -> Linear:
    """The mean of their changes."""
    return Linear(np.mean([one.base for one in several], axis=0),
                  np.concatenate([one.loadings for one in several]),
                  np.concatenate([one.weights for one in several], axis=1) / len(several),
                  several[0].speaks)


def changes(baseline: LinearBaseline, deviations: Floats) -> Floats:
    """Changes (B, H, 17) against the filtered smile of deviations from it, (B, W, 17).

    Persistence of a window whose newest smile lies 0.001 above the filtered one predicts a
    change of 0.001 at every horizon.
    """
    return arrays(baseline).changes(deviations)


def all_changes(baselines: Sequence[LinearBaseline], deviations: Floats) -> dict[str, Floats]:
    """`changes` by baseline's name, `FILTERED` with its zeros first; each (B, H, 17)."""
    named = {one.name: changes(one, deviations) for one in baselines}
    return {FILTERED: np.zeros_like(next(iter(named.values()))), **named}


def as_tuples(values: Floats) -> tuple[Any, ...]:
    """An array as nested tuples, as a contract holds it."""
    if values.ndim == 1:
        return tuple(values.tolist())
    return tuple(as_tuples(row) for row in values)
