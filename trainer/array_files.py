"""Numbers in a file, read where they are asked for.

    ids = ArrayFile(Path("ids.bin"), np.dtype(np.uint16))
    ids[10:20]

A memory map would do too, but what was once read of a map counts as memory of the process, which would seem to grow
with its data.
"""

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


class ArrayFile:
    """A file as a one-dimensional array that cannot be changed. Safe to share between threads."""

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.dtype = dtype
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._length = os.fstat(self._file).st_size // dtype.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int | slice) -> Any:
        """A copy of some neighbouring elements, or of one; IndexError past the end."""
        if isinstance(place, slice):
            start, stop, step = place.indices(self._length)
            return self._read(start, max(0, stop - start))[::step]
        if not 0 <= place < self._length:
            raise IndexError(place)
        return self._read(place, 1)[0]

    def blocks(self, size: int = 2**16) -> Iterator[tuple[int, np.ndarray]]:
        """The whole array in parts, each with the index of its first element."""
        for start in range(0, self._length, size):
            yield start, self[start : start + size]

    def _read(self, start: int, count: int) -> np.ndarray:
        raw = bytearray(count * self.dtype.itemsize)
        rest, offset = memoryview(raw), start * self.dtype.itemsize
        while rest:
            done = os.preadv(self._file, [rest], offset)
            if not done:
                raise OSError(f"The file ends before element {start + count}.")
            rest, offset = rest[done:], offset + done
        return np.frombuffer(raw, self.dtype)
