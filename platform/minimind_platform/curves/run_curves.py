"""The curves of one run: its history from the tracking server, the newest points from the trainer's own record.

The server has a prefix of the record: all up to the offset that the trainer has noted, and perhaps some more. So the
record is followed from that offset on, read before the history is, and steps that the history has already are skipped.
Whoever has no record here (runs that others log, tasks of another machine) is asked for what is new by step.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from pathlib import Path

from minimind_platform.curves.buckets import Buckets
from minimind_platform.curves.history import History
from minimind_platform.curves.spooled import SpoolTail, acknowledged
from minimind_platform.errors import NotFoundError, TrackingUnavailableError
from minimind_platform.tasks import Task

FRESH_SECONDS = 0.5
"""Screens that ask within this time share one look."""
LONG_TAIL = 1 << 20
"""Bytes of record beyond which it is read once for several curves, rather than once for each."""


class RunCurves:
    """Curves by key. Safe to use from many threads."""

    def __init__(self, run_id: str, task_dir: Path, history: History) -> None:
        self.lock = threading.RLock()
        self.curves: dict[str, Buckets] = {}
        self._id, self._task_dir, self._history = run_id, task_dir, history
        self._loading: dict[str, Future[None]] = {}
        self._begin()

    def load(self, keys: Iterable[str], pool: Executor) -> "list[Future[None]]":
        """Have curves read that are not known yet. Every asker gets the same work to wait for."""
        with self.lock:
            missing = [key for key in keys if key not in self.curves and key not in self._loading]
            whole = self._tail.size - acknowledged(self._task_dir) > LONG_TAIL
            for group in [missing] if whole and missing else [[key] for key in missing]:
                work = pool.submit(self._load, group)
                self._loading |= dict.fromkeys(group, work)
            return list({id(work): work for key in keys if (work := self._loading.get(key))}.values())

    def refresh(self, task: Task | None) -> None:
        """Take in what is new, unless somebody just has, or the task has ended and all is there.

        Raises:
            TrackingUnavailableError: a tracking server elsewhere does not answer; the record was taken in.
        """
        with self.lock:
            if not self._is_due(task):
                return
            self._read_at = time.monotonic()
            if self._tail.begun_afresh:
                self.curves.clear()
                self._begin()
            self._follow_record()
            for key in self.curves.keys() - self._recorded:
                self._ask_by_step(key)
            self._complete_at = task.version if task and task.ended and not task.unsynced else -1

    def piece(self, key: str, begin: int, end: int) -> Buckets:
        """A curve from one step to another, as exact as there is room for."""
        offset = acknowledged(self._task_dir)
        try:
            piece = self._history.piece(self._id, key, begin, end)
        except (TrackingUnavailableError, NotFoundError):
            if not self._tail.size:
                raise
            piece, offset = Buckets(), 0
        had = piece.newest
        for step, at, values in SpoolTail(self._task_dir, offset).read():
            if key in values and begin <= step <= end:
                _take(piece, had, step, values[key], at)
        return piece

    def recorded_keys(self, from_begin: bool = False) -> set[str]:
        """Metrics that the record has and the tracking server may lack."""
        record = SpoolTail(self._task_dir, 0 if from_begin else acknowledged(self._task_dir))
        return self._recorded.union(*(values for _, _, values in record.read(record.offset + LONG_TAIL)))

    def _begin(self) -> None:
        self._tail = SpoolTail.at_end(self._task_dir)
        self._recorded: set[str] = set()
        self._had: dict[str, int | None] = {}  # last step that the history gave
        self._read_at = float("-inf")
        self._complete_at = -1

    def _is_due(self, task: Task | None) -> bool:
        if task and task.ended and not task.unsynced and self._complete_at == task.version:
            return False
        return time.monotonic() - self._read_at > FRESH_SECONDS

    def _load(self, keys: list[str]) -> None:
        """Read the history of curves, then what the record has beyond it."""
        offset = acknowledged(self._task_dir)  # before the history, so that what is sent meanwhile is not missed
        try:
            found = {}
            for key in keys:
                try:
                    found[key] = self._history.overview(self._id, key)
                except (TrackingUnavailableError, NotFoundError):
                    if not self._tail.size:
                        raise
                    found[key], offset = Buckets(), 0
            had = {key: curve.newest for key, curve in found.items()}
            record = SpoolTail(self._task_dir, offset)
            self._catch_up(found, had, record)  # most of it without holding up the others
            with self.lock:
                self._catch_up(found, had, record)
                self._had |= had
                self.curves |= found
        finally:
            with self.lock:
                for key in keys:
                    self._loading.pop(key, None)

    def _catch_up(self, found: dict[str, Buckets], had: dict[str, int | None], record: SpoolTail) -> None:
        """Bring new curves to where the record was read to for the others."""
        for step, at, values in record.read(self._tail.offset):
            for key in values.keys() & found.keys():
                self._recorded.add(key)
                _take(found[key], had[key], step, values[key], at)

    def _follow_record(self) -> None:
        for step, at, values in self._tail.read():
            self._recorded |= values.keys()
            for key in values.keys() & self.curves.keys():
                _take(self.curves[key], self._had[key], step, values[key], at)

    def _ask_by_step(self, key: str) -> None:
        """Read the last bucket of a curve and all behind it again: points may have come into it, too."""
        curve = self.curves[key]
        begin = curve.last_begin
        rows = list(self._history.rows(self._id, key, begin))
        curve.cut(begin)
        for step, value, at in rows:
            curve.add(step, value, at)
        self._had[key] = curve.newest


def _take(curve: Buckets, had: int | None, step: int, value: float | None, at: float) -> None:
    """Add a point of the record that the history did not have."""
    if had is None or step > had:
        curve.add(step, value, at)
