"""What all networks share: the head that makes quantiles of a state."""

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


class Targets(NamedTuple):
    """How what is to be predicted varies in the training part."""

    scale: Tensor
    """Root mean square by horizon and point, (H, G)."""
    loadings: Tensor
    """Principal components of the targets in units of `scale`, (R, G)."""
    z_band: float
    """Half-width of the band, in units of `scale`, that an untrained model gives."""


class QuantileHead(nn.Module):
    """A state (B, D) and the scaled window's last row (B, F) to quantiles (B, H, 3, G).

    The median is a combination of the targets' components, linear in the state and, past the
    network, in the last row. Its weights start at zero, so that an untrained model says nothing,
    with a band of the training targets' own width. Quantiles can't cross: the outer two lie a
    positive width from the median; the state scales it at all points of a horizon alike.
    """

    def __init__(self, state: int, shape: Shape, targets: Targets) -> None:
        super().__init__()
        self.moves = (shape.horizons, len(targets.loadings))
        self.median = nn.Linear(state, math.prod(self.moves))
        self.skip = nn.Linear(shape.features, math.prod(self.moves), bias=False)
        self.width = nn.Linear(state, shape.horizons * 2)
        for layer in (self.median, self.skip, self.width):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.median.bias)
        nn.init.zeros_(self.width.bias)
        width_at_zero = math.log(math.expm1(targets.z_band))  # softplus of it is z_band
        self.spread = nn.Parameter(torch.full((shape.horizons, 2, shape.grid), width_at_zero))
        self.scale: Tensor
        self.loadings: Tensor
        self.register_buffer("scale", targets.scale)
        self.register_buffer("loadings", targets.loadings)

    def forward(self, state: Tensor, last: Tensor) -> Tensor:
        moves = (self.median(state) + self.skip(last)).unflatten(1, self.moves)  # (B, H, R)
        middle = moves @ self.loadings  # (B, H, G)
        stretch = self.width(state).unflatten(1, (-1, 2)).clamp(-3.0, 3.0).exp()  # (B, H, 2)
        below, above = (stretch[..., None] * softplus(self.spread)).unbind(2)  # (B, H, G) each
        quantiles = torch.stack([middle - below, middle, middle + above], dim=2)  # (B, H, 3, G)
        return quantiles * self.scale[:, None, :]
