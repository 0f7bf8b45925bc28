"""Which baseline a network is stacked on, per horizon.

Filters of the smile, of one number fitted at most, are judged on training and validation, and the
one of least error is taken. AR and HAR, of dozens, are judged on validation only, which they have
not seen, and the filter is kept as long as it is within one standard error of them (Breiman,
Friedman, Olshen and Stone, 1984, "Classification and Regression Trees", section 3.4.3).

Where the horizon is too long for validation to tell them apart, none is chosen: it is the mean of
all that are held by moneyness. A mean of forecasts is rarely far behind the best of them, and what
is chosen by a handful of independent errors often is (Clemen, 1989, "Combining forecasts: A review
and annotated bibliography"; Timmermann, 2006, "Forecast Combinations").
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.baselines.linear import COMBINATION, FILTERED, LinearBaseline, all_changes
from ml.dataset import Dataset, Samples
from ml.evidence import MIN_BLOCKS, blocks, clustered_error
from ml.features import DEVIATIONS
from ml.folds import Fold, Part
from ml.types import Floats

FILTERS = (FILTERED, "ewma", "kalman", "persistence")
"""Of equal ones the first is taken."""
REGRESSIONS = ("har", "ar")


def choose_anchor(baselines: Sequence[LinearBaseline], dataset: Dataset, fold: Fold,
                  points: Floats) -> tuple[str, ...]:
    """Names of the anchors, (H,); `points` (17,) are the weights of errors on the grid."""
    parts = (fold.training, fold.validation)
    seen, unseen = (_losses(baselines, dataset.samples, part, points) for part in parts)
    both = {name: np.concatenate([seen[name], unseen[name]]) for name in seen}
    late = np.asarray(dataset.samples.at_s[fold.validation.places])
    return tuple(_chosen(_at(both, place), _at(unseen, place), late, horizon_s)
                 for place, horizon_s in enumerate(dataset.args.horizons_s))


def _chosen(both: Mapping[str, Floats], unseen: Mapping[str, Floats], late: Floats,
            horizon_s: float) -> str:
    """The best filter, or a regression that beats it where it was not fitted."""
    if not _is_evidence(unseen[FILTERED], late, horizon_s):
        return COMBINATION
    known = np.isfinite(both[FILTERED])
    simple = min(FILTERS, key=lambda name: float(both[name][known].mean()))
    return _simplest((simple, *REGRESSIONS), unseen, late, horizon_s)


def _is_evidence(loss: Floats, at_s: Floats, horizon_s: float) -> bool:
    return blocks(at_s[np.isfinite(loss)], horizon_s)[1] >= MIN_BLOCKS


def _losses(baselines: Sequence[LinearBaseline], samples: Samples,
            part: Part, points: Floats) -> dict[str, Floats]:
    """Mean squared error on the observed points by baseline, (n, H); NaN where none is."""
    pieces = []
    for piece in part.chunks():
        deviations = piece.windows(samples)[:, :, DEVIATIONS]
        actual = piece.changes(samples)
        pieces.append({name: _mean_square(change - actual, points)
                       for name, change in all_changes(baselines, deviations).items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _mean_square(error: Floats, points: Floats) -> Floats:
    weight = np.isfinite(error) @ points  # (n, H)
    square = np.nan_to_num(error) ** 2 @ points
    return np.where(weight > 0, square / np.where(weight > 0, weight, 1.0), np.nan)


def _at(losses: Mapping[str, Floats], place: int) -> dict[str, Floats]:
    return {name: loss[:, place] for name, loss in losses.items()}


def _simplest(names: Sequence[str], losses: Mapping[str, Floats], at_s: Floats,
              horizon_s: float) -> str:
    """The first of `names` that is within one standard error of the best."""
    known = np.isfinite(losses[names[0]])
    best = min(names, key=lambda name: float(losses[name][known].mean()))
    for name in names:
        behind = (losses[name] - losses[best])[known]
        error = clustered_error(behind - behind.mean(), at_s[known], horizon_s)
        if behind.sum() <= error:
            return name
    return best
