# ruff: noqa: A002 - the parameters have the names of the platform's own
"""The queue of the platform in memory: the order of what waits."""

from dataclasses import replace
from typing import Any

from minimind_platform.errors import ConflictError
from minimind_platform.tasks import State, Task


class FakeQueue:
    """Answers as `Platform.queue` does. Priorities are kept; places are a list."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._order: list[str] = []
        self._looks = 0

    def order(self) -> list[str]:
        queued = [t for t in self._platform.all.values() if t.state == State.QUEUED and t.deleted_at is None]
        queued.sort(key=lambda t: t.created_at)
        known = [known for known in self._order if any(t.id == known for t in queued)]
        self._order = known + [t.id for t in queued if t.id not in known]
        return list(self._order)

    def looks(self) -> int:
        """Each look counts as a change."""
        self._looks += 1
        return self._looks

    def place_of(self, id: str) -> int:
        task = self._platform.task(id)
        return self.order().index(task.id) + 1 if task.state == State.QUEUED else 0

    def length(self) -> int:
        return len(self.order())

    def set_priority(self, id: str, priority: int) -> Task:
        task = self._waiting(id)
        self._platform.all[task.id] = replace(task, priority=priority)
        return self._platform.all[task.id]

    def place(self, id: str, place: str) -> Task:
        task, order = self._waiting(id), self.order()
        now = order.index(task.id)
        order.remove(task.id)
        to = {"first": 0, "up": max(0, now - 1), "down": now + 1, "last": len(order)}[place]
        order.insert(to, task.id)
        self._order = order
        return task

    def put_before(self, id: str, other: str) -> Task:
        task, order = self._waiting(id), self.order()
        order.remove(task.id)
        order.insert(order.index(self._waiting(other).id), task.id)
        self._order = order
        return task

    def _waiting(self, id: str) -> Task:
        task = self._platform.task(id)
        if task.state != State.QUEUED:
            raise ConflictError(f"{task.name} is {task.state.lower()}; only a queued one has a place in the queue.")
        return task
