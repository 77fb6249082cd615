"""Whose turn it is next: the priority of queued tasks and their place in the queue.

    platform.queue.set_priority(task.id, 5)       # higher goes first; ten minutes of waiting are worth one point
    platform.queue.place(task.id, "first")        # or "up", "down", "last"
    platform.queue.put_before(task.id, other.id)

A place is kept as the time from which the waiting counts, so that the priority stays what a person said.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, case, func, insert, select, update

from minimind_platform.database import transaction
from minimind_platform.errors import ConflictError, NotFoundError, SettingsError
from minimind_platform.listing import AGEING_SECONDS, TURN, TURN_AT, WAITING, turns
from minimind_platform.rows import to_task
from minimind_platform.schema import task as table
from minimind_platform.schema import task_event
from minimind_platform.submits import label_problems
from minimind_platform.tasks import State, Task

if TYPE_CHECKING:
    from minimind_platform.store import Store

Place = Literal["first", "up", "down", "last"]
GAP_SECONDS = 1.0
"""Between a task at an end of the queue and the one beside it."""
Turn = tuple[str, float]
"""Id of a queued task and what the queue is ordered by, in seconds."""


class TaskQueue:
    """The order of what waits. Each change is one transaction with a line in the task's history."""

    def __init__(self, store: "Store", find: Callable[[str], Task]) -> None:
        """Make it.

        Args:
            store: the queue.
            find: gives the task of an id or of the begin of one.
        """
        self._store = store
        self._find = find

    def place_of(self, id: str) -> int:  # noqa: A002
        """From 1 on; 0 for a task that does not wait."""
        task = self._find(id)
        with transaction(self._store.engine) as connection:
            return turns(connection, [task.id]).get(task.id, 0)

    def length(self) -> int:
        """How many tasks wait."""
        with transaction(self._store.engine) as connection:
            return connection.scalar(select(func.count()).select_from(table).where(WAITING)) or 0

    def set_priority(self, id: str, priority: int) -> Task:  # noqa: A002
        """Let a queued task go before others, or after them.

        Raises:
            SettingsError: the number is out of range.
            ConflictError: the task does not wait any more.
        """
        if problems := label_problems("", priority, ""):
            raise SettingsError(problems)
        task = self._find(id)
        with transaction(self._store.engine, write=True) as connection:
            if task.priority != priority:
                reason = f"priority {task.priority} to {priority}, by a person"
                _change(connection, task, {"priority": priority}, reason)
            return self._now(connection, task)

    def place(self, id: str, place: Place) -> Task:  # noqa: A002
        """Move a queued task to an end of the queue or by one place.

        Raises:
            ConflictError: the task does not wait any more.
        """
        task = self._find(id)
        return self._put(task, lambda now, last: {"first": 0, "up": max(0, now - 1), "down": now + 1}.get(place, last))

    def put_before(self, id: str, other: str) -> Task:  # noqa: A002
        """Move a queued task to just before another one.

        Raises:
            ConflictError: one of them does not wait any more.
        """
        task, behind = self._find(id), self._find(other)
        if task.id == behind.id:
            return task
        with transaction(self._store.engine) as connection:
            order = [task_id for task_id, _ in _queue(connection) if task_id != task.id]
        if behind.id not in order:
            raise _not_waiting(behind)
        return self._put(task, lambda _now, _last: order.index(behind.id))

    def _put(self, task: Task, to: Callable[[int, int], int]) -> Task:
        with transaction(self._store.engine, write=True) as connection:
            queue = _queue(connection)
            now = next((at for at, (task_id, _) in enumerate(queue) if task_id == task.id), -1)
            if now < 0:
                raise _not_waiting(self._now(connection, task))
            others = queue[:now] + queue[now + 1 :]
            place = min(to(now, len(others)), len(others))
            if place != now:
                turn = _room(connection, others, place)
                priority = connection.scalar(select(table.c.priority).where(table.c.id == task.id)) or 0
                values = {"queued_at": turn + priority * AGEING_SECONDS}
                _change(connection, task, values, f"moved to place {place + 1} of the queue by a person")
            return self._now(connection, task)

    @staticmethod
    def _now(connection: Connection, task: Task) -> Task:
        row = connection.execute(select(table).where(table.c.id == task.id)).first()
        if row is None:
            raise NotFoundError(f"There is no task {task.id}.")
        return to_task(row)


def _queue(connection: Connection) -> list[Turn]:
    query = select(table.c.id, TURN_AT).where(WAITING).order_by(*TURN)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _room(connection: Connection, others: Sequence[Turn], place: int) -> float:
    """A turn that comes at this place; tasks that are too close together move apart."""
    if place == 0:
        return others[0][1] - GAP_SECONDS
    before = others[place - 1][1]
    if place == len(others):
        return before + GAP_SECONDS
    middle = (before + others[place][1]) / 2
    if before < middle < others[place][1]:
        return middle
    behind = [task_id for task_id, _ in others[place:]]
    later = table.c.queued_at + GAP_SECONDS
    for begin in range(0, len(behind), 500):
        part = table.c.id.in_(behind[begin : begin + 500])
        connection.execute(update(table).where(part).values(queued_at=later))
    return before + GAP_SECONDS / 2


def _change(connection: Connection, task: Task, values: dict[str, Any], reason: str) -> None:
    """Change what a queued task is ordered by: no move between states, so there is nothing new for MLflow."""
    c = table.c
    synced = case((c.mirrored_version == c.version, c.version + 1), else_=c.mirrored_version)
    waits = (c.id == task.id) & (c.state == State.QUEUED.value)
    changed = update(table).where(waits).values(values | {"version": c.version + 1, "mirrored_version": synced})
    if connection.execute(changed).rowcount == 0:
        raise _not_waiting(task)
    queued = State.QUEUED.value
    line = {"task_id": task.id, "at": time.time(), "attempt": task.attempt, "before": queued, "after": queued}
    connection.execute(insert(task_event).values(line | {"reason": reason}))


def _not_waiting(task: Task) -> ConflictError:
    if task.state is State.QUEUED:
        return ConflictError(f"Task {task.name!r} does not wait in the queue any more.")
    return ConflictError(f"Task {task.name!r} is {task.state.lower()}; only a queued one has a place in the queue.")
