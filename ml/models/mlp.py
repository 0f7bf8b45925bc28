"""MLP: sees the whole window at once."""

import itertools

from torch import Tensor, nn

from ml.args import ModelArgs
from ml.models.head import QuantileHead, Shape, Targets


class MLP(nn.Module):
    """Scaled windows (B, W, F) to quantiles of the change (B, H, 3, G)."""

    def __init__(self, args: ModelArgs, shape: Shape, targets: Targets) -> None:
        super().__init__()
        sizes = [shape.window * shape.features] + [args.hidden] * args.layers
        blocks: list[nn.Module] = [nn.Flatten()]  # (B, W·F)
        for size_in, size_out in itertools.pairwise(sizes):
            blocks += [nn.Linear(size_in, size_out), nn.SiLU(), nn.Dropout(args.dropout)]
        self.body = nn.Sequential(*blocks)
        self.head = QuantileHead(args.hidden, shape, targets)

    def forward(self, windows: Tensor) -> Tensor:
        state = self.body(windows)  # (B, D)
        quantiles: Tensor = self.head(state, windows[:, -1])  # (B, H, 3, G)
        return quantiles
