"""The one way to compile a numeric kernel.

A kernel takes and gives scalars, arrays of float64, int64 or bool, and tuples of them. Division by
zero gives infinity or NaN, as in NumPy. Machine code is kept on disk, in `NUMBA_CACHE_DIR` or
beside this file, so that only the first process after a change waits for the compiler. Numba does
not see a change in a kernel that another file's kernel calls; so the folder's name is a digest of
all sources that kernels may be in, and old code is never found.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])
_HERE = Path(__file__).parent
FOLDERS = ("pricing", "smile")
"""Where kernels may be, and what they call."""


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` as machine code, for the types of its first call."""
    return cast(Kernel, numba.njit(kernel, cache=True, error_model="numpy", nogil=True))


def cache_folder(named: str | None, sources: Path = _HERE) -> Path:
    """Where machine code of `sources` is kept: in the folder named, else beside them.

    The system's folder for temporary files stands in where `sources` can't be written to.
    """
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((sources / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    beside = sources / "__pycache__"
    writable = os.access(beside if beside.exists() else sources, os.W_OK)
    base = Path(named) if named else beside if writable else Path(tempfile.gettempdir())
    return base / f"kernels-{digest.hexdigest()[:16]}"


def seed(folder: Path, ready: str | None) -> None:
    """Begin with the machine code that an image brings in the folder `ready`.

    Numba writes beside what it reads, which an image's read-only file system forbids: hence a copy.
    It takes only what was made of the same sources, and only into a folder that is not there yet.
    """
    made = Path(ready) / folder.name if ready else None
    if made is None or folder.exists() or not made.is_dir():
        return
    with contextlib.suppress(OSError):  # without it the kernels are compiled
        folder.parent.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            shutil.copytree(made, copy / folder.name)
            (copy / folder.name).rename(folder)
        finally:
            shutil.rmtree(copy, ignore_errors=True)


_FOLDER = cache_folder(os.environ.get("NUMBA_CACHE_DIR"))
seed(_FOLDER, os.environ.get("SMILE_KERNELS"))
numba.config.CACHE_DIR = str(_FOLDER)  # type: ignore[attr-defined]
