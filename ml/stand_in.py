"""What stands in for a model that is silent: the baselines that its contract carries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.baselines import Linear, LinearBaseline, stacked
from ml.types import Floats


@dataclass(frozen=True, slots=True)
class StandIn:
    """A baseline by horizon, and its change of the smile."""

    names: tuple[str, ...]
    """(H,)"""
    change: Floats
    """Against the filtered smile, (H, 17)."""


@dataclass(frozen=True, slots=True)
class StandIns:
    """The baselines of a contract, ready to be asked."""

    names: tuple[str, ...]
    """What the model is stacked on, by horizon, (H,)."""
    anchor: Linear

    @classmethod
    def of(cls, baselines: Sequence[LinearBaseline], anchor: Sequence[str],
           window: int) -> "StandIns":
        """Those of a contract; without any it is filtered persistence at every horizon."""
        return cls(tuple(anchor), stacked(baselines, anchor, window))

    def of_window(self, deviations: Floats) -> StandIn:
        """The anchors' change, of a window's deviations (W, 17) from its filtered smile."""
        return StandIn(self.names, self.anchor.changes(deviations[None])[0])

    def of_short_history(self, recent: Floats, filtered: Floats) -> StandIn:
        """The anchors' change, of the smiles known, (W, 17), and what they are filtered to.

        A row without a smile repeats the one before it; those before the first known one count
        as one that is as old as the window. The newest must be known.
        """
        return self.of_window(_filled(recent) - filtered)


def _filled(rows: Floats) -> Floats:
    """Rows (W, 17), a missing one as the last known before it, or else the first known one."""
    known = np.isfinite(rows).all(axis=1)
    source = np.maximum.accumulate(np.where(known, np.arange(len(rows)), np.argmax(known)))
    return np.asarray(rows[source])
