"""What a network is stacked on, per horizon: the mean of the baselines nearly as good as the best.

Filters of the smile, of one number fitted at most, are judged on training and validation, and those
within one standard error of the best stay. AR and HAR, of dozens, join them for validation, which
they have not seen: what is within one standard error of the best there is the anchor (the rule of
Breiman, Friedman, Olshen and Stone, 1984, "Classification and Regression Trees", section 3.4.3, but
that all within it are taken).

A mean of forecasts is rarely far behind the best of them, and one chosen by a handful of
independent errors often is; but what is clearly behind spoils the mean, so that it is left out
(Clemen, 1989, "Combining forecasts: A review and annotated bibliography"; Timmermann, 2006,
"Forecast Combinations"; on what is kept: Hansen, Lunde and Nason, 2011, "The Model Confidence
Set").
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.baselines.linear import LinearBaseline, all_changes, name_of_mean
from ml.dataset import Dataset, Samples
from ml.evidence import clustered_error
from ml.features import DEVIATIONS
from ml.folds import Fold, Part
from ml.types import Floats

FILTERS = ("persistence", "ewma", "kalman")
"""Filtered persistence is an EWMA whose weight is not fitted."""
REGRESSIONS = ("ar", "har")


def choose_anchor(baselines: Sequence[LinearBaseline], dataset: Dataset, fold: Fold,
                  points: Floats) -> tuple[str, ...]:
    """Names of the anchors, (H,); `points` (17,) are the weights of errors on the grid."""
    parts = (fold.training, fold.validation)
    seen, unseen = (_losses(baselines, dataset.samples, part, points) for part in parts)
    both = {name: np.concatenate([seen[name], unseen[name]]) for name in seen}
    early, late = (np.asarray(dataset.samples.at_s[part.places]) for part in parts)
    at_s = np.concatenate([early, late])

    anchors = []
    for place, horizon_s in enumerate(dataset.args.horizons_s):
        names = _nearly_best(FILTERS, _at(both, place), at_s, horizon_s)
        if np.isfinite(unseen[names[0]][:, place]).any():
            names = _nearly_best((*names, *REGRESSIONS), _at(unseen, place), late, horizon_s)
        anchors.append(name_of_mean(names))
    return tuple(anchors)


def _nearly_best(names: Sequence[str], losses: Mapping[str, Floats], at_s: Floats,
                 horizon_s: float) -> list[str]:
    """Those of `names` within one standard error of the best, in their order."""
    known = np.isfinite(losses[names[0]])
    best = min(names, key=lambda name: float(losses[name][known].mean()))

    def near(name: str) -> bool:
        behind = (losses[name] - losses[best])[known]
        return bool(behind.sum() <= clustered_error(behind - behind.mean(), at_s[known], horizon_s))

    return [name for name in names if near(name)]


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
