"""The networks, one file each, by their kind."""

from torch import Tensor, nn

from ml.args import ModelArgs
from ml.models.gru import GRU
from ml.models.head import Shape
from ml.models.lstm import LSTM
from ml.models.mlp import MLP
from ml.models.transformer import Transformer

__all__ = ["MODELS", "Shape", "build"]

MODELS: dict[str, type[GRU] | type[LSTM] | type[MLP] | type[Transformer]] = {
    "gru": GRU, "lstm": LSTM, "mlp": MLP, "transformer": Transformer}


def build(args: ModelArgs, shape: Shape, scale: Tensor, z_band: float) -> nn.Module:
    """A fresh network of `args.kind`; see `QuantileHead` for `scale` and `z_band`."""
    return MODELS[args.kind](args, shape, scale, z_band)
