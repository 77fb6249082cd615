"""The trash of the platform in memory. A removal takes until it was looked at twice."""

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from minimind_platform.errors import ConflictError, NotFoundError, TrackingUnavailableError
from minimind_platform.tasks import Task
from minimind_platform.trash.views import Cost, Dependent, Need, Purge, TrashItem, TrashPage
from minimind_platform.views import Job, JobState

if TYPE_CHECKING:
    from fake_platform import FakePlatform

BYTES = 1_234_567
LOOKS = 2


class FakeTrash:
    """Answers as `Platform.trash` does; every task takes 1.2 MB."""

    def __init__(self, platform: "FakePlatform") -> None:
        self._platform = platform
        self.needed: dict[str, list[Dependent]] = {}
        self.job: Job | None = None
        self._looks = 0

    def page(self, limit: int = 50, offset: int = 0, *, wait: bool = False) -> TrashPage:
        self._go_on()
        sweeps = [sweep for sweep in self._platform.sweeps.all.values() if sweep.deleted_at is not None]
        items = [self._item(task) for task in self._platform.all.values() if task.deleted_at is not None]
        items += [TrashItem(s.id, s.name, "sweep", s.type, s.deleted_at or 0, BYTES, 12) for s in sweeps]
        items.sort(key=lambda item: -item.deleted_at)
        known = sum(item.bytes or 0 for item in items)
        left = sum(item.purging for item in items)
        tracking = self._platform.tracking
        return TrashPage(items[offset : offset + limit], len(items), known, 0, left, self.job, tracking)

    def cost(self, ids: list[str]) -> Cost:
        for one_id in ids:
            if one_id not in self._platform.all and one_id not in self._platform.sweeps.all:
                raise NotFoundError(f"There is no task or sweep {one_id!r}.")
        return Cost(BYTES * len(ids), len(ids), self._dependents(ids), self._platform.tracking)

    def purge(self, ids: list[str]) -> Purge:
        if not self._platform.tracking:
            raise TrackingUnavailableError(hint="Nothing was removed.")
        if any(one.blocks for one in self._dependents(ids)):
            raise ConflictError("Nothing was removed: something needs it.", "Stop it first.")
        return self._begin([self._platform.task(one_id) for one_id in ids], [])

    def empty(self, older_than_days: float = 0) -> Purge:
        before = time.time() - older_than_days * 86_400
        old = [task for task in self._platform.all.values() if task.deleted_at and task.deleted_at <= before]
        blocking = [one for task in old for one in self._dependents([task.id]) if one.blocks]
        return self._begin([task for task in old if task.id not in {one.on for one in blocking}], blocking)

    def go_on(self) -> Purge:
        return self._begin([], [])

    def need(self, task: Task, user: Task, need: Need = Need.WEIGHTS) -> None:
        """Let a task depend on another."""
        one = Dependent(user.id, user.name, "task", user.state, need, task.id, user.ended)
        self.needed.setdefault(task.id, []).append(one)

    def _dependents(self, ids: Any) -> list[Dependent]:
        return [one for one_id in ids for one in self.needed.get(one_id, [])]

    def _item(self, task: Task) -> TrashItem:
        gone, at = task.purging_at is not None, task.deleted_at or 0
        return TrashItem(task.id, task.name, "task", task.type, at, BYTES, 0, gone, self._dependents([task.id]))

    def _begin(self, tasks: list[Task], kept: list[Dependent]) -> Purge:
        for task in tasks:
            self._platform.all[task.id] = replace(task, purging_at=time.time())
        count = sum(task.purging_at is not None for task in self._platform.all.values())
        if count:
            self._looks = 0
            total = BYTES * count
            self.job = Job(uuid.uuid4().hex, "purge", str(count), JobState.RUNNING, time.time(), None, 0, total)
        return Purge(self.job if count else None, count, kept)

    def _go_on(self) -> None:
        if self.job is None or self.job.state is not JobState.RUNNING:
            return
        self._looks += 1
        if self._looks > LOOKS:
            gone = [task.id for task in self._platform.all.values() if task.purging_at is not None]
            for task_id in gone:
                del self._platform.all[task_id]
            result = {"removed": len(gone), "freed": BYTES * len(gone), "remains": []}
            self.job = replace(self.job, state=JobState.DONE, result=result)
