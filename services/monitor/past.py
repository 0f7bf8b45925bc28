"""What the baselines knew when a forecast was made, and the smiles that they would have held."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.baselines import changes
from ml.contract import ModelContract
from ml.features import deviations, filtered_smile
from ml.types import Floats

FITTED = ("ewma", "ar", "har", "kalman")
"""Baselines whose numbers are the champion's; the others need none."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The filtered persistence that forecasts are held against."""

    step_s: float
    window: int
    weight: float


@dataclass(frozen=True, slots=True)
class Past:
    """What was known at one instant; smiles are (17,)."""

    latest: Floats
    filtered: Floats
    tau: float
    forward: float
    """Years to expiry and forward of the latest smile."""
    deviations: Floats | None = None
    """The window's smiles less the filtered one, (W, 17), as models and their stand-ins see them;
    None where the newest is missing."""

    @classmethod
    def of(cls, grid_vol: Floats, weight: float, tau: float, forward: float) -> "Past":
        """Of smiles (W, 17) at the filter's steps, the newest last, NaN where there was none."""
        filtered = filtered_smile(grid_vol, weight)
        known = np.isfinite(grid_vol[-1]).all()
        return cls(grid_vol[-1], filtered, tau, forward,
                   deviations(grid_vol, filtered) if known else None)


def held_smiles(contract: ModelContract | None, pasts: Sequence[Past | None],
                horizons_s: Sequence[int]) -> list[dict[str, Floats]]:
    """For each forecast the smiles (17,) that the champion's fitted baselines would have held.

    `pasts` and `horizons_s` have an entry per forecast. Empty without a contract, for a horizon
    that it does not have, and where the past is of another window or has no newest smile. A short
    history is filled as for the baselines that stand in for a silent model.
    """
    held: list[dict[str, Floats]] = [{} for _ in pasts]
    if contract is None:
        return held
    known = [(place, past.filtered, past.deviations, contract.horizons_s.index(horizon))
             for place, (past, horizon) in enumerate(zip(pasts, horizons_s, strict=True))
             if past is not None and past.deviations is not None
             and len(past.deviations) == contract.window and horizon in contract.horizons_s]
    if not known:
        return held
    places, filtered, deviations, at = zip(*known, strict=True)
    rows = np.arange(len(known))
    for one in contract.baselines:
        if one.name in FITTED:
            smiles = np.stack(filtered) + changes(one, np.stack(deviations))[rows, np.array(at)]
            for place, smile in zip(places, smiles, strict=True):
                held[place][one.name] = smile
    return held
