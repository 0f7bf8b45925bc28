"""Noise without state: hashes of (key, time, stream), so that any instant can be asked alone.

The mixer is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"), vectorised over arrays of any shape.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.types import Floats

Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53


def key(*parts: object) -> int:
    """A 64-bit key of any named thing, equal in every process."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def hashed(keys: Keys, time: NDArray[np.int64] | int, stream: int) -> Keys:
    """A 64-bit hash per element of the broadcast of `keys` and `time`."""
    turn: Any = np.asarray(time, dtype=np.int64).view(np.uint64) + np.uint64(stream << 40)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        mixed: Keys = _mix((keys ^ _mix(turn * _GOLDEN + np.uint64(stream + 1))) + _GOLDEN)
    return mixed


def uniform(keys: Keys, time: NDArray[np.int64] | int, stream: int) -> Floats:
    """Independent uniforms on [0, 1), one per key, time and stream."""
    unit: Floats = (hashed(keys, time, stream) >> np.uint64(11)).astype(np.float64) * _TO_UNIT
    return unit


def _mix(value: Any) -> Any:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))
