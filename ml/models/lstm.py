"""LSTM: reads the window row by row and keeps the last state."""

from torch import Tensor, nn

from ml.args import ModelArgs
from ml.models.head import QuantileHead, Shape, Targets


class LSTM(nn.Module):
    """Scaled windows (B, W, F) to quantiles of the change (B, H, 3, G)."""

    def __init__(self, args: ModelArgs, shape: Shape, targets: Targets) -> None:
        super().__init__()
        between = args.dropout if args.layers > 1 else 0.0
        self.layers = nn.LSTM(shape.features, args.hidden, args.layers, batch_first=True,
                              dropout=between)
        self.dropout = nn.Dropout(args.dropout)
        self.head = QuantileHead(args.hidden, shape, targets)

    def forward(self, windows: Tensor) -> Tensor:
        states, _ = self.layers(windows)  # (B, W, D)
        last = self.dropout(states[:, -1])  # (B, D)
        quantiles: Tensor = self.head(last, windows[:, -1])  # (B, H, 3, G)
        return quantiles
