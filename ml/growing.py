"""Arrays that grow by rows: in memory while they are small, in mapped files beyond that."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ml.errors import OutputError

SPILL_BYTES = 256 * 2**20
"""What all arrays of a store may take together before they go to files."""


class Store:
    """Named arrays, appended to by rows and read when all are there.

    The files are `<name>.bin` in `folder`, or nameless temporary ones that vanish with the arrays.
    """

    def __init__(self, folder: Path | None = None, spill_bytes: int = SPILL_BYTES) -> None:
        self._folder, self._spill_bytes, self._held = folder, spill_bytes, 0
        self._columns: dict[str, _Column] = {}

    def append(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Add rows to each array named; a name's rows have one shape and type.

        Raises:
            OutputError: the files can't be written.
        """
        for name, values in rows.items():
            column = self._columns.setdefault(name, _Column(values.dtype, values.shape[1:]))
            column.add(values)
            self._held += values.nbytes
        if self._held > self._spill_bytes:
            self._spill()

    def finish(self) -> dict[str, NDArray[Any]]:
        """All arrays; those in files are mapped, read-only."""
        if any(column.is_spilt for column in self._columns.values()):
            self._spill()
        return {name: column.finish() for name, column in self._columns.items()}

    def _spill(self) -> None:
        try:
            for name, column in self._columns.items():
                column.spill(self._folder, name)
        except OSError as error:
            where = self._folder or tempfile.gettempdir()
            raise OutputError(f"{where}: the dataset can't be written: "
                              f"{error.strerror or error}") from error
        self._held = 0


class _Column:
    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self._dtype, self._shape, self._rows = np.dtype(dtype), shape, 0
        self._held: list[NDArray[Any]] = []
        self._file: BinaryIO | None = None

    @property
    def is_spilt(self) -> bool:
        return self._file is not None

    def add(self, values: NDArray[Any]) -> None:
        self._held.append(np.ascontiguousarray(values, self._dtype))
        self._rows += len(values)

    def spill(self, folder: Path | None, name: str) -> None:
        if self._file is None:
            self._file = _open(folder, name)
        for values in self._held:
            self._file.write(values.data)
        self._file.flush()
        self._held.clear()

    def finish(self) -> NDArray[Any]:
        if self._file is None:
            return np.concatenate([np.empty((0, *self._shape), self._dtype), *self._held])
        with self._file as file:
            if self._rows == 0:
                return np.empty((0, *self._shape), self._dtype)
            return np.memmap(file, self._dtype, "r", shape=(self._rows, *self._shape))


def _open(folder: Path | None, name: str) -> BinaryIO:
    if folder is None:
        return tempfile.TemporaryFile()
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"{name}.bin").open("w+b")
