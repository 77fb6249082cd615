"""The rows of a data set, one at a time, in MiniMind's formats. Every fault is told with its line and a way out.

    for place, row in read_rows("dataset/sft.jsonl", "sft"): ...

The formats and the spellings that are understood are in `row_formats`, the kinds of files in `streams`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from trainer.errors import DataError
from trainer.pair_flaws import PairFlaws, pair_flaw
from trainer.row_formats import COLUMNS, canonical, check_row, ignored_keys, kind, row_format
from trainer.sources import DataSet, Place, open_data
from trainer.streams import RawRow, RowError, raw_rows

NO_ROWS_HINT = "Write one JSON object on each line."
_MOST_KEYS = 20
"""Ignored keys that are remembered of a file: there may be a new one in every row."""


class Row(NamedTuple):
    """A row that was read and checked."""

    place: Place
    done: int
    """Bytes of the data set read so far."""
    size: int
    """Bytes of the row, unpacked."""
    value: dict[str, Any]
    """The row with MiniMind's keys."""


class RowReader:
    """Reads a data set from its begin, and remembers which keys it made no use of."""

    def __init__(self, path: str | Path, format: str) -> None:  # noqa: A002
        self.data = open_data(path)
        self.format = format
        self.ignored: list[set[str]] = [set() for _ in self.data.files]
        """Keys of each file that the format has no use for."""

    def rows(self, bad: Callable[[Place, DataError], None] | None = None) -> Iterator[Row]:
        """The rows in order.

        Args:
            bad: called with a row that cannot be used, which is left out; without it, such a row ends the reading.

        Raises:
            DataError: a file cannot be read, a row cannot be used, or there is no row at all.
        """
        empty = True
        for place, done, raw in all_rows(self.data, self.ignored):
            try:
                value = self.checked(place, raw)
            except RowError as error:
                if not bad:
                    raise located(self.data, place, error) from None
                bad(place, located(self.data, place, error))
                empty = False
                continue
            if value is not None:
                empty = False
                yield Row(place, done, raw.size, value)
        if empty:
            only = "" if any(file.name.endswith(".parquet") for file in self.data.files) else ", only blank lines"
            raise DataError(f"{self.data.path} has no rows{only}.", NO_ROWS_HINT)

    def check_begins(self) -> None:
        """Check the first row of every file.

        Raises:
            DataError: as `rows`.
        """
        for index in range(len(self.data.files)):
            for place, raw in _file_rows(self.data, index, self.ignored):
                try:
                    if self.checked(place, raw) is not None:
                        break
                except RowError as error:
                    raise located(self.data, place, error) from None

    def checked(self, place: Place, raw: RawRow) -> dict[str, Any] | None:
        """A row in its canonical form, or None if its line is blank; RowError if it cannot be used."""
        row = parse(raw)
        if row is None:
            return None
        value = canonical(row)
        turns = "messages" if value is not row and row.get("conversations") is None else "conversations"
        check_row(value, self.format, turns)
        ignored = self.ignored[place.file]
        if len(ignored) < _MOST_KEYS:
            ignored |= ignored_keys(row, self.format)
        return value


def read_rows(path: str | Path, format: str) -> Iterator[tuple[Place, dict[str, Any]]]:  # noqa: A002
    """Yield (place, row) without loading the files.

    Raises:
        DataError: at the first row that cannot be used, or if there is no row at all.
    """
    for row in RowReader(path, format).rows():
        yield row.place, row.value


def all_rows(data: DataSet, ignored: list[set[str]] | None = None) -> Iterator[tuple[Place, int, RawRow]]:
    """Every row as it stands, unparsed, with its place and the bytes of the data set read up to its end."""
    before = 0
    for index, file in enumerate(data.files):
        for place, raw in _file_rows(data, index, ignored):
            yield place, before + raw.done, raw
        before += file.stat().st_size


def _file_rows(data: DataSet, index: int, ignored: list[set[str]] | None) -> Iterator[tuple[Place, RawRow]]:
    for raw in raw_rows(data.files[index], COLUMNS, ignored[index] if ignored else None):
        yield Place(index, raw.number), raw


@dataclass
class FileRows:
    """What one file of a data set holds."""

    name: str
    rows: int
    """Good rows."""
    bytes: int


@dataclass
class RowCheck:
    """What `check_rows` found."""

    format: str
    rows: int = 0
    """Good rows."""
    bad: int = 0
    errors: list[DataError] = field(default_factory=list)
    """The first bad lines, or the reason why the data cannot be read at all."""
    files: list[FileRows] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """One sentence for each file with keys that are ignored, and for each kind of pair that teaches nothing."""


def check_rows(
    path: str | Path,
    format: str,  # noqa: A002
    limit_errors: int = 5,
    each: Callable[[DataSet, Row], None] | None = None,
) -> RowCheck:
    """Read a whole data set and collect its bad lines instead of stopping at the first.

    Args:
        each: called with every good row.
    """
    check = RowCheck(format)

    def bad(_place: Place, error: DataError) -> None:
        check.bad += 1
        if len(check.errors) < limit_errors:
            check.errors.append(error)

    try:
        reader = RowReader(path, format)
        check.files = [FileRows(file.name, 0, file.stat().st_size) for file in reader.data.files]
        flaws = PairFlaws(reader.data)
        for row in reader.rows(bad):
            check.files[row.place.file].rows += 1
            if format == "dpo":
                flaws.add(row.place, pair_flaw(row.value))
            if each:
                each(reader.data, row)
        good = sum(file.rows for file in check.files)
        check.notices = key_notices(reader.data, reader.ignored) + flaws.notices(good)
    except DataError as error:
        check.errors.append(error)
    check.rows = sum(file.rows for file in check.files)
    return check


def key_notices(data: DataSet, ignored: list[set[str]]) -> list[str]:
    """What is told of keys without use: one sentence a file, or one for all files with the same ones."""
    files: dict[tuple[str, ...], list[str]] = {}
    for file, keys in zip(data.files, ignored, strict=True):
        if keys:
            files.setdefault(tuple(sorted(keys)), []).append(file.name)
    notices = []
    for keys, names in files.items():
        listed = ", ".join(keys[:8]) + (", …" if len(keys) > 8 else "")
        told = f"key {listed} is ignored" if len(keys) == 1 else f"keys {listed} are ignored"
        more = f" and {len(names) - 1} more file{'s' if len(names) > 2 else ''}" if len(names) > 1 else ""
        notices.append(f"{names[0]}{more}: {told}.")
    return notices


def detect_format(path: str | Path, rows: int = 20) -> str:
    """The format of a data set by its first rows: pretrain, sft, dpo, rlaif, or "" if they do not agree on one."""
    try:
        found = set(detect_formats(open_data(path), rows).values())
    except DataError:
        return ""
    return found.pop() if len(found) == 1 else ""


def detect_formats(data: DataSet, rows: int = 20) -> dict[str, str]:
    """The format of each file by name: of the first by several rows, of the others, which may be many, by one.

    Raises:
        DataError: a file cannot be read.
    """
    formats = {}
    for file in data.files:
        formats[file.name] = _file_format(file, 1 if formats else rows)
    if set(formats.values()) == {"sft", "rlaif"}:  # single empty answers happen in SFT data
        return dict.fromkeys(formats, "sft")
    return formats


def _file_format(file: Path, rows: int) -> str:
    found: set[str] = set()
    for raw in raw_rows(file, COLUMNS):
        try:
            row = parse(raw)
        except RowError:  # the others tell
            row, rows = None, rows - 1
        if row is not None:
            found.add(row_format(canonical(row)))
            rows -= 1
        if not rows:
            break
    if found == {"sft", "rlaif"}:
        return "sft"
    return found.pop() if len(found) == 1 else ""


def parse(raw: RawRow) -> dict[str, Any] | None:
    """The row as an object, or None if its line is blank.

    Raises:
        RowError: it is none.
    """
    if isinstance(raw.value, RowError):
        raise raw.value
    return raw.value if isinstance(raw.value, dict) else _parse_line(raw.value, raw.number)


def _parse_line(raw: bytes, line: int) -> dict[str, Any] | None:
    if line == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RowError("the file is UTF-16", "Save it as UTF-8.")
    if b"\0" in raw:
        raise RowError(f"NUL byte at byte {raw.index(0) + 1}", "The file is damaged; copy or export it again.")
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
        row = json.loads(text) if text else None
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 (byte {error.start + 1} is 0x{raw[error.start]:02x})", "Save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        hint = "A data file holds one JSON object on each line, not one array." if raw.lstrip().startswith(b"[") else ""
        raise RowError(f"not valid JSON ({error.msg} at column {error.colno})", hint) from None
    except (ValueError, RecursionError) as error:
        raise RowError(f"JSON that cannot be read ({error})") from None
    if b"\\u" in raw and _has_lone_surrogate(row):
        raise RowError("half of a surrogate pair, such as \\ud83d alone, which is no character")
    if text and not isinstance(row, dict):
        raise RowError(f"a JSON {kind(row)}, not an object", "Write each row as {...}.")
    return row


def _has_lone_surrogate(row: Any) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def located(data: DataSet, place: Place, error: RowError) -> DataError:
    """A row's fault with its file and line."""
    return DataError(f"{data.located(place)}: {error.message}.", error.hint)
