"""Many forecasts at the quotes of their targets at once: flat arrays, one entry per quote.

The same numbers as `ml.smile.grid.vol_at` and `ml.baselines.band_at` smile by smile.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.contract import MEDIAN
from ml.dataset import Observations
from ml.smile.grid import ATM_INDEX, GRID_SIZE, GRID_Z, LEE_SLOPE, spline
from ml.types import Floats, Ints

Singles = NDArray[np.float32]
LOWER, UPPER = 0, 2
"""Places of a band's ends among the quantiles."""
_STEP = float(GRID_Z[1] - GRID_Z[0])
_CURVATURE = spline(GRID_Z)[2]
"""σ″ at the grid's points as a linear map of σ there, (17, 17)."""
_END_SLOPES = spline(GRID_Z[[0, -1]])[1]


@dataclass(frozen=True, slots=True)
class Quotes:
    """The m quotes within the grid that n forecasts are judged on."""

    of: Ints
    """Place of the quote's forecast among the n, ascending, (m,)."""
    log_moneyness: Floats
    """k = ln(K / forward observed at the target), (m,)."""
    z: Floats
    """k by the smile observed with it, (m,)."""
    tau: Floats
    """Years to expiry at the target, (m,)."""
    mid_iv: Floats
    half_spread: Floats

    def __len__(self) -> int:
        return len(self.of)


def at_targets(observations: Observations, target: Ints) -> Quotes:
    """The quotes on the grid of the rows `target` (n,) of the observations; −1 has none."""
    rows = np.maximum(target, 0)
    count = np.where(target >= 0, observations.starts[rows + 1] - observations.starts[rows], 0)
    of = np.repeat(np.arange(len(target)), count)
    places = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    places = places + observations.starts[rows][of]
    log_moneyness, mid = observations.log_moneyness[places], observations.mid_iv[places]
    tau = observations.tau[rows][of]
    z = log_moneyness / (observations.atm_vol[rows][of] * np.sqrt(tau))
    used = (z >= GRID_Z[0]) & (z <= GRID_Z[-1]) & np.isfinite(mid)
    return Quotes(of[used], log_moneyness[used], z[used], tau[used], mid[used],
                  observations.half_spread[places][used])


def vols_at(smiles: Floats, of: Ints, tau: Floats, log_moneyness: Floats) -> Floats:
    """Volatility (m,) of smile `of` (m,) among `smiles` (n, 17) at each ln(K/F) (m,).

    Beyond the grid total variance goes on in a straight line, as in `vol_at`.
    """
    scale = smiles[of, ATM_INDEX] * np.sqrt(tau)
    with np.errstate(all="ignore"):
        z = log_moneyness / scale
        inside = np.clip(z, GRID_Z[0], GRID_Z[-1])
        value = _within(smiles, of, inside)
        outside = np.flatnonzero(z != inside)
        if len(outside):
            beyond, own = (z - inside)[outside], smiles[of[outside]]
            end = np.where(beyond > 0, -1, 0)
            rise = np.take_along_axis(own @ _END_SLOPES.T, end[:, None] % 2, axis=1)[:, 0]
            growth = rise * own[np.arange(len(end)), end] * 2 * tau[outside] / scale[outside]
            slope = np.clip(growth * np.sign(beyond), 0.0, LEE_SLOPE)
            more = slope * np.abs(beyond) * scale[outside] / tau[outside]
            value[outside] = np.sqrt(value[outside] ** 2 + more)
    return value


def _within(smiles: Floats, of: Ints, z: Floats) -> Floats:
    left, t = _interval(z)
    bent = smiles @ _CURVATURE.T * (_STEP**2 / 6)
    bend = (2 - t) * bent[of, left] + (1 + t) * bent[of, left + 1]
    return np.asarray(smiles[of, left] * (1 - t) + t * smiles[of, left + 1] - t * (1 - t) * bend)


def _interval(z: Floats) -> tuple[Ints, Floats]:
    position = (np.nan_to_num(z) - GRID_Z[0]) / _STEP
    left = np.clip(position, 0, GRID_SIZE - 2).astype(np.int64)
    return left, position - left


def edges_at(filtered: Floats, change: Singles, quotes: Quotes) -> Floats:
    """Lower end, median and upper end (3, m) at the quotes, of changes (n, 3, 17)."""
    move = change.astype(np.float64)
    smiles = filtered + move[:, MEDIAN]
    where = quotes.of, quotes.tau, quotes.log_moneyness
    middle = vols_at(smiles, *where)
    return np.stack([middle + distances_at(move[:, edge] - move[:, MEDIAN], smiles, *where)
                     for edge in (LOWER, MEDIAN, UPPER)])


def distances_at(distance: Floats, smiles: Floats, of: Ints, tau: Floats,
                 log_moneyness: Floats) -> Floats:
    """What a band's edge lies off its smile at each quote (m,), `distance` (n, 17) at the grid's
    points; linear between them, as in `band_at`."""
    z = log_moneyness / (smiles[of, ATM_INDEX] * np.sqrt(tau))
    left, t = _interval(np.clip(z, GRID_Z[0], GRID_Z[-1]))
    return np.asarray(distance[of, left] * (1 - t) + distance[of, left + 1] * t)
