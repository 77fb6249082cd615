"""Follows a file of lines that grows.

lines = Tail(task_dir / "metrics.jsonl")
lines.new()       # the complete lines that were written since the last call
"""

from pathlib import Path

CHUNK = 4 << 20
"""Bytes looked at in one call, so that a large file does not hold up its reader."""


class Tail:
    """What is new at the end of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def begun_afresh(self) -> bool:
        """Whether the file is shorter than what was read of it; if so, reading starts at its begin again."""
        if not self.path.exists() or self.path.stat().st_size >= self._offset:
            return False
        self._offset = 0
        return True

    def new(self) -> list[bytes]:
        """The next complete lines, as much as a chunk holds; none when there is nothing new."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            block = file.read(CHUNK)
        complete = block.rpartition(b"\n")[0]
        self._offset += len(complete) + 1 if complete else 0
        return complete.splitlines()
