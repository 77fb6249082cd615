"""Data sets on disk: one file, or a folder whose data files are read one after another, by name.

data = open_data("dataset/wiki")
data.files, data.bytes, data.sha256()
data.where(Place(1, 7))                    # "b.jsonl line 7"; "line 7" where the data set is one file
"""

import difflib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from trainer.errors import DataError

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
"""How the names of data files end. A file that is named by itself may be called otherwise; it is read as JSONL."""
_OTHERS = (".json", ".csv", ".tsv", ".txt", ".arrow", ".zip", ".tar", ".xz", ".bz2", ".gz", ".zst")


class Place(NamedTuple):
    """Where a row stands."""

    file: int
    """Index in `DataSet.files`."""
    number: int
    """Line, or row of a Parquet file, from 1."""


@dataclass(frozen=True)
class DataSet:
    """The files of a data set, in the order in which they are read."""

    path: str
    """As it was given."""
    files: tuple[Path, ...]
    folder: bool

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.stat().st_size for file in self.files)

    def state(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of every file, to see whether one has changed."""
        stats = [(file.name, file.stat()) for file in self.files]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]

    def sha256(self) -> str:
        """Hash of a file's bytes; of a folder, of the names and hashes of its files."""
        hashes = [_sha256(file) for file in self.files]
        if not self.folder:
            return hashes[0]
        listed = "".join(f"{sha256}  {file.name}\n" for file, sha256 in zip(self.files, hashes, strict=True))
        return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()

    def located(self, place: Place) -> str:
        """A place as errors begin: path and line."""
        file = self.files[place.file] if self.folder else self.path
        return f"{file} {_unit(self.files[place.file])} {place.number}"

    def where(self, place: Place) -> str:
        """A place within the data set: line, or file and line."""
        unit = f"{_unit(self.files[place.file])} {place.number}"
        return f"{self.files[place.file].name} {unit}" if self.folder else unit

    def places(self, places: Iterable[Place]) -> str:
        """Several places: `line 3, 8`, or `a.jsonl line 3, 8; b.parquet row 2`."""
        told = []
        for file, group in groupby(places, key=lambda place: place.file):
            numbers = ", ".join(str(place.number) for place in group)
            unit = f"{_unit(self.files[file])} {numbers}"
            told.append(f"{self.files[file].name} {unit}" if self.folder else unit)
        return "; ".join(told)


def is_data_file(name: str) -> bool:
    """Whether a file of this name belongs to a folder's data."""
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "_"))


def is_parquet(file: Path) -> bool:
    """Whether a file is read as Parquet, whose rows have no lines."""
    return file.name.lower().endswith(".parquet")


def open_data(path: str | os.PathLike[str]) -> DataSet:
    """The data set at a path.

    Raises:
        DataError: there is nothing, or nothing that could be read.
    """
    whole = Path(path)
    if whole.is_dir():
        return DataSet(str(path), _folder_files(whole), True)
    if not whole.exists():
        raise DataError(f"There is no file {whole.absolute()}.", _similar(whole))
    if not whole.is_file():
        raise DataError(f"{path} is not an ordinary file.", "Choose a data file, or a folder of data files.")
    if not whole.stat().st_size:
        raise DataError(f"{path} is empty (0 bytes).", "Write one JSON object on each line.")
    return DataSet(str(path), (whole,), False)


def _folder_files(folder: Path) -> tuple[Path, ...]:
    """The data files directly in a folder, by name. Folders in it are data sets of their own."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    files = tuple(entry for entry in entries if is_data_file(entry.name) and entry.is_file())
    if not files:
        raise DataError(f"The folder {folder} has no data files.", _folder_hint(entries))
    for file in files:
        if not file.stat().st_size:
            raise DataError(f"{file} is empty (0 bytes).", "Copy or download it again, or remove it from the folder.")
    return files


def _folder_hint(entries: list[Path]) -> str:
    ends = f"Data files end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    inside = [e.name for e in entries if e.is_dir() and any(is_data_file(f.name) for f in e.iterdir())]
    if inside:
        return f"Choose a folder in it, such as {', '.join(inside[:3])}."
    others = [entry.name for entry in entries if entry.name.lower().endswith(_OTHERS)]
    return f"{ends}; found {', '.join(others[:3])}." if others else f"{ends}."


def _similar(file: Path) -> str:
    if not file.absolute().parent.is_dir():
        return f"The folder {file.absolute().parent} does not exist either."
    names = [p.name for p in file.absolute().parent.iterdir()]
    alike = difflib.get_close_matches(file.name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(alike)}?" if alike else "Check the spelling, or give an absolute path."


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unit(file: Path) -> str:
    return "row" if is_parquet(file) else "line"
