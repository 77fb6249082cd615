"""Data sets under the allowed folders: files, and folders whose files belong together.

DataFiles(paths).listing(folders)
DataFiles(paths).sample(path, tokenizer)      # rows and token lengths; remembered until a file changes
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minimind_platform.paths import Paths
from minimind_platform.row_samples import RowSample, count_rows, sample_rows
from minimind_platform.views import Dataset
from trainer.rows import detect_format
from trainer.sources import is_data_file

MOST_FILES = 1_000


class DataFiles:
    """The data sets under the allowed folders. What was read of one is kept until it changes."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._known: dict[tuple[Any, ...], Any] = {}

    def listing(self, folders: list[Path]) -> list[Dataset]:
        """The data sets under these folders that a training may read, by path."""
        found = sorted({path for folder in folders for path in _data_sets(folder)})
        listed = map(self._dataset, filter(self._allowed, found[:MOST_FILES]))
        return [dataset for dataset in listed if dataset is not None]

    def sample(self, path: Path, tokenizer: Path) -> RowSample:
        """Rows and token lengths of a data set, with the tokenizer in a `tokenizer.json`."""
        return self._remember("sample", path, (str(tokenizer),), lambda: sample_rows(path, tokenizer))

    def _allowed(self, path: Path) -> bool:
        return self._paths.allows(path) and all(map(self._paths.allows, _files_of(path)))

    def _dataset(self, path: Path) -> Dataset | None:
        """None if it has vanished, or is a folder of things that do not belong together; a file that cannot be read
        has neither rows nor a format."""
        try:
            files = _files_of(path)
            stats = [file.stat() for file in files or [path]]
        except OSError:
            return None
        try:
            rows, found = self._remember("dataset", path, (), lambda: (count_rows(path), detect_format(path)))
        except OSError:
            rows, found = None, ""
        if files and not found:
            return None
        size, changed = sum(status.st_size for status in stats), max(status.st_mtime for status in stats)
        name = f"{path.name}/" if files else path.name
        return Dataset(self._paths.shorten(path), name, size, rows, found, changed, len(files))

    def _remember(self, kind: str, path: Path, extra: tuple[str, ...], read: Any) -> Any:
        status = [file.stat() for file in _files_of(path) or [path]]
        key = (kind, str(path), *((s.st_mtime_ns, s.st_size) for s in status), *extra)
        if key not in self._known:
            value = read()
            with self._lock:
                while len(self._known) >= MOST_FILES:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = value
        return self._known[key]


def _data_sets(folder: Path) -> Iterator[Path]:
    """Data files, and folders with several of them."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(root) / name for name in names if is_data_file(name)]
        files = [file for file in files if os.path.isfile(file)]  # noqa: PTH113 - Path's raises without rights
        yield from files
        if len(files) > 1:
            yield Path(root)


def _files_of(path: Path) -> list[Path]:
    """The data files of a folder; none of a file."""
    if not os.path.isdir(path):  # noqa: PTH112 - Path's raises without rights
        return []
    return sorted(entry for entry in path.iterdir() if is_data_file(entry.name))
