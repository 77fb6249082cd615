"""The logs of tasks: pieces by byte offset, lines by words, level and time, and the line that tells of a failure.

platform.logs.piece(task.id, colours=True)
platform.logs.find(task.id, Wanted("nan")).lines
"""

from collections.abc import Callable
from pathlib import Path

from minimind_platform.log_search import MOST_LINES, Wanted, at_time, failed_at, find
from minimind_platform.logs import read_before, read_log
from minimind_platform.tasks import Task
from minimind_platform.views import LogChunk, LogLine, LogMatches


class Logs:
    """Logs that may grow, be cut in their middle, and be larger than the memory: each call reads a bounded part.

    Errors: NotFoundError for a task that does not exist.
    """

    def __init__(self, task: Callable[[str], Task], path: Callable[[Task], Path]) -> None:
        """
        Args:
            task: a task by its id or the begin of it.
            path: where the log of a task is, or will be.
        """
        self._task = task
        self._path = path

    def piece(
        self,
        id: str,  # noqa: A002
        offset: int = -1,
        limit: int = 65_536,
        *,
        before: int | None = None,
        colours: bool = False,
    ) -> LogChunk:
        """Whole lines from a byte on, -1 for the tail; with `before`, those that end at that byte.

        Args:
            id: the task.
            offset: the `end` of the piece before.
            limit: most bytes, up to 256 KiB.
            before: the `begin` of the piece behind.
            colours: keep the codes of colours (SGR) in the text.
        """
        task = self._task(id)
        if before is not None:
            return read_before(self._path(task), before, limit, colours=colours)
        return read_log(self._path(task), offset, limit, ended=task.ended, colours=colours)

    def find(self, id: str, wanted: Wanted, offset: int = 0, limit: int = MOST_LINES) -> LogMatches:  # noqa: A002
        """Lines with some words or of a level, as far as one piece of the file tells; go on at its `end`."""
        return find(self._path(self._task(id)), wanted, offset, limit)

    def at(self, id: str, moment: float) -> int:  # noqa: A002
        """Byte of the first line of a second, or of the last line with a time where all are older.

        Args:
            id: the task.
            moment: seconds since 1970.
        """
        return at_time(self._path(self._task(id)), moment)

    def failure(self, id: str) -> LogLine | None:  # noqa: A002
        """The line that tells why a task failed; None for an empty log."""
        task = self._task(id)
        return failed_at(self._path(task), task.error)
