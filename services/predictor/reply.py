"""The answers of the model server, and what of them is believed."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from ml.contract import ModelContract
from ml.smile.grid import GRID_SIZE
from ml.types import Floats
from services.common.errors import ServiceError
from services.common.messages import Name, Role

T = TypeVar("T")
Version = Annotated[str, Meta(min_length=1)]


class ModelRefused(ServiceError):
    """The model server answers, but not with a forecast that fits what was asked."""


class Versioned(msgspec.Struct, frozen=True):
    """Of the body of an answer on /contract, what is not the contract itself."""

    model_version: Version


class Reply(msgspec.Struct, frozen=True):
    """The body of an answer on /forecast; `change` is (B, H, Q, 17)."""

    model_name: Name
    model_version: Version
    role: Role
    horizons_s: tuple[int, ...]
    quantiles: tuple[float, ...]
    change: list[list[list[list[float]]]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a model says of B windows."""

    model_name: str
    model_version: str
    role: Role
    change: Floats
    """(B, H, Q, 17): change of the grid smile against the filtered one."""


def checked(reply: Reply, contract: ModelContract, windows: int) -> Changes:
    """The changes of a reply to so many windows.

    Raises:
        ModelRefused: it does not fit the contract or the windows, or is not finite.
    """
    change = _array(reply.change)
    asked = (contract.horizons_s, contract.quantiles)
    shape = (windows, *map(len, asked), GRID_SIZE)
    if (reply.horizons_s, reply.quantiles) != asked or change.shape != shape:
        raise ModelRefused(f"the model server's answer does not fit its contract: {change.shape} "
                           f"with horizons {reply.horizons_s}, not {shape} with "
                           f"{contract.horizons_s}")
    if not np.isfinite(change).all():
        raise ModelRefused("the model server's answer holds values that are not finite")
    return Changes(reply.model_name, reply.model_version, reply.role, change)


def read(body: bytes, kind: type[T]) -> T:
    """The body of an answer.

    Raises:
        ModelRefused: it is not of this kind; says where.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelRefused(f"the model server's answer can't be read: {error}") from error


def _array(nested: list[list[list[list[float]]]]) -> Floats:
    try:
        return np.array(nested, dtype=np.float64)
    except ValueError as error:
        raise ModelRefused("the model server's answer is ragged") from error
