"""Fitting the baselines on training rows, in chunks."""

from ml.args import DataArgs
from ml.baselines.linear import LinearBaseline
from ml.dataset import Samples
from ml.folds import Part


def fit_baselines(samples: Samples, part: Part, args: DataArgs) -> tuple[LinearBaseline, ...]:
    """All of `BASELINES`, fitted on the rows of a training part only."""
    raise NotImplementedError
