"""What the served model is trained for, asked of the model server."""

from ml import served as server
from ml.contract import ModelContract
from ml.errors import UnavailableError
from ml.served import Served
from services.common.errors import Unavailable

__all__ = ["Served", "fetch", "served"]


def fetch(url: str, timeout_s: float) -> ModelContract:
    """The champion's contract, from the model server at this base URL; raises as `served`."""
    return served(url, timeout_s).contract


def served(url: str, timeout_s: float) -> Served:
    """The champion's contract and version, from the model server at this base URL.

    Raises:
        Unavailable: the server is away or late, or has no champion yet.
        ModelContractError: its answer is no contract that we can read.
    """
    try:
        return server.served(url, timeout_s)
    except UnavailableError as error:
        raise Unavailable(str(error)) from error
