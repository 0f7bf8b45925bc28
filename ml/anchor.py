"""Which baseline a network is stacked on, per horizon.

Filters of the smile, of one number fitted at most, are judged on training and validation, and the
one of least error is taken. AR and HAR, of dozens, are judged on validation only, which they have
not seen, and the filter is kept as long as it is within one standard error of them (Breiman,
Friedman, Olshen and Stone, 1984, "Classification and Regression Trees", section 3.4.3). Where the
horizon is too long for there to be evidence it is the filter of the horizon before, for of a level
under noise the same one is best at any (Muth, 1960, "Optimal properties of exponentially weighted
forecasts"); without any, filtered persistence, for which nothing is fitted.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.baselines.linear import FILTERED, LinearBaseline, all_changes
from ml.dataset import Dataset, Samples
from ml.evidence import MIN_BLOCKS, blocks, clustered_error
from ml.features import DEVIATIONS
from ml.folds import Fold, Part
from ml.types import Floats

FILTERS = (FILTERED, "ewma", "kalman", "persistence")
"""Of equal ones the first is taken."""
REGRESSIONS = ("har", "ar")
WITHOUT_EVIDENCE = FILTERED


def choose_anchor(baselines: Sequence[LinearBaseline], dataset: Dataset, fold: Fold,
                  points: Floats) -> tuple[str, ...]:
    """Names of the anchors, (H,); `points` (17,) are the weights of errors on the grid."""
    parts = (fold.training, fold.validation)
    seen = [(_losses(baselines, dataset.samples, part, points),
             np.asarray(dataset.samples.at_s[part.places]))
            for part in parts]
    both = {name: np.concatenate([losses[name] for losses, _ in seen]) for name in seen[0][0]}
    times = np.concatenate([at_s for _, at_s in seen])
    unseen, late = seen[1]
    chosen, simple = [], WITHOUT_EVIDENCE
    for place, horizon_s in enumerate(dataset.args.horizons_s):
        simple = _filter(simple, _at(both, place), times, horizon_s)
        chosen.append(_regression(simple, _at(unseen, place), late, horizon_s))
    return tuple(chosen)


def _filter(before: str, losses: Mapping[str, Floats], at_s: Floats, horizon_s: float) -> str:
    """The best filter, or where nothing tells the one of the horizon `before`."""
    known = np.isfinite(losses[FILTERED])
    if not _is_evidence(losses[FILTERED], at_s, horizon_s):
        return before
    return min(FILTERS, key=lambda name: float(losses[name][known].mean()))


def _regression(simple: str, losses: Mapping[str, Floats], at_s: Floats, horizon_s: float) -> str:
    """A regression, if it beats the chosen filter where it was not fitted."""
    enough = _is_evidence(losses[simple], at_s, horizon_s)
    return _simplest((simple, *REGRESSIONS), losses, at_s, horizon_s) if enough else simple


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
