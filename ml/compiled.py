"""The one way to compile a numeric kernel.

A kernel takes and gives scalars, arrays of float64, int64 or bool, and tuples of them. Its machine
code is kept on disk (`NUMBA_CACHE_DIR`, by default beside the module), so that only the first
process after a change waits for the compiler. Division by zero gives infinity or NaN, as in NumPy.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` as machine code, for the types of its first call."""
    return cast(Kernel, numba.njit(kernel, cache=True, error_model="numpy", nogil=True))
