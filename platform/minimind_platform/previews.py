"""A look at rows of a data set as a training sees them.

    Previews(home).rows(path, state, ["--type", "sft"], start=10, count=5)

Tokenizers and templates live in the trainer, which takes seconds to load, so each look reads more rows than were asked
for and keeps them: turning the page is free then.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from minimind_platform.errors import PlatformError

READ_AHEAD = 20
SECONDS = 120
KEPT = 64
AT_ONCE = 2
"""Looks that run at the same time; more wait."""
COMMAND = (sys.executable, "-m", "trainer.data_cli", "preview")


class Previews:
    """Rows that were looked at, kept until the data changes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._few = threading.Semaphore(AT_ONCE)
        self._known: dict[tuple[str, int], dict[str, Any]] = {}

    def rows(self, path: Path, state: str, options: list[str], start: int, count: int) -> dict[str, Any]:
        """What `data_cli preview --json` prints, with `count` rows from `start` on.

        Args:
            path: a data set that may be read.
            state: changes with the data.
            options: training type and length, as the command takes them.

        Raises:
            PlatformError: nothing can be read; says why.
        """
        key = f"{state} {options}"
        if seen := self._kept(key, start, count):
            return seen
        with self._few:
            if seen := self._kept(key, start, count):  # somebody else has looked meanwhile
                return seen
            seen = self._look(path, [*options, "--start", str(start), "--rows", str(max(count, READ_AHEAD))])
        with self._lock:
            while len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key, start] = seen
        return seen | {"rows": seen["rows"][:count]}

    def _kept(self, key: str, start: int, count: int) -> dict[str, Any] | None:
        with self._lock:
            for (known, begin), seen in self._known.items():
                inside = begin <= start and start + count <= begin + len(seen["rows"])
                ended = begin <= start and len(seen["rows"]) < READ_AHEAD
                if known == key and (inside or ended):
                    return seen | {"rows": seen["rows"][start - begin :][:count]}
        return None

    def _look(self, path: Path, options: list[str]) -> dict[str, Any]:
        try:
            done = subprocess.run(
                [*COMMAND, str(path), *options, "--json"], capture_output=True, text=True, errors="replace",
                timeout=SECONDS, cwd=self._home, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise PlatformError(f"Reading {path.name} took more than {SECONDS} seconds.") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"It ended with code {done.returncode}."]
            raise PlatformError(lines[-1][:500])
        return json.loads(done.stdout)
