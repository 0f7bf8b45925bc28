"""The networks, one file each, by their kind."""

from torch import nn

from ml.args import ModelArgs
from ml.models.gru import GRU
from ml.models.head import Shape, Targets
from ml.models.lstm import LSTM
from ml.models.mlp import MLP
from ml.models.transformer import Transformer

__all__ = ["MODELS", "Shape", "Targets", "build"]

MODELS: dict[str, type[GRU] | type[LSTM] | type[MLP] | type[Transformer]] = {
    "gru": GRU, "lstm": LSTM, "mlp": MLP, "transformer": Transformer}


def build(args: ModelArgs, shape: Shape, targets: Targets) -> nn.Module:
    """A fresh network of `args.kind`; `targets` are of the training part."""
    return MODELS[args.kind](args, shape, targets)
