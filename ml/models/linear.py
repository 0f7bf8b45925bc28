"""Baselines as modules: what a network's correction is added to, and what is served alone."""

import torch
from torch import Tensor, nn

from ml.baselines.linear import Linear
from ml.features import DEVIATIONS
from ml.models.scale import ChangeScale
from ml.types import Floats

CLIP = 5.0
"""Standard deviations beyond which an input says no more to a network."""


class LinearChange(nn.Module):
    """Scaled windows (B, W, F) to the change (B, H, G) that a linear baseline predicts."""

    def __init__(self, linear: Linear, mean: Floats, scale: Floats) -> None:
        """`mean` and `scale` (F,) are the scaler's: deviations are taken back to volatility."""
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.base: Tensor
        self.loadings: Tensor
        self.weights: Tensor
        self.speaks: Tensor
        for name, values in (("mean", mean[DEVIATIONS]), ("scale", scale[DEVIATIONS]),
                             ("base", linear.base), ("loadings", linear.loadings),
                             ("weights", linear.weights),
                             ("speaks", linear.speaks[:, None])):
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, windows: Tensor) -> Tensor:
        deviations = windows[:, :, DEVIATIONS] * self.scale + self.mean  # (B, W, G)
        weights = self.base * fresh(deviations)[:, None]  # (B, H, W)
        change = weights @ deviations / weights.sum(dim=2, keepdim=True)  # (B, H, G)
        if len(self.loadings):
            scores = deviations @ self.loadings.T  # (B, W, R)
            moves = torch.einsum("hrw,bwr->bhr", self.weights, scores)  # (B, H, R)
            change = change + moves @ self.loadings  # (B, H, G)
        return change * self.speaks  # (B, H, G)


def fresh(deviations: Tensor) -> Tensor:
    """`ml.baselines.linear.fresh` of deviations (B, W, G), as 0 and 1; (B, W)."""
    same = (deviations[:, 1:] == deviations[:, :-1]).all(dim=2).to(deviations.dtype)  # (B, W − 1)
    to_the_end = same.flip(1).cumprod(dim=1).flip(1)  # (B, W − 1)
    edge = torch.zeros_like(deviations[:, :1, 0])  # (B, 1)
    as_before = torch.cat([edge, same[:, :-1]], dim=1)  # (B, W − 1)
    return torch.cat([(1.0 - as_before) * (1.0 - to_the_end), 1.0 - edge], dim=1)  # (B, W)


class Stacked(nn.Module):
    """A network's quantiles of what its anchor misses, on top of the anchor's change."""

    def __init__(self, anchor: LinearChange, unit: ChangeScale, network: nn.Module,
                 used: Tensor) -> None:
        """`used` (F,) is 1 for columns that the network sees and 0 for the others."""
        super().__init__()
        self.anchor, self.unit, self.network = anchor, unit, network
        self.used: Tensor
        self.register_buffer("used", used)

    def forward(self, windows: Tensor) -> Tensor:
        change, unit, quantiles = self.parts(windows)
        return change[:, :, None] + unit[:, :, None] * quantiles  # (B, H, 3, G)

    def parts(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The anchor's change and the unit (B, H, G), the network's quantiles in that unit."""
        seen = windows.clamp(-CLIP, CLIP) * self.used  # (B, W, F)
        return self.anchor(windows), self.unit(windows), self.network(seen)


class Banded(nn.Module):
    """A baseline as a model: its change, and around it a band of a constant number of units."""

    def __init__(self, baseline: LinearChange, unit: ChangeScale, band: Tensor) -> None:
        """`band` (H, 3, G) are the quantiles of what the baseline misses, in units."""
        super().__init__()
        self.baseline, self.unit = baseline, unit
        self.band: Tensor
        self.register_buffer("band", band)

    def forward(self, windows: Tensor) -> Tensor:
        change, unit = self.baseline(windows), self.unit(windows)  # (B, H, G) each
        quantiles: Tensor = change[:, :, None] + unit[:, :, None] * self.band  # (B, H, 3, G)
        return quantiles
