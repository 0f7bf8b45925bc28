"""How large a change may be expected to be: the unit that a network and its band speak in.

Near expiries move more than far ones, and a smile that was restless stays so for a while. Without
this a band would be too narrow for the one and too wide for the other.
"""

import torch
from torch import Tensor, nn

from ml.features import DEVIATIONS, WINDOW_FEATURES
from ml.types import Floats

COLUMNS = tuple(WINDOW_FEATURES.index(name) for name in ("log_tau", "half_spread"))
FLOOR = 1e-5
"""A tenth of a basis point: a smile is never taken to be stiller."""
_CLIP = 3.0


class ChangeScale(nn.Module):
    """Scaled windows (B, W, F) to the unit of changes (B, H, G), in volatility.

    The unit is shape (H, G) times exp(a + b · x), log-linear in what a window says of its own
    roughness, its expiry and its spreads.
    """

    def __init__(self, scale: Floats, horizons: int, grid: int) -> None:
        """`scale` (F,) is the scaler's. Until it is set, the unit is 1."""
        super().__init__()
        count = 1 + len(COLUMNS)
        self.deviation: Tensor
        self.centre: Tensor
        self.spread: Tensor
        self.weights: Tensor
        self.level: Tensor
        self.shape: Tensor
        self.register_buffer("deviation", torch.from_numpy(scale[DEVIATIONS]).float())
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.register_buffer("weights", torch.zeros(horizons, count))
        self.register_buffer("level", torch.zeros(horizons))
        self.register_buffer("shape", torch.ones(horizons, grid))

    def forward(self, windows: Tensor) -> Tensor:
        standard = (self.raw(windows) - self.centre) / self.spread  # (B, K)
        size = (self.level + standard.clamp(-_CLIP, _CLIP) @ self.weights.T).exp()  # (B, H)
        return size[:, :, None] * self.shape  # (B, H, G)

    def raw(self, windows: Tensor) -> Tensor:
        """What the size is regressed on, (B, K)."""
        smiles = windows[:, :, DEVIATIONS] * self.deviation  # (B, W, G)
        steps = smiles[:, 1:] - smiles[:, :-1]  # (B, W − 1, G)
        power = steps.square().sum(dim=(1, 2)) / max(1, steps.shape[1] * steps.shape[2])  # (B,)
        rough = 0.5 * (power + FLOOR**2).log()  # (B,)
        last = windows[:, -1]  # (B, F)
        return torch.stack([rough, *(last[:, column] for column in COLUMNS)], dim=1)  # (B, K)
