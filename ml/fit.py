"""Fitting a network: pinball loss, early stopping on the validation part, one seed.

Runs with the same seed and data on the same machine agree to the last bit.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from ml.args import Config, FitArgs
from ml.baselines.linear import Linear
from ml.batches import Batches
from ml.dataset import Samples
from ml.errors import TrainingDataError
from ml.folds import Fold
from ml.models import Shape, build
from ml.models.linear import LinearChange, Stacked
from ml.targets import Reader, fit_targets, fit_unit, used_columns

Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A network at its best epoch, in evaluation mode."""

    network: nn.Module
    epoch: int
    """Passes over the training part behind it; 0 is what it started from."""
    training_loss: float
    validation_loss: float
    """Pinball loss in the unit of what the anchor misses."""


def fit(samples: Samples, fold: Fold, scaler: StandardScaler, anchor: Linear, config: Config,
        advance: Advance | None = None) -> Fitted:
    """The network of the epoch with the least validation loss, stacked on its anchor.

    Raises:
        TrainingDataError: a window or the loss is not a number.
    """
    args = config.fit
    torch.set_num_threads(args.threads)
    torch.set_deterministic_debug_mode("error")  # the other way in takes seconds to import
    torch.manual_seed(args.seed)
    training, validation = (Batches(samples, part, scaler)
                            for part in (fold.training, fold.validation))
    network = fresh(training, validation, scaler, anchor, config)
    return _descend(network, training, validation, args, advance)


def fresh(training: Batches, validation: Batches, scaler: StandardScaler, anchor: Linear,
          config: Config) -> Stacked:
    """An untrained network: its anchor, and past the network a ridge regression."""
    change = LinearChange(anchor, scaler.mean_, scaler.scale_)
    unit = fit_unit(change, training, scaler)
    used = used_columns(scaler, config.model.without)
    known = fit_targets(Reader(change, unit), training, validation, used, config)
    window, features = training.take(torch.zeros(1, dtype=torch.long))[0].shape[1:]
    horizons, grid = anchor.base.shape[0], known.loadings.shape[1]
    network = build(config.model, Shape(window, features, horizons, grid), known)
    return Stacked(change, unit, network, torch.from_numpy(used).float())


def _descend(network: Stacked, training: Batches, validation: Batches, args: FitArgs,
             advance: Advance | None) -> Fitted:
    optimiser = torch.optim.AdamW(network.parameters(), args.learning_rate,
                                  weight_decay=args.weight_decay)
    order = torch.Generator().manual_seed(args.seed)
    best, best_epoch = copy.deepcopy(network), 0
    least = _judge(network, validation, args, best_epoch)
    for epoch in range(1, args.epochs + 1):
        _epoch(network, training, optimiser, order, args, epoch)
        loss = _judge(network, validation, args, epoch)
        if loss < least:
            best, best_epoch, least = copy.deepcopy(network), epoch, loss
        if advance is not None:
            advance(epoch, args.epochs)
        if epoch - best_epoch >= args.patience:
            break
    return Fitted(best.eval(), best_epoch, _judge(best, training, args, best_epoch), least)


def _epoch(network: Stacked, training: Batches, optimiser: torch.optim.Optimizer,
           order: torch.Generator, args: FitArgs, epoch: int) -> None:
    network.train()
    for places in torch.split(torch.randperm(len(training), generator=order), args.batch):
        optimiser.zero_grad()
        loss = _loss(network, *training.take(places), args)
        _refuse_nan(float(loss.detach()), epoch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def _judge(network: Stacked, part: Batches, args: FitArgs, epoch: int) -> float:
    """Mean loss of a part."""
    network.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for windows, change in part.pieces():
            known = int(torch.isfinite(change).sum())
            total += float(_loss(network, windows, change, args)) * known
            count += known
    loss = total / max(count, 1)
    _refuse_nan(loss, epoch)
    return loss


def _refuse_nan(loss: float, epoch: int) -> None:
    if loss != loss or loss in (float("inf"), -float("inf")):
        raise TrainingDataError(f"training failed in epoch {epoch}: the loss is not a number; "
                                "a lower `learning_rate` may help")


def _loss(network: Stacked, windows: Tensor, change: Tensor, args: FitArgs) -> Tensor:
    anchor, unit, quantiles = network.parts(windows)
    return pinball(quantiles, (change - anchor) / unit, args.quantiles)


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
