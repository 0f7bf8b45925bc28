"""From forecasts of test parts to their losses on observed quotes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ml.baselines import FILTERED, all_changes
from ml.calendar import session_fraction
from ml.contract import MEDIAN
from ml.dataset import Dataset, Observations
from ml.errors import TrainingDataError
from ml.evaluation.forecasts import Forecasts, band_scales, pieces
from ml.evaluation.observed import LOWER, UPPER, Quotes, at_targets, edges_at, vols_at
from ml.evaluation.records import DAY_EDGES, MODEL, SESSION_EDGES, Buckets, Records, Tally
from ml.features import DEVIATIONS
from ml.growing import Store
from ml.smile.grid import MAX_VOL, MIN_VOL
from ml.types import Floats, Ints

if TYPE_CHECKING:
    from ml.walk import Walked  # brings torch, which live scoring goes without


def collect(walked: Sequence["Walked"], dataset: Dataset) -> Records:
    """Losses of walked-forward models and of their baselines on the test parts' quotes.

    Raises:
        TrainingDataError: no target of the test parts has a quote on the grid.
    """
    contract = walked[0].forecaster.contract
    names = (MODEL, FILTERED, *(one.name for one in contract.baselines))
    tally = Tally(contract.kind, contract.horizons_s, contract.step_s, names, contract.quantiles)
    forecasts = [forecasts_of(one, dataset) for one in walked if len(one.fold.test)]
    scales = band_scales(forecasts, dataset) if forecasts else []
    for one, scale in zip(forecasts, scales, strict=True):
        add(tally, one, scale, dataset)
    records = tally.records()
    if not len(records.at_s):
        raise TrainingDataError("nothing to score: no target in the test parts has a quote on the "
                                "grid")
    return records


def forecasts_of(walked: "Walked", dataset: Dataset) -> Forecasts:
    """What the model of a fold says of its test part; the windows are read in pieces."""
    contract, test = walked.forecaster.contract, walked.fold.test
    store = Store()
    for piece in pieces(len(test.places)):
        change = walked.forecaster.predict(dataset.samples.windows[test.places[piece]])
        store.append({"change": change.astype(np.float32)})
    return Forecasts(walked.fold.number, test.places, test.known, store.finish()["change"],
                     contract.baselines, contract.quantiles)


def add(tally: Tally, forecasts: Forecasts, scale: Floats, dataset: Dataset) -> None:
    """Add the losses of a fold's forecasts, `scale` (n, H) being that of their live bands."""
    for piece in pieces(len(forecasts.places)):
        samples = dataset.samples.take(forecasts.places[piece])
        others = all_changes(forecasts.baselines, samples.windows[:, :, DEVIATIONS])
        maturity, session = _buckets(samples.at_s, dataset.observations.tau[samples.row])
        for horizon in range(forecasts.known.shape[1]):
            target = forecasts.targets(dataset, horizon, piece)
            quotes = at_targets(dataset.observations, target)
            mine = edges_at(samples.filtered, forecasts.change[piece, horizon], quotes)
            smiles = {name: samples.filtered + change[:, horizon]
                      for name, change in others.items()}
            curves = [mine[MEDIAN], *_curves(smiles, forecasts, samples.row, target, quotes,
                                             dataset.observations)]
            values = _values(curves, mine, scale[piece, horizon][quotes.of], quotes.mid_iv,
                             forecasts.quantiles)
            tally.add(Buckets(forecasts.fold, horizon, samples.at_s, maturity, session),
                      quotes.of, quotes.z, quotes.half_spread, values)


def _curves(smiles: Mapping[str, Floats], forecasts: Forecasts, made: Ints, target: Ints,
            quotes: Quotes, observations: Observations) -> Iterator[Floats]:
    """Each baseline's volatility at the quotes (m,); one held by strike stays as it was `made`."""
    by_strike = {one.name for one in forecasts.baselines if one.held_by == "strike"}
    move = np.log(observations.forward[target] / observations.forward[made])[quotes.of]
    for name, smile in smiles.items():
        if name in by_strike:
            yield vols_at(smile, quotes.of, observations.tau[made][quotes.of],
                          quotes.log_moneyness + move)
        else:
            yield vols_at(smile, quotes.of, quotes.tau, quotes.log_moneyness)


def _buckets(at_s: Floats, tau: Floats) -> tuple[Ints, Ints]:
    times, places = np.unique(at_s, return_inverse=True)
    passed = np.array([session_fraction(datetime.fromtimestamp(at, UTC)) for at in times.tolist()])
    return np.searchsorted(DAY_EDGES, tau * 365.0), np.searchsorted(SESSION_EDGES, passed)[places]


def _values(curves: Sequence[Floats], edges: Floats, scale: Floats, mid: Floats,
            quantiles: Sequence[float]) -> Floats:
    """`LOSSES` of each curve (m,), then `BAND` of the model's edges (3, m), by quote, (m, C)."""
    vols = np.clip(np.stack(curves), MIN_VOL, MAX_VOL)  # (M, m)
    ratio = (mid / vols) ** 2
    error = vols - mid
    live = edges[MEDIAN] + (edges - edges[MEDIAN]) * scale
    inside = (live[LOWER] <= mid) & (mid <= live[UPPER])
    band = [mid < edges[LOWER], mid < edges[MEDIAN], mid <= edges[UPPER],
            pinball(edges, mid, quantiles), edges[UPPER] - edges[LOWER], inside,
            pinball(live, mid, quantiles), live[UPPER] - live[LOWER]]
    return np.vstack([error**2, np.abs(error), ratio - np.log(ratio) - 1.0, np.stack(band)]).T


def pinball(edges: Floats, mid: Floats, quantiles: Sequence[float]) -> Floats:
    """Mean over the quantiles of max(q u, (q − 1) u), u = mid − edge, (m,).

    Edges 0.18, 0.20 and 0.22 for 5, 50 and 95 % and a mid of 0.21 lose 0.0015, 0.005 and 0.0005.
    """
    off, level = mid - edges, np.asarray(quantiles)[:, None]
    return np.asarray(np.maximum(level * off, (level - 1.0) * off).mean(axis=0))
