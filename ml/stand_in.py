"""What stands in for a model that is silent: the baselines that its contract carries."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.baselines import Linear, LinearBaseline, stacked
from ml.features import deviations
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

    def of_window(self, deviated: Floats) -> StandIn:
        """The anchors' change, of a window's deviations (W, 17) from its filtered smile."""
        return StandIn(self.names, self.anchor.changes(deviated[None])[0])

    def of_short_history(self, recent: Floats, filtered: Floats) -> StandIn:
        """The anchors' change, of the smiles known, (W, 17), and what they are filtered to.

        Missing ones are filled as `ml.features.deviations` says. The newest must be known.
        """
        return self.of_window(deviations(recent, filtered))
