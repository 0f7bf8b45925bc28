"""A network with its scaler and contract: windows in, calibrated changes of the smile out."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ml.baselines.linear import Linear, stacked
from ml.contract import MEDIAN, ModelContract
from ml.features import DEVIATIONS
from ml.types import Floats

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Forecaster:
    """All that is needed to forecast."""

    network: Network
    """Scaled windows (B, W, F) to quantiles (B, H, 3, 17) of the change, uncalibrated."""
    scaler: StandardScaler
    contract: ModelContract
    anchor: Linear = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = self.contract
        object.__setattr__(self, "anchor", stacked(own.baselines, own.anchor, own.window))

    def predict(self, windows: Floats) -> Floats:
        """Windows (B, W, F) to the change of the grid smile (B, H, 3, 17) against the filtered
        one: lower end of the band, median, upper end, in volatility."""
        anchor = self.anchor.changes(windows[:, :, DEVIATIONS])
        return calibrated(raw(self.network, self.scaler, windows), anchor, self.contract)


def raw(network: Network, scaler: StandardScaler, windows: Floats) -> Floats:
    """The network's own quantiles (B, H, 3, 17) of windows (B, W, F)."""
    with torch.inference_mode():
        return network(torch.from_numpy(scaled(scaler, windows))).numpy().astype(np.float64)


def scaled(scaler: StandardScaler, windows: Floats) -> NDArray[np.float32]:
    """Windows (B, W, F) in units of the scaler, as a network takes them."""
    return np.asarray((windows - scaler.mean_) / scaler.scale_, dtype=np.float32)


def calibrated(quantiles: Floats, anchor: Floats, contract: ModelContract) -> Floats:
    """Quantiles (B, H, 3, 17) with the median drawn to the anchor's change (B, H, 17), and the
    band moved along and widened.

    A median of 0.002 beside an anchor of 0.001 becomes 0.0012 at a shrinkage of 0.2.
    """
    factor = np.asarray(contract.band_factor)[:, None, None]  # (H, 1, 1)
    moved = drawn(quantiles, anchor, np.asarray(contract.shrinkage))
    middle = moved[:, :, MEDIAN, None]  # (B, H, 1, 17)
    return np.asarray(middle + factor * (moved - middle))


def drawn(quantiles: Floats, anchor: Floats, shrinkage: Floats) -> Floats:
    """Quantiles (B, H, 3, 17) moved so that the median is anchor + s · (median − anchor).

    `anchor` (B, H, 17), `shrinkage` s (H,).
    """
    excess = quantiles[:, :, MEDIAN] - anchor  # (B, H, 17)
    return np.asarray(quantiles - ((1.0 - shrinkage)[:, None] * excess)[:, :, None])
