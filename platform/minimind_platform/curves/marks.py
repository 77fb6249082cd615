"""What happened to a task, for the time axis of its curves: checkpoints, resumes, events, and moves between states.

The record of a training is large and has few of them, so it is searched by the beginnings of its lines, once, and then
only where it has grown.
"""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimind_platform.tasks import TaskEvent
from trainer.names import Rule, TaskFile

CHUNK = 16 << 20
"""Bytes searched in one look of a live page."""
OTHERS = re.compile(rb'^\{"kind": "(?!metrics"|tags").*$', re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """One thing that happened."""

    kind: str
    """checkpoint, resume, event or state."""
    step: int | None
    """None where it belongs to a time only."""
    t: float
    """Seconds since 1970."""
    text: str
    name: str
    """Folder of the checkpoint, number of the attempt, name of the event, or the state after the move."""
    notify: bool = False
    """Whether people are to be told of it."""


class RunMarks:
    """The marks of one task, in the order in which they became known. Safe to use from many threads."""

    def __init__(self, task_dir: Path, events: Callable[[], list[TaskEvent]]) -> None:
        self._path, self._events = task_dir / TaskFile.METRICS, events
        self._lock = threading.Lock()
        self._offset = 0
        self._moves = 0  # that are known; a task has one more than its version
        self._marks: list[Mark] = []

    def read(self, version: int, whole: bool) -> list[Mark]:
        """All marks that are known.

        Args:
            version: of the task, which tells how many moves there are; -1 for a run that is none.
            whole: search the record to its end rather than its next few megabytes.
        """
        with self._lock:
            fresh: list[Mark] = []
            while (found := self._search()) is not None:
                fresh += found
                if not whole:
                    break
            if version >= self._moves:
                moves = self._events()
                fresh += [_move(event) for event in moves[self._moves :]]
                self._moves = len(moves)
            self._marks += sorted(fresh, key=lambda mark: mark.t)
            return list(self._marks)

    def _search(self) -> list[Mark] | None:
        """Marks in the next part of the record; None at its end."""
        if not self._path.exists() or self._path.stat().st_size <= self._offset:
            return None
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read(CHUNK)
        end = block.rfind(b"\n") + 1
        if not end:
            return None
        self._offset += end
        return [mark for line in OTHERS.findall(block, 0, end) if (mark := _mark(line))]


def _mark(line: bytes) -> Mark | None:
    """What a line of the record tells; None for what is no mark, and for a damaged line."""
    try:
        record: dict[str, Any] = json.loads(line)
        kind, step, at = record["kind"], record.get("step"), record["t"] / 1000
        if kind == "checkpoint":
            return Mark("checkpoint", step, at, "best" if record.get("best") else "", record["path"].rpartition("/")[2])
        if kind == "begin" and record["attempt"] > 1:
            return Mark("resume", step, at, "", str(record["attempt"]))
        if kind == "event":
            return Mark("event", step, at, record.get("text", ""), record["name"], bool(record.get("notify")))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _move(event: TaskEvent) -> Mark:
    if event.before == event.after:  # no move, but what the scheduler has found
        return Mark("event", None, event.at, event.reason, Rule.NO_PROGRESS, notify=True)
    return Mark("state", None, event.at, event.reason, event.after)
