"""Curves of any run for all screens together, from one memory.

curves = platform.curves
curves.read(run_id, ["train/loss"]).parts["train/loss"]
curves.zoom(run_id, ["train/loss"], 500_000, 500_900)
"""

import concurrent.futures
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from minimind_platform.curves.buckets import CurvePart
from minimind_platform.curves.history import History, RunFacts
from minimind_platform.curves.marks import Mark, RunMarks
from minimind_platform.curves.run_curves import RunCurves
from minimind_platform.curves.served import ServedHistory
from minimind_platform.curves.tracking_file import TrackingFile
from minimind_platform.errors import NotFoundError, PlatformError, TrackingUnavailableError
from minimind_platform.settings import Settings
from minimind_platform.tasks import RUN_STATUS, Task, TaskEvent
from minimind_platform.tracking_client import TrackingClient
from trainer.names import Metric

RUN_ID = re.compile("[0-9a-f]{32}")
READERS = 2
"""Curves that are read for the first time at once; long ones keep a processor busy."""
MOST_CURVES = 2_000
"""Kept in memory, at up to 64 kB each."""
LIVE_WAIT = 0.7
"""Seconds that a screen which asks again anyway waits for curves nobody has asked for before."""


@dataclass(frozen=True)
class CurveAnswer:
    """Curves of one run."""

    parts: dict[str, CurvePart]
    """By metric; one without news is not in it."""
    pending: list[str]
    """Metrics that are still being read; ask again."""
    tracking: bool
    """Whether all that the tracking server has could be read."""


@dataclass(frozen=True)
class _Run:
    """What is kept of one run."""

    curves: RunCurves
    marks: RunMarks


class Curves:
    """Safe to use from many threads."""

    def __init__(
        self,
        settings: Settings,
        tracking: TrackingClient,
        find: Callable[[str], Task | None],
        events: Callable[[str], list[TaskEvent]],
    ) -> None:
        served = ServedHistory(tracking)
        # The file itself where the tracking server is our own and keeps one: the server takes seconds for 1,000,000
        # points, and its samples lose spikes.
        own = not settings.tracking_uri and not settings.tracking_database_url
        self._history: History = TrackingFile(settings.mlruns_dir / "tracking.db", served) if own else served
        self._settings, self._find, self._events = settings, find, events
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._pool = ThreadPoolExecutor(READERS, "curves")

    def read(
        self,
        run: str | Task,
        keys: Sequence[str],
        since: Mapping[str, tuple[int, int]] | None = None,
        wait: float | None = None,
    ) -> CurveAnswer:
        """What an asker lacks of curves.

        Args:
            run: a task, or the id of any run.
            keys: metrics; one that the run does not have has no part.
            since: what the asker has, by key: width of its buckets, and its last step.
            wait: seconds to wait for curves that are read for the first time; None for as long as it takes.
        """
        run_id, task = self._known(run)
        curves = self._run(run_id).curves
        work = curves.load(keys, self._pool)
        done, _ = concurrent.futures.wait(work, wait)
        tracking = True
        for look in (*(job.result for job in done), lambda: curves.refresh(task)):
            try:
                look()
            except TrackingUnavailableError:
                tracking = False
        with curves.lock:
            known = {key: curves.curves[key].part((since or {}).get(key)) for key in keys if key in curves.curves}
        pending = [key for key in keys if key not in known] if len(done) < len(work) else []
        return CurveAnswer({key: part for key, part in known.items() if part}, pending, tracking)

    def prepare(self, run_id: str) -> None:
        """Begin to read what somebody is about to look at first, without waiting for it."""
        self._pool.submit(self._prepare, run_id)

    def zoom(self, run_id: str, keys: Sequence[str], begin: int, end: int) -> CurveAnswer:
        """Curves from one step to another: raw points where there are few enough, else the finest buckets."""
        run = self._run(run_id).curves
        pieces = {key: run.piece(key, begin, end).part() for key in keys}
        return CurveAnswer({key: part for key, part in pieces.items() if part}, [], True)

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        """A run, and every metric that it has.

        Raises:
            NotFoundError: there is no such run.
            TrackingUnavailableError: only a tracking server elsewhere knows, and it does not answer.
        """
        task, run = self._find(run_id), self._run(run_id).curves
        try:
            facts, keys = self._history.facts(run_id)
            keys = run.recorded_keys().union(keys)
        except (NotFoundError, TrackingUnavailableError):
            if task is None:
                raise
            keys = run.recorded_keys(from_begin=True)
            params = {name: str(value) for name, value in task.config.items()}
            facts = RunFacts(run_id, task.name, "", task.experiment_id, None, None, None, params)
        if task:
            facts = replace(
                facts,
                name=task.name,
                status=RUN_STATUS[task.state],
                started_at=task.started_at,
                ended_at=task.ended_at,
                task_id=task.id,
                deleted=task.deleted_at is not None,
            )
        return facts, sorted(keys)

    def marks(self, run: str | Task, whole: bool = True) -> list[Mark]:
        """What happened to a task, in the order in which it became known.

        Args:
            run: a task, or the id of any run.
            whole: search all of the task's record; else, for a page that asks again, its next few megabytes.
        """
        run_id, task = self._known(run)
        return self._run(run_id).marks.read(task.version if task else -1, whole)

    def forget(self, run_id: str) -> None:
        """Drop what is known of a run."""
        with self._lock:
            self._runs.pop(run_id, None)

    def _prepare(self, run_id: str) -> None:
        with suppress(PlatformError):  # who asks for it will be told
            _, keys = self._history.facts(run_id)
            self._run(run_id).curves.load([Metric.LOSS] if Metric.LOSS in keys else keys[:1], self._pool)

    def _known(self, run: str | Task) -> tuple[str, Task | None]:
        return (run, self._find(run)) if isinstance(run, str) else (run.id, run)

    def _run(self, run_id: str) -> _Run:
        if not RUN_ID.fullmatch(run_id):
            raise NotFoundError(f"There is no run {run_id!r}.")
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                folder = self._settings.task_dir(run_id)
                marks = RunMarks(folder, lambda: self._events(run_id))
                run = self._runs[run_id] = _Run(RunCurves(run_id, folder, self._history), marks)
            self._runs.move_to_end(run_id)
            while len(self._runs) > 1 and sum(len(known.curves.curves) for known in self._runs.values()) > MOST_CURVES:
                self._runs.popitem(last=False)
            return run
