"""The answers of the model server, and what of them is believed."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from ml.contract import ModelContract
from ml.smile.grid import GRID_SIZE
from ml.types import Floats
from services.common import forecast_wire as wire
from services.common.errors import ServiceError
from services.common.messages import Role

T = TypeVar("T")
NOBODY = msgspec.msgpack.encode(None)
Version = Annotated[str, Meta(min_length=1)]
SHADOW_SUFFIX = ".shadow"
"""Ends the shadow's name, for the table's key has no role."""
LONGEST_NAME = 64
"""Of `messages.Name`."""


class ModelRefused(ServiceError):
    """The model server answers, but not with a forecast that fits what was asked."""


class Versioned(msgspec.Struct, frozen=True):
    """Of the body of an answer on /contract, what is not the contract itself."""

    model_version: Version


class Reply(msgspec.Struct, frozen=True):
    """`forecast_wire.Answer` with the shadow left unread, so that it can do no harm."""

    champion: wire.Said
    shadow: msgspec.Raw = msgspec.Raw(NOBODY)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a model says of B windows."""

    model_name: str
    model_version: str
    role: Role
    change: Floats
    """(B, H, 3, 17): change of the grid smile against the filtered one."""


def checked(said: wire.Said, role: Role, contract: ModelContract, windows: int) -> Changes:
    """The changes that are said of so many windows.

    Raises:
        ModelRefused: they don't fit the role, the contract or the windows, or are not finite.
    """
    wanted = (windows, len(contract.horizons_s), len(contract.quantiles), GRID_SIZE)
    fits = (said.horizons_s, said.quantiles) == (contract.horizons_s, contract.quantiles)
    if not fits or said.change.shape != wanted:
        raise ModelRefused(f"the {role}'s answer does not fit the contract: {said.change.shape} "
                           f"with horizons {said.horizons_s}, not {wanted} with "
                           f"{contract.horizons_s}")
    if said.role != role:
        raise ModelRefused(f"{said.model_name} answers as {said.role} where the {role} belongs")
    try:
        return Changes(_name(said), said.model_version, role, wire.unpack(said.change, 4))
    except wire.Unreadable as error:
        raise ModelRefused(f"the {role}'s answer: {error}") from error


def _name(said: wire.Said) -> str:
    """What the forecasts go by."""
    if said.role != "shadow" or said.model_name.endswith(SHADOW_SUFFIX):
        return said.model_name
    name = said.model_name + SHADOW_SUFFIX
    if len(name) > LONGEST_NAME:
        raise ModelRefused(f"{name} is longer than {LONGEST_NAME} characters")
    return name


def shadow_of(reply: Reply, contract: ModelContract, windows: int) -> Changes | None:
    """The challenger's changes, where there is one.

    Raises:
        ModelRefused: its part can't be read, or does not fit.
    """
    if bytes(reply.shadow) == NOBODY:
        return None
    try:
        said = wire.decode(bytes(reply.shadow), wire.Said)
    except wire.Unreadable as error:
        raise ModelRefused(f"the shadow's answer can't be read: {error}") from error
    return checked(said, "shadow", contract, windows)


def read_reply(body: bytes) -> Reply:
    """The body of an answer on the wire; raises ModelRefused as `read`."""
    try:
        return wire.decode(body, Reply)
    except wire.Unreadable as error:
        raise ModelRefused(f"the model server's answer can't be read: {error}") from error


def read(body: bytes, kind: type[T]) -> T:
    """The body of an answer in JSON.

    Raises:
        ModelRefused: it is not of this kind; says where.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelRefused(f"the model server's answer can't be read: {error}") from error
