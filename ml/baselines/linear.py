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
from ml.types import Floats

BASELINES = ("persistence", "ewma", "sticky_strike", "ar", "har", "kalman")
FILTERED = "filtered_persistence"
"""The baseline that predicts no change against the filtered smile; it needs no numbers."""
HeldBy = Literal["moneyness", "strike"]
Row = Annotated[tuple[float, ...], Meta(min_length=1)]
_TOLERANCE = 1e-6


class LinearBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast that is linear in the deviations (W, 17) of a window, the newest row last.

    change[h] = Σ_w base[h, w] d_w + Σ_r loadings_r Σ_w weights[h, r, w] (loadings_r · d_w)
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


@dataclass(frozen=True, slots=True)
class Linear:
    """The numbers of one baseline, or of a different one at each horizon, as arrays."""

    base: Floats
    """(H, W)"""
    loadings: Floats
    """(R, 17)"""
    weights: Floats
    """(H, R, W)"""

    def changes(self, deviations: Floats) -> Floats:
        """(B, W, 17) to (B, H, 17), as `LinearBaseline` says."""
        change = np.einsum("hw,bwg->bhg", self.base, deviations, optimize=True)
        if len(self.loadings):
            scores = deviations @ self.loadings.T  # (B, W, R)
            moves = np.einsum("hrw,bwr->bhr", self.weights, scores, optimize=True)
            change += moves @ self.loadings
        return np.asarray(change)


def arrays(baseline: LinearBaseline) -> Linear:
    """A baseline's numbers as arrays."""
    base = np.asarray(baseline.base, float)
    if not baseline.loadings:
        return Linear(base, np.empty((0, GRID_SIZE)), np.empty((len(base), 0, base.shape[1])))
    return Linear(base, np.asarray(baseline.loadings), np.asarray(baseline.weights))


def stacked(baselines: Sequence[LinearBaseline], names: Sequence[str], window: int) -> Linear:
    """At each horizon the baseline of this name, as one; `FILTERED` predicts no change."""
    chosen = {one.name: arrays(one) for one in baselines if one.name in names}
    base = np.zeros((len(names), window))
    loadings, weights = [np.empty((0, GRID_SIZE))], [np.empty((len(names), 0, window))]
    for name, one in chosen.items():
        here = np.array([name == other for other in names])
        base[here] = one.base[here]
        loadings.append(one.loadings)
        weights.append(np.where(here[:, None, None], one.weights, 0.0))
    return Linear(base, np.concatenate(loadings), np.concatenate(weights, axis=1))


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
