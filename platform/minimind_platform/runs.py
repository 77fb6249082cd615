"""Points of a run's metrics, from one memory for all screens that asks the tracking server only for what is new.

    runs = Runs(tracking)
    runs.series(task, ["train/loss"], since={"train/loss": 120})

A series of up to 10,000 points is exact, of a longer one the server gives a sample (`curves/served.py`).
"""

import bisect
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from minimind_platform.curves.served import LAST_STEP, ServedHistory
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.views import Series

MOST_SERIES = 600
MOST_POINTS = 2_000_000
FRESH_SECONDS = 0.8
"""Screens that ask within this time share one request."""
SETTLED_SECONDS = 30.0
"""An ended run is asked again only after this time, and never once it has answered complete."""


@dataclass
class _Known:
    """What is known of one series."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    steps: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sampled: bool = False
    asked_at: float = 0.0
    complete_at: int = -1
    """Version of the task in which nothing more could come; -1 for none."""


class Runs:
    """Reads series. Safe to use from many threads; each series is asked for by one of them at a time."""

    def __init__(self, tracking: TrackingClient) -> None:
        self._history = ServedHistory(tracking)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def series(self, task: Task, keys: Sequence[str], since: dict[str, int] | None = None) -> dict[str, Series]:
        """The points of these metrics behind the steps in `since`; a key that is not in it gets all."""
        since = since or {}
        return {key: self._one(task, key, since.get(key)) for key in dict.fromkeys(keys)}

    def forget(self, task_id: str) -> None:
        """Drop what is known of a run."""
        with self._lock:
            for key in [key for key in self._known if key[0] == task_id]:
                del self._known[key]

    def _one(self, task: Task, key: str, since: int | None) -> Series:
        known = self._entry(task.id, key)
        with known.lock:
            if self._is_due(known, task):
                self._extend(known, task.id, key)
                known.asked_at = time.monotonic()
                known.complete_at = task.version if task.ended and not task.unsynced else -1
            begin = 0 if since is None else bisect.bisect_right(known.steps, since)
            return Series(
                known.steps[begin:], known.values[begin:], known.times[begin:], known.sampled, len(known.steps)
            )

    def _entry(self, run_id: str, key: str) -> _Known:
        with self._lock:
            known = self._known.setdefault((run_id, key), _Known())
            self._known.move_to_end((run_id, key))
            points = sum(len(k.steps) for k in self._known.values()) if len(self._known) % 50 == 0 else 0
            while len(self._known) > MOST_SERIES or (points > MOST_POINTS and len(self._known) > 1):
                _, dropped = self._known.popitem(last=False)
                points -= len(dropped.steps)
            return known

    @staticmethod
    def _is_due(known: _Known, task: Task) -> bool:
        age = time.monotonic() - known.asked_at if known.asked_at else float("inf")
        if task.ended and not task.unsynced:
            return known.complete_at != task.version or (not known.steps and age > SETTLED_SECONDS)
        return age > FRESH_SECONDS

    def _extend(self, known: _Known, run_id: str, key: str) -> None:
        begin = known.steps[-1] + 1 if known.steps else 0
        rows, sampled = self._history.exact_rows(run_id, key, begin, LAST_STEP)
        known.sampled = known.sampled or sampled
        for step, value, at in rows:
            if known.steps and step <= known.steps[-1]:
                continue  # the same step with another time: a system metric that was measured twice
            known.steps.append(step)
            known.values.append(value)
            known.times.append(at)


def run_link(task: Task) -> str:
    """Path of a task's charts in MLflow's own pages."""
    return run_page(task.experiment_id, task.id)


def run_page(experiment_id: str, run_id: str) -> str:
    """Path of a run's charts in MLflow's own pages, which open in their mode for training only with the last part."""
    return f"/mlflow/#/experiments/{experiment_id}/runs/{run_id}/model-metrics?workflowType=machine_learning"
