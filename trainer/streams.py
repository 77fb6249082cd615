"""The rows of one data file as they stand in it, one at a time: JSONL, plain or compressed, and Parquet.

    for raw in raw_rows(Path("dataset/wiki.jsonl.zst")): ...

However a file is written, no more of it is in memory than a few megabytes: a line is read to the limit and no further,
compressed files are unpacked as they are read, and Parquet is read page by page.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from trainer.errors import DataError
from trainer.sources import is_parquet

LINE_LIMIT = 8 * 2**20
"""Longest row in bytes. A longer one is nearly always a file that is not JSONL."""
_BUFFER = 2**16
_BATCH_BYTES = 2**20
_BATCH_ROWS = 64
"""Most rows of a Parquet file that are unpacked at once: few, for a small file can hold rows of any size."""


class RowError(Exception):
    """What is wrong with a row; the caller knows file and line."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RawRow(NamedTuple):
    """A row as it was read."""

    number: int
    """Line, or row of a Parquet file, from 1."""
    done: int
    """Bytes of the file read so far."""
    size: int
    """Bytes of the row, unpacked."""
    value: "bytes | dict[str, Any] | RowError"
    """A line, to be parsed; the columns of a Parquet row; or why it could not be read."""


def raw_rows(file: Path, columns: frozenset[str], extra: set[str] | None = None) -> Iterator[RawRow]:
    """Read a file from its begin.

    Args:
        columns: those that are read of a Parquet file.
        extra: takes up the names of its other columns.

    Raises:
        DataError: the file cannot be read, or is damaged; with the line that was reached.
    """
    if is_parquet(file):
        yield from _parquet_rows(file, columns, set() if extra is None else extra)
        return
    number = 0
    try:
        with file.open("rb", buffering=0) as packed, _unpacked(file, packed) as stream:
            plain = stream.raw is packed
            done = 0
            while raw := stream.readline(LINE_LIMIT + 2):
                number += 1
                size, rest = len(raw), raw
                while len(raw) > LINE_LIMIT + 1 and rest and not rest.endswith(b"\n"):
                    rest = stream.readline(2**20)
                    size += len(rest)
                done = done + size if plain else packed.tell()
                too_long = size > LINE_LIMIT + 1
                yield RawRow(number, done, size, _too_long() if too_long else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, f"line {number}", error) from None
    except OSError as error:
        if not error.errno:  # of the unpacking, not of the operating system
            raise _damaged(file, f"line {number}", error) from None
        raise DataError(f"{file} cannot be read: {error.strerror or error}.", "Check its permissions.") from None


def _unpacked(file: Path, packed: IO[bytes]) -> Any:
    name = file.name.lower()
    if name.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=packed), _BUFFER)  # type: ignore[arg-type]
    if name.endswith(".zst"):
        import pyarrow  # takes a while and some memory, which other files need not

        return io.BufferedReader(pyarrow.CompressedInputStream(packed, "zstd"), _BUFFER)  # type: ignore[arg-type]
    return io.BufferedReader(packed, _BUFFER)  # type: ignore[arg-type]


def _too_long() -> RowError:
    return RowError(f"longer than {LINE_LIMIT // 2**20} MB", "Split the text into several rows.")


def _damaged(file: Path, reached: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200].rstrip(".")
    return DataError(
        f"{file} is damaged or not what its name says: reading stopped after {reached} ({reason}).",
        "Copy, download or export it again.",
    )


def parquet_row_count(file: Path) -> int:
    """Rows of a Parquet file, as it tells itself.

    Raises:
        DataError: the file is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(file).num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(file, "row 0", error) from None


def _parquet_rows(file: Path, columns: frozenset[str], extra: set[str]) -> Iterator[RawRow]:
    import pyarrow
    from pyarrow import parquet

    if not os.access(file, os.R_OK):
        raise DataError(f"{file} cannot be read: Permission denied.", "Check its permissions.")
    number = 0
    try:
        # pre_buffer would bring whole row groups into memory, which may be whole files
        options = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        with parquet.ParquetFile(file, **options) as opened:
            found = opened.schema_arrow.names
            wanted = [name for name in found if name in columns]
            extra.update(set(found) - columns)
            if not wanted:
                raise DataError(
                    f"{file} has none of the columns that hold training data (columns found: "
                    f"{', '.join(found[:8]) or 'none'}).",
                    "Name the column text, conversations or messages; docs/data.md has the formats.",
                )
            size, total = file.stat().st_size, max(1, opened.metadata.num_rows)
            for row_size, value in _parquet_values(opened, wanted):
                number += 1
                yield RawRow(number, size * number // total, row_size, value)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(file, f"row {number}", error) from None


def _parquet_values(opened: Any, wanted: list[str]) -> Iterator[tuple[int, "dict[str, Any] | RowError"]]:
    for group in range(opened.num_row_groups):
        about = opened.metadata.row_group(group)
        chunks = (about.column(index) for index in range(about.num_columns))
        unpacked = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.partition(".")[0] in wanted)
        mean = unpacked // max(1, about.num_rows)
        if mean > LINE_LIMIT and about.num_rows == 1:  # not unpacked at all: it could be of any size
            yield mean, _too_long()
            continue
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, mean)))
        for batch in opened.iter_batches(rows, row_groups=[group], columns=wanted, use_threads=False):
            for index in range(batch.num_rows):
                yield _parquet_row(batch, index)


def _parquet_row(batch: Any, index: int) -> tuple[int, "dict[str, Any] | RowError"]:
    try:
        row = {name: _without_nulls(batch.column(name)[index].as_py()) for name in batch.schema.names}
    except UnicodeDecodeError as error:
        fault = RowError(f"not UTF-8 (byte {error.start + 1} is 0x{error.object[error.start]:02x})", "Export it again.")
        return 0, fault
    size = _text_size(row)
    return size, (_too_long() if size > LINE_LIMIT else row)


def _without_nulls(value: Any) -> Any:
    """Parquet gives every object of a column the same keys. Those that are null were not there to begin with."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None or key == "content"}
    return value


def _text_size(value: Any) -> int:
    """Bytes of the texts in a row; characters where that is surely few."""
    if isinstance(value, str):
        return len(value) if len(value) <= LINE_LIMIT // 4 else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_text_size, value.values()))
    return sum(map(_text_size, value)) if isinstance(value, list) else 0
