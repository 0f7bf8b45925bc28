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
    """What is known of the targets, in units of `ChangeScale`, before the network is fitted."""

    loadings: Tensor
    """Their principal components, (R, G)."""
    straight: Tensor
    """Ridge regression of the components' moves on a scaled window's last row, (H, R, F)."""
    z_band: float
    """Half-width of the band that an untrained network gives."""


class QuantileHead(nn.Module):
    """A state (B, D) and a scaled window's last row (B, F) to quantiles (B, H, 3, G) in units.

    The median is a combination of the targets' components: past the network the ridge
    regression's, and on top what the state says. The state's weights start at zero. Quantiles
    can't cross: the outer two lie a positive width from the median; the state scales it at all
    points of a horizon alike.
    """

    def __init__(self, state: int, shape: Shape, targets: Targets) -> None:
        super().__init__()
        self.moves = (shape.horizons, len(targets.loadings))
        self.median = nn.Linear(state, math.prod(self.moves))
        self.width = nn.Linear(state, shape.horizons * 2)
        for layer in (self.median, self.width):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        width_at_zero = math.log(math.expm1(targets.z_band))  # softplus of it is z_band
        self.spread = nn.Parameter(torch.full((shape.horizons, 2, shape.grid), width_at_zero))
        self.straight: Tensor
        self.loadings: Tensor
        self.register_buffer("straight", targets.straight.flatten(0, 1))  # (H·R, F)
        self.register_buffer("loadings", targets.loadings)

    def forward(self, state: Tensor, last: Tensor) -> Tensor:
        moves = self.median(state) + last @ self.straight.T  # (B, H·R)
        middle = moves.unflatten(1, self.moves) @ self.loadings  # (B, H, G)
        stretch = self.width(state).unflatten(1, (-1, 2)).clamp(-3.0, 3.0).exp()  # (B, H, 2)
        below, above = (stretch[..., None] * softplus(self.spread)).unbind(2)  # (B, H, G) each
        return torch.stack([middle - below, middle, middle + above], dim=2)  # (B, H, 3, G)
