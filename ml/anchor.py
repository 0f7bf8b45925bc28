"""Which baseline a network is stacked on, per horizon.

Filters of the smile, of one number fitted at most, are judged on training and validation; AR and
HAR, of dozens, on validation only, which they have not seen. A simpler one is kept as long as it
is within one standard error of the best (Breiman, Friedman, Olshen and Stone, 1984,
"Classification and Regression Trees", section 3.4.3), so that noise does not choose.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.baselines.linear import FILTERED, LinearBaseline, all_changes
from ml.dataset import Samples
from ml.evidence import MIN_BLOCKS, blocks, clustered_error
from ml.features import DEVIATIONS
from ml.folds import Fold, Part
from ml.types import Floats

FILTERS = ("ewma", FILTERED, "kalman", "persistence")
"""The preferred first."""
REGRESSIONS = ("har", "ar")


def choose_anchor(baselines: Sequence[LinearBaseline], samples: Samples, fold: Fold,
                  horizons_s: Sequence[int]) -> tuple[str, ...]:
    """Names of the anchors, (H,)."""
    parts = (fold.training, fold.validation)
    losses = [_losses(baselines, samples, part) for part in parts]
    at_s = [np.asarray(samples.at_s[part.places]) for part in parts]
    both, times = {name: np.concatenate([one[name] for one in losses]) for name in losses[0]}, \
        np.concatenate(at_s)
    chosen = []
    for place, horizon_s in enumerate(horizons_s):
        simple = _simplest(FILTERS, _at(both, place), times, horizon_s)
        unseen = _at(losses[1], place)
        enough = blocks(at_s[1][np.isfinite(unseen[simple])], horizon_s)[1] >= MIN_BLOCKS
        rivals = (simple, *REGRESSIONS) if enough else (simple,)
        chosen.append(_simplest(rivals, unseen, at_s[1], horizon_s))
    return tuple(chosen)


def _losses(baselines: Sequence[LinearBaseline], samples: Samples,
            part: Part) -> dict[str, Floats]:
    """Mean squared error on the observed points by baseline, (n, H); NaN where none is."""
    pieces = []
    for piece in part.chunks():
        deviations = piece.windows(samples)[:, :, DEVIATIONS]
        actual = piece.changes(samples)
        pieces.append({name: _mean_square(change - actual)
                       for name, change in all_changes(baselines, deviations).items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _mean_square(error: Floats) -> Floats:
    count = np.isfinite(error).sum(axis=2)
    return np.where(count > 0, np.nansum(error**2, axis=2) / np.maximum(count, 1), np.nan)


def _at(losses: Mapping[str, Floats], place: int) -> dict[str, Floats]:
    return {name: loss[:, place] for name, loss in losses.items()}


def _simplest(names: Sequence[str], losses: Mapping[str, Floats], at_s: Floats,
              horizon_s: float) -> str:
    """The first of `names` that is within one standard error of the best."""
    known = np.isfinite(losses[names[0]])
    if not known.any():
        return names[0]
    best = min(names, key=lambda name: float(losses[name][known].mean()))
    for name in names:
        behind = (losses[name] - losses[best])[known]
        error = clustered_error(behind - behind.mean(), at_s[known], horizon_s)
        if behind.sum() <= error:
            return name
    return best
