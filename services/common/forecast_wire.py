"""What goes between predictor and model server for a forecast: msgpack, arrays as raw bytes.

Beside the readable JSON on /forecast, for a batch of windows costs many times the model's own time
to write and read as decimal digits. Numbers keep their 64 bits, so that a forecast asked for over
the wire is the one computed without it.

POST a `Request` to `PATH` as `MEDIA_TYPE`; the answer is an `Answer`, or, with any other status
than 200, JSON with a sentence under `error`.
"""

import math
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from ml.types import Floats
from services.common.errors import ServiceError
from services.common.messages import Name, Role

PATH = "/binary/forecast"
MEDIA_TYPE = "application/msgpack"
_LITTLE_ENDIAN = np.dtype("<f8")
_ENCODER = msgspec.msgpack.Encoder()
T = TypeVar("T")

Version = Annotated[str, Meta(min_length=1)]
Size = Annotated[int, Meta(ge=0)]


class Unreadable(ServiceError):
    """A body is not what the wire says that it is."""


class Array(msgspec.Struct, frozen=True):
    """Numbers by their shape and their bytes: little-endian 64-bit floats in C order."""

    shape: tuple[Size, ...]
    data: bytes


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of one batch, with what the caller thinks the model is trained on."""

    step_s: float
    grid_z: tuple[float, ...]
    feature_names: tuple[str, ...]
    windows: Array
    """(B, W, F), finite."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one model says of a batch."""

    model_name: Name
    model_version: Version
    role: Role
    horizons_s: tuple[int, ...]
    quantiles: tuple[float, ...]
    change: Array
    """(B, H, Q, 17): change of the grid smile against the filtered one, in volatility."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The champion's word, and beside it the challenger's where there is one to be compared."""

    champion: Said
    shadow: Said | None = None
    """Of a challenger with the champion's step, window, filter, features, grid and horizons."""


def pack(values: Floats) -> Array:
    """The array on the wire.

    >>> pack(np.zeros((2, 3))).shape
    (2, 3)
    """
    return Array(values.shape, np.ascontiguousarray(values, _LITTLE_ENDIAN).tobytes())


def unpack(array: Array, dimensions: int) -> Floats:
    """The numbers of an array on the wire, read-only.

    Raises:
        Unreadable: it has other dimensions, its bytes don't fit its shape, or a number is not
            finite.
    """
    wanted = math.prod(array.shape) * _LITTLE_ENDIAN.itemsize
    if len(array.shape) != dimensions or len(array.data) != wanted:
        raise Unreadable(f"an array of shape {array.shape} with {len(array.data)} bytes, where "
                         f"one of {dimensions} dimensions with {wanted} bytes belongs")
    values = np.frombuffer(array.data, _LITTLE_ENDIAN).reshape(array.shape)
    if not np.isfinite(values).all():
        raise Unreadable("an array holds values that are not finite")
    return values


def encode(body: Request | Answer) -> bytes:
    """The body's bytes."""
    return _ENCODER.encode(body)


def decode(body: bytes, kind: type[T]) -> T:
    """The body of such a kind.

    Raises:
        Unreadable: it is not one; says where.
    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"not a {kind.__name__.lower()} in msgpack: {error}") from error
