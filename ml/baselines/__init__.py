"""What a desk would use instead of a model; fitted on training rows by `ml.baselines.fitting`."""

from ml.baselines.linear import (
    BASELINES,
    FILTERED,
    LinearBaseline,
    all_changes,
    anchor_changes,
    changes,
)
from ml.baselines.smiles import (
    Curve,
    band_at,
    filtered_persistence,
    grid_curve,
    held_by_strike,
    on_grid,
    persistence,
    score_curve,
    score_smile,
    sticky_strike,
)

__all__ = [
    "BASELINES", "FILTERED", "Curve", "LinearBaseline", "all_changes", "anchor_changes",
    "band_at", "changes", "filtered_persistence", "grid_curve", "held_by_strike", "on_grid",
    "persistence", "score_curve", "score_smile", "sticky_strike"]
