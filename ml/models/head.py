"""What all models share: the head that turns a state into quantiles of the smile's change."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Shape(NamedTuple):
    """Sizes of a model's input and output."""

    window: int
    features: int
    horizons: int
    grid: int


class QuantileHead(nn.Module):
    """A state (B, D) to quantiles (B, H, 3, G) of the change, in volatility.

    Its weights start at zero, so that an untrained model forecasts no change with a band of the
    training targets' own width. Quantiles can't cross: the outer two lie a positive width from
    the median.
    """

    def __init__(self, state: int, shape: Shape, scale: Tensor, z_band: float) -> None:
        """`scale` (H, G) is the targets' standard deviation, `z_band` the band's half-width in
        units of it."""
        super().__init__()
        self.outputs = (shape.horizons, 3, shape.grid)
        self.linear = nn.Linear(state, math.prod(self.outputs))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.width_at_zero = math.log(math.expm1(z_band))  # softplus of it is z_band
        self.scale: Tensor
        self.register_buffer("scale", scale)

    def forward(self, state: Tensor) -> Tensor:
        raw = self.linear(state).unflatten(1, self.outputs)  # (B, H, 3, G)
        middle = raw[:, :, 1]  # (B, H, G)
        below = softplus(raw[:, :, 0] + self.width_at_zero)  # (B, H, G), positive
        above = softplus(raw[:, :, 2] + self.width_at_zero)  # (B, H, G), positive
        quantiles = torch.stack([middle - below, middle, middle + above], dim=2)  # (B, H, 3, G)
        return quantiles * self.scale[:, None, :]
