"""The trash in the queue's database: what was deleted, what is being removed for good, and the removal of its rows.

rows = TrashStore(store.engine)
rows.mark([task.id], [])        # from here on nothing brings it back
rows.remove_task(task.id)       # last, when nothing else is left of it
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, TextClause, delete, func, literal, or_, select, text, union_all, update

from minimind_platform.database import transaction
from minimind_platform.errors import ConflictError
from minimind_platform.listing import DELETED, chunks
from minimind_platform.rows import to_task
from minimind_platform.schema import TRIAL, lease, sweep, task, task_event
from minimind_platform.tasks import Task

MARKED = DELETED & task.c.purging_at.is_not(None)
"""Tasks that are being removed. By an index, because there are never many."""
CHUNK = 500
"""Ids in one statement."""


@dataclass(frozen=True)
class Entry:
    """A line of the trash."""

    id: str
    name: str
    kind: str
    """task or sweep."""
    deleted_at: float
    purging_at: float | None


class TrashStore:
    """Deleted tasks and sweeps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def entries(self, limit: int, offset: int = 0, before: float | None = None) -> tuple[list[Entry], int]:
        """Deleted tasks and sweeps, last deleted first, and how many there are. Trials go with their sweep.

        Args:
            limit: at most so many.
            offset: leave out so many.
            before: only what was deleted before.
        """
        tasks, sweeps = _alone(), sweep.c.deleted_at.is_not(None)
        if before is not None:
            tasks, sweeps = tasks & (task.c.deleted_at < before), sweeps & (sweep.c.deleted_at < before)
        both = union_all(
            select(task.c.id, task.c.name, literal("task").label("kind"), task.c.deleted_at, task.c.purging_at).where(
                tasks
            ),
            select(
                sweep.c.id, sweep.c.name, literal("sweep").label("kind"), sweep.c.deleted_at, sweep.c.purging_at
            ).where(sweeps),
        ).subquery()
        page = select(both).order_by(both.c.deleted_at.desc(), both.c.id).limit(limit).offset(offset)
        with transaction(self._engine) as connection:
            total = connection.scalar(select(func.count()).select_from(both)) or 0
            return [Entry(*row) for row in connection.execute(page)], total

    def deleted(self) -> list[tuple[str, str, float]]:
        """Id, experiment and time of deletion of all deleted tasks, trials too; last deleted first."""
        query = select(task.c.id, task.c.experiment_id, task.c.deleted_at).where(DELETED)
        with transaction(self._engine) as connection:
            return [tuple(row) for row in connection.execute(query.order_by(task.c.deleted_at.desc()))]

    def tasks(self, ids: Collection[str]) -> list[Task]:
        """Those of these tasks that there are."""
        return self._tasks(task.c.id, ids)

    def trials(self, sweep_ids: Collection[str]) -> list[Task]:
        """The tasks of these sweeps."""
        return self._tasks(task.c.sweep_id, sweep_ids, text(TRIAL))

    def clones(self, ids: Collection[str]) -> list[Task]:
        """Tasks that repeat or change these."""
        return self._tasks(task.c.parent_id, ids)

    def configs(self, since: float) -> Iterator[tuple[str, float, str]]:
        """Id, time of submission and settings of tasks, from a time on."""
        query = select(task.c.id, task.c.created_at, task.c.config).where(task.c.created_at >= since)
        with transaction(self._engine) as connection:
            for row in connection.execute(query.order_by(task.c.created_at)):
                yield row.id, row.created_at, row.config

    def sweeps(self, ids: Collection[str] | None = None) -> list[Any]:
        """Sweeps as rows: id, name, state, spec, experiment_id, deleted_at, purging_at. All if no ids are given."""
        c = sweep.c
        query = select(c.id, c.name, c.state, c.spec, c.experiment_id, c.deleted_at, c.purging_at)
        with transaction(self._engine) as connection:
            if ids is None:
                return list(connection.execute(query))
            parts = chunks(sorted(set(ids)), CHUNK)
            return [row for part in parts for row in connection.execute(query.where(c.id.in_(part)))]

    # removing

    def mark(self, tasks: Collection[str], sweeps: Collection[str]) -> None:
        """Say that these are being removed for good, all or none.

        Raises:
            ConflictError: one of them is not deleted, any more or yet.
        """
        now = time.time()
        with transaction(self._engine, write=True) as connection:
            for table, ids in ((task, tasks), (sweep, sweeps)):
                for part in chunks(sorted(set(ids)), CHUNK):
                    wanted = table.c.id.in_(part) & table.c.deleted_at.is_not(None)
                    same = func.coalesce(table.c.purging_at, now)
                    done = connection.execute(update(table).where(wanted).values(purging_at=same))
                    if done.rowcount != len(part):
                        raise ConflictError(
                            "Something of it has just been restored or removed; look at the trash again."
                        )

    def marked(self) -> tuple[list[Task], list[Any]]:
        """Tasks and sweeps that are being removed."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(task).where(MARKED).order_by(task.c.purging_at))
            tasks = [to_task(row) for row in rows]
        return tasks, [row for row in self.sweeps() if row.purging_at is not None]

    def count_marked(self) -> int:
        """How many tasks and sweeps are being removed."""
        with transaction(self._engine) as connection:
            queries = (select(func.count()).where(marked) for marked in (MARKED, sweep.c.purging_at.is_not(None)))
            return sum(connection.scalar(query) or 0 for query in queries)

    def remove_task(self, task_id: str) -> None:
        """Remove the rows of a task that is being removed: itself, its history, its slots."""
        with transaction(self._engine, write=True) as connection:
            connection.execute(delete(task).where((task.c.id == task_id) & task.c.purging_at.is_not(None)))
            connection.execute(delete(lease).where(lease.c.task_id == task_id))
            connection.execute(delete(task_event).where(task_event.c.task_id == task_id))

    def remove_sweep(self, sweep_id: str) -> None:
        """Remove the row of a sweep that is being removed."""
        with transaction(self._engine, write=True) as connection:
            connection.execute(delete(sweep).where((sweep.c.id == sweep_id) & sweep.c.purging_at.is_not(None)))

    def _tasks(self, column: ColumnElement[Any], values: Collection[str], *also: TextClause) -> list[Task]:
        with transaction(self._engine) as connection:
            parts = chunks(sorted(set(values)), CHUNK)
            rows = (row for part in parts for row in connection.execute(select(task).where(column.in_(part), *also)))
            return [to_task(row) for row in rows]


def _alone() -> ColumnElement[bool]:
    """Deleted tasks that no deleted sweep stands for."""
    gone = select(sweep.c.id).where(sweep.c.deleted_at.is_not(None))
    return DELETED & or_(task.c.sweep_id == "", task.c.sweep_id.not_in(gone))
