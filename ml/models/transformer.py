"""Transformer: attention over the window's rows, with a learned position for each."""

import torch
from torch import Tensor, nn

from ml.args import ModelArgs
from ml.models.head import QuantileHead, Shape, Targets


class Transformer(nn.Module):
    """Scaled windows (B, W, F) to quantiles of the change (B, H, 3, G)."""

    def __init__(self, args: ModelArgs, shape: Shape, targets: Targets) -> None:
        super().__init__()
        self.embed = nn.Linear(shape.features, args.hidden)
        self.position = nn.Parameter(torch.zeros(shape.window, args.hidden))
        layer = nn.TransformerEncoderLayer(args.hidden, args.heads, 2 * args.hidden,
                                           args.dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, args.layers, enable_nested_tensor=False)
        self.head = QuantileHead(args.hidden, shape, targets)

    def forward(self, windows: Tensor) -> Tensor:
        states = self.layers(self.embed(windows) + self.position)  # (B, W, D)
        quantiles: Tensor = self.head(states[:, -1], windows[:, -1])  # (B, H, 3, G)
        return quantiles
