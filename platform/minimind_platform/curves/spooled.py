"""The newest points of a task, from the record that its trainer writes, as it grows.

tail = SpoolTail(task_dir, acknowledged(task_dir))
for step, at, values in tail.read(): ...
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.names import TaskFile

METRICS = b'{"kind": "metrics"'
"""How the trainer's lines with metrics begin; others are skipped unread."""
LONGEST_LINE = 1 << 20

Record = tuple[int, float, dict[str, float | None]]
"""Step, time in seconds since 1970, and values by metric; None where one was no number."""


def acknowledged(task_dir: Path) -> int:
    """Bytes of the record that the tracking server has."""
    try:
        return int((task_dir / TaskFile.OFFSET).read_text())
    except (OSError, ValueError):
        return 0


class SpoolTail:
    """Follows a record from a byte on."""

    def __init__(self, task_dir: Path, offset: int) -> None:
        self.path = task_dir / TaskFile.METRICS
        self.offset = offset
        """Begin of the next line to read."""

    @classmethod
    def at_end(cls, task_dir: Path) -> "SpoolTail":
        """Follow from the last line that is complete now."""
        tail = cls(task_dir, 0)
        if size := tail.size:
            with tail.path.open("rb") as file:
                begin = file.seek(max(0, size - LONGEST_LINE))
                tail.offset = begin + file.read(size - begin).rfind(b"\n") + 1
        return tail

    @property
    def begun_afresh(self) -> bool:
        """Whether the file is shorter than what was read of it."""
        return self.size < self.offset

    @property
    def size(self) -> int:
        """Bytes in the file; 0 while there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, end: int | None = None) -> Iterator[Record]:
        """The records with metrics that are complete and were not read before, up to a byte."""
        for line in self.lines(end):
            if line.startswith(METRICS) and (record := _parsed(line)) is not None:
                yield record

    def lines(self, end: int | None = None) -> Iterator[bytes]:
        """Complete lines that were not read before."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n") or (end is not None and self.offset >= end):
                    return
                self.offset += len(line)
                yield line


def _parsed(line: bytes) -> Record | None:
    """A record; None for a damaged line, which costs itself only."""
    try:
        record: dict[str, Any] = json.loads(line)
        return int(record["step"]), record["t"] / 1000, record["values"]
    except (ValueError, KeyError, TypeError):
        return None
