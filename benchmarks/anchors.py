"""What networks are stacked on, on simulated walks: how far behind the best baseline it stays.

A level under noise, of four expiries with shocks of their own, with momentum, reversal or neither.
Baselines and anchor are fitted on the first minutes and scored on many later ones, where the best
baseline is looked up afterwards. Beside the anchor: the single baseline of least error on what was
known, and the mean of all.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from ml.anchor import FILTERS, REGRESSIONS, choose_anchor
from ml.args import DataArgs
from ml.baselines import FILTERED, LinearBaseline, name_of_mean, stacked
from ml.baselines.filters import ewma_row
from ml.baselines.fitting import fit_baselines
from ml.dataset import Dataset, Observations, Samples
from ml.folds import Fold, Part
from ml.types import Floats

ARGS = DataArgs()
GRID = 17
EXPIRIES = 4
STEP = 3e-4
"""In volatility, a minute."""
NOISE = (0.0, 3e-4, 2e-3)
MOMENTUM = (-0.3, 0.0, 0.3)
KNOWN = (120, 400, 1200)
"""Minutes of history, of which the last fifth is the validation part."""
LATER = 3000
SEEDS = 8
HELD = (*FILTERS, *REGRESSIONS)
WAYS = ("anchor", "least error so far", "mean of all")


def main() -> None:
    """Print R² against the best baseline, mean and standard error over markets."""
    print(f"R² against the best baseline of the later {LATER} minutes, in %; {SEEDS} walks for "
          f"each of {len(MOMENTUM)} momenta")
    print(f"{'known':>10} {'noise':>8} {'ahead':>8} " + " ".join(f"{way:>20}" for way in WAYS))
    for minutes, noise in product(KNOWN, NOISE):
        found = [behind(minutes, noise, momentum, seed)
                 for momentum, seed in product(MOMENTUM, range(SEEDS))]
        for place, horizon_s in enumerate(ARGS.horizons_s):
            cells = [_cell([one[way][place] for one in found]) for way in WAYS]
            print(f"{minutes:>6} min {1e4 * noise:>5.0f} bp {horizon_s // 60:>4} min " + " ".join(
                f"{cell:>20}" for cell in cells), flush=True)


def behind(minutes: int, noise: float, momentum: float, seed: int) -> dict[str, Floats]:
    """R² by horizon of each way, out of sample, against the best baseline there."""
    random = np.random.default_rng(seed)
    known, later = (_dataset(count, noise, momentum, random) for count in (minutes, LATER))
    at_s = np.unique(known.samples.at_s)
    cut = at_s[int(0.8 * len(at_s))]
    training, validation = (Part(places, np.ones((len(places), len(ARGS.horizons_s)), bool))
                            for places in _split(known, cut))
    fold = Fold(0, training, validation, validation, validation)
    baselines = fit_baselines(known, training, np.ones(GRID))
    errors = {name: _errors(baselines, (name,) * len(ARGS.horizons_s), later)
              for name in (*HELD, FILTERED)}
    best = np.min(list(errors.values()), axis=0)
    before = np.stack([_errors(baselines, (name,) * len(ARGS.horizons_s), known) for name in HELD])
    ways = {"anchor": choose_anchor(baselines, known, fold, np.ones(GRID)),
            "least error so far": tuple(HELD[place] for place in before.argmin(axis=0)),
            "mean of all": (name_of_mean(HELD),) * len(ARGS.horizons_s)}
    return {way: 1.0 - _errors(baselines, names, later) / best for way, names in ways.items()}


def _split(dataset: Dataset, cut: float) -> Iterator[np.ndarray]:
    """Places before and from `cut` on; none whose targets reach over it."""
    at_s = dataset.samples.at_s
    yield np.flatnonzero(at_s + max(ARGS.horizons_s) <= cut)
    yield np.flatnonzero(at_s >= cut)


def _errors(baselines: Sequence[LinearBaseline], names: Sequence[str], dataset: Dataset) -> Floats:
    """Mean squared error by horizon, (H,)."""
    samples = dataset.samples
    change = stacked(baselines, names, ARGS.window).changes(samples.windows)
    return np.asarray(np.mean((change - samples.change) ** 2, axis=(0, 2)))


def _dataset(minutes: int, noise: float, momentum: float, random: np.random.Generator) -> Dataset:
    """`minutes` of samples with all their targets, in time order."""
    ahead = [round(horizon_s / ARGS.step_s) for horizon_s in ARGS.horizons_s]
    walks = [_expiry(minutes, noise, momentum, ahead, random) for _ in range(EXPIRIES)]
    windows, filtered, change = (np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
                                 for parts in zip(*walks, strict=True))
    count, none = len(windows), np.empty(0)
    samples = Samples(
        at_s=ARGS.step_s * np.arange(minutes).repeat(EXPIRIES), windows=windows, filtered=filtered,
        change=change, key=np.zeros(count, int), row=np.zeros(count, int),
        target=np.zeros(change.shape[:2], int))
    return Dataset(samples, Observations(none, none, none, none, np.empty((0, GRID)),
                                         np.zeros(1, int), none, none, none), (), ARGS)


def _expiry(minutes: int, noise: float, momentum: float, ahead: Sequence[int],
            random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Deviations (N, W, 17), filtered smiles (N, 17) and changes (N, H, 17) of what is observed."""
    moves = STEP * random.normal(size=minutes + ARGS.window + max(ahead))
    for row in range(1, len(moves)):
        moves[row] += momentum * moves[row - 1]
    level = 0.2 + moves.cumsum() + noise * random.normal(size=len(moves))
    smiles = level[:, None] * np.linspace(1.2, 0.9, GRID)
    rows = np.arange(ARGS.window - 1, ARGS.window - 1 + minutes)
    windows = np.stack([smiles[row - ARGS.window + 1:row + 1] for row in rows])
    filtered = np.einsum("w,nwg->ng", ewma_row(ARGS.filter_weight, ARGS.window), windows)
    change = np.stack([smiles[rows + steps] - filtered for steps in ahead], axis=1)
    return windows - filtered[:, None], filtered, change


def _cell(values: Sequence[float]) -> str:
    mean, error = 100 * np.mean(values), 100 * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:+.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()
