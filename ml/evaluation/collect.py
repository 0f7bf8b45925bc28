"""From forecasts of test parts to their losses on observed quotes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml.bands import Issued, adapt
from ml.baselines import FILTERED, LinearBaseline, all_changes
from ml.calendar import session_fraction
from ml.contract import MEDIAN
from ml.dataset import Dataset, Observations
from ml.errors import TrainingDataError
from ml.evaluation.observed import Quotes, at_targets, distances_at, vols_at
from ml.evaluation.records import DAY_EDGES, MODEL, SESSION_EDGES, Buckets, Ints, Records, Tally
from ml.features import DEVIATIONS
from ml.smile.grid import MAX_VOL, MIN_VOL
from ml.types import Bools, Floats

if TYPE_CHECKING:
    from ml.walk import Walked  # brings torch, which live scoring goes without

Singles = NDArray[np.float32]
CHUNK = 1024
"""Forecasts taken at a time."""
_LOWER, _UPPER = 0, 2


@dataclass(frozen=True, slots=True)
class Forecasts:
    """A fold's test part as a model forecast it; n samples."""

    fold: int
    places: Ints
    """Of the samples, (n,)."""
    known: Bools
    """Horizons whose target belongs to the part, (n, H)."""
    change: Singles
    """Lower end, median and upper end of the change, (n, H, 3, 17)."""
    baselines: tuple[LinearBaseline, ...]
    quantiles: tuple[float, ...]


def collect(walked: Sequence["Walked"], dataset: Dataset) -> Records:
    """Losses of walked-forward models and of their baselines on the test parts' quotes.

    Raises:
        TrainingDataError: no target of the test parts has a quote on the grid.
    """
    contract = walked[0].forecaster.contract
    names = (MODEL, FILTERED, *(one.name for one in contract.baselines))
    tally = Tally(contract.kind, contract.horizons_s, contract.step_s, names)
    for one in walked:
        add(tally, forecasts_of(one, dataset), dataset)
    records = tally.records()
    if not len(records.at_s):
        raise TrainingDataError("nothing to score: no target in the test parts has a quote on the "
                                "grid")
    return records


def forecasts_of(walked: "Walked", dataset: Dataset) -> Forecasts:
    """What the model of a fold says of its test part; the windows are read in chunks."""
    contract, test = walked.forecaster.contract, walked.fold.test
    change = [walked.forecaster.predict(dataset.samples.windows[test.places[piece]])
              for piece in _pieces(len(test.places))]
    return Forecasts(walked.fold.number, test.places, test.known,
                     np.concatenate(change).astype(np.float32), contract.baselines,
                     contract.quantiles)


def _pieces(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def add(tally: Tally, forecasts: Forecasts, dataset: Dataset) -> None:
    """Add the losses of a fold's forecasts."""
    scale = band_scales(forecasts, dataset)  # (n, H)
    for piece in _pieces(len(forecasts.places)):
        samples = dataset.samples.take(forecasts.places[piece])
        others = all_changes(forecasts.baselines, samples.windows[:, :, DEVIATIONS])
        maturity, session = _buckets(samples.at_s, dataset.observations.tau[samples.row])
        for horizon in range(forecasts.known.shape[1]):
            target = np.where(forecasts.known[piece, horizon], samples.target[:, horizon], -1)
            quotes = at_targets(dataset.observations, target)
            mine = _edges(samples.filtered, forecasts.change[piece, horizon], quotes)
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


def _edges(filtered: Floats, singles: Singles, quotes: Quotes) -> Floats:
    """Lower end, median and upper end (3, m) at the quotes, of changes (n, 3, 17)."""
    change = singles.astype(np.float64)
    smiles = filtered + change[:, MEDIAN]
    where = quotes.of, quotes.tau, quotes.log_moneyness
    middle = vols_at(smiles, *where)
    return np.stack([middle + distances_at(change[:, edge] - change[:, MEDIAN], smiles, *where)
                     for edge in (_LOWER, MEDIAN, _UPPER)])


def band_scales(forecasts: Forecasts, dataset: Dataset) -> Floats:
    """What the live, adaptive scale would have been for each forecast, (n, H); 1 at first.

    Only this needs the quotes of a whole test part at once, of one horizon at a time.
    """
    scale = np.ones(forecasts.known.shape)
    symbols = sorted({symbol for symbol, _ in dataset.keys})
    symbol = np.array([symbols.index(name) for name, _ in dataset.keys])
    for horizon, horizon_s in enumerate(dataset.args.horizons_s):
        issued = _issued(forecasts, dataset, symbol, horizon, float(horizon_s))
        scale[:, horizon] = adapt(issued, dataset.args.step_s,
                                  forecasts.quantiles[_UPPER] - forecasts.quantiles[_LOWER])
    return scale


def _issued(forecasts: Forecasts, dataset: Dataset, symbol: Ints, horizon: int,
            horizon_s: float) -> Issued:
    samples, places = dataset.samples, forecasts.places
    target = np.where(forecasts.known[:, horizon], samples.target[places, horizon], -1)
    pieces, count = [], np.zeros(len(places) + 1, np.int64)
    for piece in _pieces(len(places)):
        quotes = at_targets(dataset.observations, target[piece])
        edges = _edges(samples.filtered[places[piece]], forecasts.change[piece, horizon], quotes)
        pieces.append(np.vstack([quotes.mid_iv, edges]))
        count[piece.start + 1:piece.stop + 1] = np.bincount(
            quotes.of, minlength=piece.stop - piece.start)
    mid, lower, middle, upper = np.concatenate(pieces, axis=1)
    observed = np.where(target >= 0, dataset.observations.at_s[target], np.nan)
    key = samples.key[places]
    return Issued(
        at_s=samples.at_s[places], horizon_s=np.full(len(places), horizon_s), symbol=symbol[key],
        expiry=key, observed_s=observed, starts=np.cumsum(count), mid=mid, middle=middle,
        lower=lower, upper=upper)


def _values(curves: Sequence[Floats], edges: Floats, scale: Floats, mid: Floats,
            quantiles: Sequence[float]) -> Floats:
    """`LOSSES` of each curve (m,), then `BAND` of the model's edges (3, m), by quote, (m, C)."""
    vols = np.clip(np.stack(curves), MIN_VOL, MAX_VOL)  # (M, m)
    ratio = (mid / vols) ** 2
    error = vols - mid
    live = edges[MEDIAN] + (edges - edges[MEDIAN]) * scale
    inside = (live[_LOWER] <= mid) & (mid <= live[_UPPER])
    band = [mid < edges[_LOWER], mid < edges[MEDIAN], mid <= edges[_UPPER],
            pinball(edges, mid, quantiles), edges[_UPPER] - edges[_LOWER], inside,
            pinball(live, mid, quantiles), live[_UPPER] - live[_LOWER]]
    return np.vstack([error**2, np.abs(error), ratio - np.log(ratio) - 1.0, np.stack(band)]).T


def pinball(edges: Floats, mid: Floats, quantiles: Sequence[float]) -> Floats:
    """Mean over the quantiles of max(q u, (q − 1) u), u = mid − edge, (m,).

    Edges 0.18, 0.20 and 0.22 for 5, 50 and 95 % and a mid of 0.21 lose 0.0015, 0.005 and 0.0005.
    """
    off, level = mid - edges, np.asarray(quantiles)[:, None]
    return np.asarray(np.maximum(level * off, (level - 1.0) * off).mean(axis=0))
