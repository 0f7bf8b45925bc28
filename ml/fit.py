"""Fitting a network to samples: pinball loss, early stopping on the validation fold, one seed.

Runs with the same seed and data on the same machine agree to the last bit.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from ml.args import Config, FitArgs
from ml.dataset import Folds, Samples
from ml.forecaster import scaled
from ml.models import Shape, build
from ml.types import Floats

SMALLEST_SCALE = 1e-5
"""A tenth of a basis point: targets are never scaled up from less."""
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A network at its best epoch, in evaluation mode."""

    network: nn.Module
    epoch: int
    """Passes over the training fold behind it; 0 is the baseline it started from."""
    training_loss: float
    validation_loss: float
    """Pinball loss in units of the targets' standard deviation."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """A fold as the network takes it."""

    windows: Tensor
    """(N, W, F), scaled."""
    change: Tensor
    """(N, H, 17) in volatility; NaN where unknown."""


def fit(folds: Folds, scaler: StandardScaler, config: Config,
        advance: Advance | None = None) -> Fitted:
    """The network of the epoch with the least validation loss."""
    args = config.fit
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    network = _fresh(folds.training, config)
    training, validation = (_tensors(fold, scaler) for fold in (folds.training, folds.validation))
    return _descend(network, training, validation, args, advance)


def _descend(network: nn.Module, training: Tensors, validation: Tensors, args: FitArgs,
             advance: Advance | None) -> Fitted:
    optimiser = torch.optim.AdamW(network.parameters(), args.learning_rate,
                                  weight_decay=args.weight_decay)
    order = torch.Generator().manual_seed(args.seed)
    best, best_epoch, least = copy.deepcopy(network), 0, _judge(network, validation, args)
    for epoch in range(1, args.epochs + 1):
        _epoch(network, training, optimiser, order, args)
        loss = _judge(network, validation, args)
        if loss < least:
            best, best_epoch, least = copy.deepcopy(network), epoch, loss
        if advance is not None:
            advance(epoch, args.epochs)
        if epoch - best_epoch >= args.patience:
            break
    return Fitted(best.eval(), best_epoch, _judge(best, training, args), least)


def _epoch(network: nn.Module, fold: Tensors, optimiser: torch.optim.Optimizer,
           order: torch.Generator, args: FitArgs) -> None:
    network.train()
    shuffled = torch.randperm(len(fold.windows), generator=order)
    for places in torch.split(shuffled, args.batch):
        optimiser.zero_grad()
        loss = _loss(network, fold.windows[places], fold.change[places], args)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def _judge(network: nn.Module, fold: Tensors, args: FitArgs) -> float:
    network.eval()
    with torch.inference_mode():
        return float(_loss(network, fold.windows, fold.change, args))


def _loss(network: nn.Module, windows: Tensor, change: Tensor, args: FitArgs) -> Tensor:
    scale = network.get_buffer("head.scale")  # (H, G)
    return pinball(network(windows) / scale[:, None], change / scale, args.quantiles)


def pinball(quantiles: Tensor, change: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Mean pinball loss of quantiles (B, H, Q, G) of the known among changes (B, H, G).

    For one level q and error u = change − quantile it is max(q u, (q − 1) u): a median (0.5)
    that is 2 too low loses 1.
    """
    known = torch.isfinite(change)  # (B, H, G)
    error = torch.nan_to_num(change)[:, :, None] - quantiles  # (B, H, Q, G)
    level = quantiles.new_tensor(levels)[:, None]  # (Q, 1)
    loss = torch.maximum(level * error, (level - 1.0) * error).mean(dim=2)  # (B, H, G)
    return (loss * known).sum() / known.sum().clamp(min=1)


def _fresh(training: Samples, config: Config) -> nn.Module:
    horizons, grid = training.change.shape[1:]
    shape = Shape(training.windows.shape[1], training.windows.shape[2], horizons, grid)
    scale = torch.from_numpy(target_scale(training.change)).float()
    return build(config.model, shape, scale, NormalDist().inv_cdf(config.fit.quantiles[-1]))


def target_scale(change: Floats) -> Floats:
    """Root mean square of known changes (N, H, 17) by horizon and point, (H, 17).

    A point that is never observed takes its horizon's.
    """
    known = np.isfinite(change)
    square = np.where(known, change, 0.0) ** 2
    pooled = square.sum(axis=(0, 2)) / np.maximum(known.sum(axis=(0, 2)), 1)
    by_point = square.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    chosen = np.where(known.any(axis=0), by_point, pooled[:, None])
    return np.asarray(np.maximum(np.sqrt(chosen), SMALLEST_SCALE))


def _tensors(samples: Samples, scaler: StandardScaler) -> Tensors:
    return Tensors(torch.from_numpy(scaled(scaler, samples.windows)),
                   torch.from_numpy(samples.change).float())
