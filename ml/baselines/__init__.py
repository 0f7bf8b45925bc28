"""What a desk would use instead of a model; fitted on training rows by `ml.baselines.fitting`."""

from ml.baselines.linear import (
    BASELINES,
    FILTERED,
    Linear,
    LinearBaseline,
    all_changes,
    arrays,
    changes,
    members,
    name_of_mean,
    stacked,
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
    "BASELINES", "FILTERED", "Curve", "Linear", "LinearBaseline", "all_changes", "arrays",
    "band_at", "changes", "filtered_persistence", "grid_curve", "held_by_strike", "members",
    "name_of_mean", "on_grid", "persistence", "score_curve", "score_smile", "stacked",
    "sticky_strike"]
