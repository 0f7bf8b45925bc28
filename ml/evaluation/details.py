"""What a judged kind shows beyond its scores: its seeds, its weight by fold, what it listens to."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from ml.evaluation.report import Judged
from ml.evaluation.tables import label, r2, share, spans, titled


def details(judged: Judged) -> Iterator[Table]:
    """The tables of one kind for a terminal."""
    if len(judged.seeds) > 1:
        yield _table(judged, "R² by seed, against filtered persistence / the best baseline",
                     seeds(judged))
    yield _table(judged, "weight of the model against its anchor, of several their mean",
                 weights(judged))
    yield _table(judged, "R² lost / pinball loss added when features are shuffled",
                 importances(judged))


def _table(judged: Judged, title: str, rows: list[list[str]]) -> Table:
    table = titled(f"{judged.evaluation.kind}: {title}", "", *spans(judged.evaluation))
    for row in rows:
        table.add_row(*row)
    return table


def horizons(judged: Judged) -> list[int]:
    """Those that were scored, in seconds."""
    return [one.horizon_s for one in judged.evaluation.horizons]


def seeds(judged: Judged) -> list[list[str]]:
    """A row per seed and one of their standard deviation; two seeds at least."""
    rows = [[f"seed {one.seed}", *(
        f"{r2(filtered)} / {r2(best)}" for filtered, best
        in zip(one.r2_filtered, one.r2_best, strict=True))] for one in judged.seeds]
    filtered, best = (np.std([getattr(one, name) for one in judged.seeds], axis=0, ddof=1)
                      for name in ("r2_filtered", "r2_best"))
    spread = [f"{a:.2%} / {b:.2%}" for a, b in zip(filtered, best, strict=True)]
    return [*rows, ["standard deviation", *spread]]


def weights(judged: Judged) -> list[list[str]]:
    """A row per fold: the weight and the anchor by scored horizon; 0 is the anchor alone."""
    known, rows = horizons(judged), []
    for one in judged.weights:
        found = zip(judged.config.data.horizons_s, one.shrinkage, one.anchor, strict=True)
        rows.append([f"fold {one.fold + 1}, {one.training:,} samples", *(
            f"{weight:.2f} {label(anchor)}" for horizon_s, weight, anchor in found
            if horizon_s in known)])
    return rows


def importances(judged: Judged) -> list[list[str]]:
    """A row per group of features."""
    found = {(one.group, one.horizon_s): one for one in judged.importance}
    return [[group, *(f"{share(found[group, horizon_s].r2_lost)} / "
                      f"{share(found[group, horizon_s].pinball_lost)}"
                      for horizon_s in horizons(judged))]
            for group in dict.fromkeys(one.group for one in judged.importance)]
