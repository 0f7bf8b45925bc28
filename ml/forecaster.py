"""A network with its scaler and contract: windows in, calibrated changes of the smile out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from ml.contract import MEDIAN, ModelContract
from ml.types import Floats

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Forecaster:
    """All that is needed to forecast."""

    network: Network
    scaler: StandardScaler
    contract: ModelContract

    def predict(self, windows: Floats) -> Floats:
        """Windows (B, W, F) to the change of the grid smile (B, H, 3, 17) against the filtered
        one: lower end of the band, median, upper end, in volatility."""
        return calibrated(raw(self.network, self.scaler, windows), self.contract)


def raw(network: Network, scaler: StandardScaler, windows: Floats) -> Floats:
    """The network's own quantiles (B, H, 3, 17) of windows (B, W, F)."""
    with torch.inference_mode():
        return network(torch.from_numpy(scaled(scaler, windows))).numpy().astype(np.float64)


def scaled(scaler: StandardScaler, windows: Floats) -> NDArray[np.float32]:
    """Windows (B, W, F) in units of the scaler, as a network takes them."""
    flat = scaler.transform(windows.reshape(-1, windows.shape[-1]))
    return np.asarray(flat.reshape(windows.shape), dtype=np.float32)


def calibrated(quantiles: Floats, contract: ModelContract) -> Floats:
    """Quantiles (B, H, 3, 17) with the median shrunk and the band moved along and widened."""
    shrinkage = np.asarray(contract.shrinkage)[:, None]  # (H, 1)
    offset = np.asarray(contract.band_offset)[:, None]  # (H, 1)
    middle = quantiles[:, :, MEDIAN]  # (B, H, 17)
    below = np.maximum(middle - quantiles[:, :, 0] + offset, 0.0)
    above = np.maximum(quantiles[:, :, 2] - middle + offset, 0.0)
    kept = shrinkage * middle
    return np.stack([kept - below, kept, kept + above], axis=2)
