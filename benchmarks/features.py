"""Features of one instant, an expiry at a time, beside the same columns by pandas.

For each expiry of a surface: what its smile says now, and the window of a model up to it, as the
stream makes them. The peer makes the same window out of a data frame with `ewm`, `diff`, `cumsum`
and `rolling`; that both agree is checked first. Times are of the processor, on one core.
"""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks._chain import AT, chains
from ml.calendar import YEAR_SECONDS
from ml.features import (
    FILTER_WEIGHT,
    INSTANT_FEATURES,
    SHORT_ROWS,
    SLOW_WEIGHT,
    SmileWindow,
    surface_features,
    window_input,
)
from ml.smile.surface import build_surface
from ml.types import Floats, SmileSnapshot

EXPIRIES, CONTRACTS = 30, 3000
ROWS, STEP_S = 10, 60.0
ROUNDS = 30
AIM_MS = 2.0


def main() -> None:
    """Print the milliseconds per expiry, and how much longer the peer takes."""
    with threadpool_limits(1):
        smiles = build_surface(chains(EXPIRIES, CONTRACTS, american=False)).smiles
        windows = _windows(smiles)
        for one in windows:
            found = window_input(one)
            assert found is not None and np.allclose(_peer(one), found, atol=1e-9)
        instant = _timed(lambda: surface_features(smiles))
        window = _timed(lambda: [window_input(one) for one in windows])
        peer = _timed(lambda: [_peer(one) for one in windows])
    print(f"an expiry's features and window of {ROWS} rows  {instant + window:6.3f} ms "
          f"(aim {AIM_MS:g}): {instant:.3f} its smile, {window:.3f} its window")
    print(f"the window by pandas  {peer:6.3f} ms, ratio {peer / window:.0f}")


def _timed(call: Callable[[], object]) -> float:
    """Median milliseconds per expiry."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times) / EXPIRIES * 1e3


def _windows(smiles: tuple[SmileSnapshot, ...]) -> list[SmileWindow]:
    """A window up to each smile, of smiles that wander."""
    random = np.random.default_rng(3)
    features = surface_features(smiles)
    at = [AT - timedelta(seconds=STEP_S * back) for back in range(ROWS - 1, -1, -1)]
    windows = []
    for smile, now in zip(smiles, features, strict=True):
        wander = 1 + np.cumsum(random.normal(0, 1e-3, ROWS))[:, None]
        forward = smile.forward * np.exp(np.cumsum(random.normal(0, 2e-4, ROWS)))
        windows.append(SmileWindow(
            at, np.full(ROWS, smile.tau), forward, forward, smile.atm_vol * wander[:, 0],
            smile.grid_vol * wander, now * wander))
    return windows


def _peer(window: SmileWindow) -> Floats:
    named = pd.DataFrame(window.features, columns=list(INSTANT_FEATURES))
    grid = pd.DataFrame(window.grid_vol)
    atm, forward = pd.Series(window.atm_vol), pd.Series(window.forward)
    year = pd.Series(pd.to_datetime(window.at)).diff().dt.total_seconds() / YEAR_SECONDS
    change = np.log(forward).diff()
    scaled = (change / (atm * np.sqrt(year))).fillna(0.0)
    long = np.sqrt((change**2).cumsum() / year.cumsum()).fillna(0.0) / atm
    short = np.sqrt((change**2).rolling(SHORT_ROWS, 1).sum()
                    / year.rolling(SHORT_ROWS, 1).sum()).fillna(0.0) / atm
    shape = pd.concat([np.log(atm), named["skew"], named["curvature"]], axis=1)
    return np.asarray(pd.concat([
        grid - grid.ewm(alpha=FILTER_WEIGHT).mean().iloc[-1], np.log(atm),
        named[["log_tau", "skew", "curvature", "half_spread"]], change.fillna(0.0), scaled,
        np.log(forward.iloc[-1] / forward), long, named[["session_sin", "session_cos"]],
        np.log1p(named["quote_age_s"]), named["term_slope"], scaled**2, short,
        shape - shape.ewm(alpha=SLOW_WEIGHT).mean()], axis=1))
