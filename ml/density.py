"""Where on the grid quotes lie: errors are counted on quotes, so that is what a point weighs."""

import numpy as np

from ml.dataset import Dataset
from ml.folds import Part
from ml.smile.grid import GRID_SIZE, GRID_Z
from ml.spread import spread
from ml.types import Floats

MOST_ROWS = 5000
LEAST = 0.1
"""Weight of a point that no quote is near."""


def quote_density(dataset: Dataset, training: Part) -> Floats:
    """Share of the training part's quotes that are nearest to each grid point, (17,).

    It is in units of an even share, so that the mean is about 1. Every smile counts the same.
    """
    seen, total = dataset.observations, np.zeros(GRID_SIZE)
    for row in dataset.samples.row[spread(training, MOST_ROWS).places]:
        log_moneyness = seen.quotes(row)[0]
        z = log_moneyness / (seen.atm_vol[row] * np.sqrt(seen.tau[row]))
        z = z[(z >= GRID_Z[0]) & (z <= GRID_Z[-1])]
        nearest = np.rint((z - GRID_Z[0]) / (GRID_Z[1] - GRID_Z[0])).astype(int)
        total += np.bincount(nearest, minlength=GRID_SIZE) / max(len(nearest), 1)
    if not total.any():
        return np.ones(GRID_SIZE)
    return np.asarray(np.maximum(total / total.mean(), LEAST))
