"""The queue: tasks, their states and history, and who holds which slot.

    store = Store("sqlite:////data/minimind/mlruns/app.db")
    task, created = store.add(NewTask(id=run_id, key="", type="sft", name="first", ...))
    task = store.move(task, State.STOPPED, "stopped by a person")

Many processes may use it at once. Every method is one transaction, and a move that comes too late changes nothing.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from minimind_platform.database import CLAIM_LOCK, open_engine, transaction
from minimind_platform.devices import join_slots
from minimind_platform.errors import ConflictError, NotFoundError
from minimind_platform.listing import TURN, WAITING, ListQuery, chunks, read_page
from minimind_platform.rows import NewTask, Retries, Waiting, effects, new_row, progress_columns, to_task
from minimind_platform.schema import TRIAL, UNMIRRORED, lease, task_event
from minimind_platform.schema import task as table
from minimind_platform.tasks import ACTIVE, ENDED, MOVES, Progress, State, Task, TaskEvent, TaskPage
from minimind_platform.watching import Watch

__all__ = ["FARTHEST_SECONDS", "ListQuery", "NewTask", "Retries", "Store", "Waiting"]

FARTHEST_SECONDS = 1_200.0
"""No pause is as long: a task that seems to have to wait longer was put there before the clock was set back."""
CHANGES = frozenset(
    {
        "error", "error_class", "hint", "started_at", "ended_at", "not_before", "restarts", "fruitless", "priority",
        "overrides",
    }
)  # fmt: skip


class Store:
    """The queue's database."""

    def __init__(self, url: str) -> None:
        """Open the database; create or migrate it if needed.

        Raises:
            PlatformError: it cannot be opened or is newer than this program.
        """
        self.engine = open_engine(url)
        self._is_postgresql = self.engine.dialect.name == "postgresql"
        self._watch = Watch(self.engine)
        self._seen = 0

    def close(self) -> None:
        self._watch.close()
        self.engine.dispose()

    # tasks

    def add(self, new: NewTask) -> tuple[Task, bool]:
        """Queue a task. With a key that was used before, give back that task and False."""
        try:
            with self._write() as connection:
                parent = connection.scalar(select(table.c.config).where(table.c.id == new.parent_id))
                connection.execute(insert(table).values(new_row(new, json.loads(parent) if parent else None)))
                _record(connection, new.id, 0, "", State.QUEUED, "submitted")
                return _one(connection, new.id), True
        except IntegrityError:
            existing = self.by_key(new.key)
            if existing is None:
                raise ConflictError(f"There is a task {new.id} already.") from None
            return existing, False

    def get(self, task_id: str) -> Task | None:
        with self._read() as connection:
            row = connection.execute(select(table).where(table.c.id == task_id)).first()
        return to_task(row) if row else None

    def trials(self, sweep_id: str) -> list[Task]:
        """The tasks of a sweep, by the number of the trial; deleted ones too."""
        query = select(table).where(text(TRIAL) & (table.c.sweep_id == sweep_id)).order_by(table.c.trial)
        with self._read() as connection:
            return [to_task(row) for row in connection.execute(query)]

    def find(self, prefix: str) -> list[str]:
        """Ids that begin with `prefix`, at most 10."""
        query = select(table.c.id).where(table.c.id.startswith(prefix, autoescape=True)).order_by(table.c.id).limit(10)
        with self._read() as connection:
            return list(connection.scalars(query))

    def by_key(self, key: str) -> Task | None:
        if not key:
            return None
        with self._read() as connection:
            row = connection.execute(select(table).where(table.c.key == key)).first()
        return to_task(row) if row else None

    def page(self, query: ListQuery | None = None) -> TaskPage:
        """A page of tasks; of those that are neither deleted nor archived, newest first, unless the query says else.

        Raises:
            PlatformError: they cannot be sorted by that.
        """
        with self._read() as connection:
            return read_page(connection, query or ListQuery())

    def events(self, task_id: str) -> list[TaskEvent]:
        """History of a task, oldest first."""
        c = task_event.c
        columns = (c.at, c.attempt, c.before, c.after, c.reason, c.error_class, c.overrides)
        query = select(*columns).where(c.task_id == task_id).order_by(c.number)
        with self._read() as connection:
            return [TaskEvent(*row[:-1], json.loads(row.overrides or "{}")) for row in connection.execute(query)]

    def move(self, task: Task, to: State, reason: str, **changes: Any) -> Task:
        """Move a task on, if it is still as the caller saw it. Ending or queueing it gives its slot back.

        Args:
            task: as the caller saw it last.
            to: the new state.
            reason: one line for the history.
            changes: columns to set as well, of `CHANGES`.

        Raises:
            ConflictError: there is no such move, or the task has moved meanwhile.
        """
        if to not in MOVES[task.state]:
            raise ConflictError(f"Task {task.name!r} is {task.state}; it cannot become {to}.")
        if unknown := changes.keys() - CHANGES:
            raise TypeError(f"A move cannot change {', '.join(sorted(unknown))}; only {', '.join(sorted(CHANGES))}.")
        seen = (table.c.id == task.id) & (table.c.state == task.state.value) & (table.c.version == task.version)
        if "overrides" in changes:
            changes["overrides"] = json.dumps(changes["overrides"])
        values = effects(task.state, to) | changes | {"state": to.value, "version": task.version + 1}
        with self._write() as connection:
            if connection.execute(update(table).where(seen).values(values)).rowcount == 0:
                now = _one(connection, task.id)
                raise ConflictError(f"Task {task.name!r} has moved on meanwhile: it is {now.state} now.")
            if to in ENDED or to is State.QUEUED:
                connection.execute(delete(lease).where(lease.c.task_id == task.id))
            told = {name: changes[name] for name in ("error_class", "overrides") if name in changes}
            _record(connection, task.id, task.attempt, task.state, to, reason, **told)
            return _one(connection, task.id)

    def note(self, task: Task, text: str) -> Task:
        """Write down in a task's history what is no move, if it is still as the caller saw it.

        Raises:
            ConflictError: the task has moved meanwhile.
        """
        seen = (table.c.id == task.id) & (table.c.state == task.state.value) & (table.c.version == task.version)
        with self._write() as connection:
            values = {"version": task.version + 1}
            if connection.execute(update(table).where(seen).values(values)).rowcount == 0:
                raise ConflictError(f"Task {task.name!r} has moved on meanwhile.")
            _record(connection, task.id, task.attempt, task.state, task.state, text)
            return _one(connection, task.id)

    def set_trial_state(self, task: Task, trial_state: str) -> None:
        """Say how a task ended as a trial, and have MLflow told about it."""
        values = {"trial_state": trial_state, "mirrored_version": table.c.version - 1}
        with self._write() as connection:
            connection.execute(update(table).where(table.c.id == task.id).values(values))

    def set_deleted(self, task: Task, deleted_at: float | None) -> Task:
        """Hide an ended task from the lists, or show it again, if it is still as the caller saw it.

        Raises:
            ConflictError: the task has not ended, or has moved meanwhile, or is being removed for good.
        """
        return self._set_mark(task, "deleted_at", deleted_at)

    def set_archived(self, task: Task, archived_at: float | None) -> Task:
        """Put an ended task away from the usual lists, or back into them, if it is still as the caller saw it.

        Raises:
            ConflictError: the task has not ended, or has moved meanwhile.
        """
        return self._set_mark(task, "archived_at", archived_at)

    def _set_mark(self, task: Task, column: str, at: float | None) -> Task:
        c = table.c
        seen = (c.id == task.id) & (c.version == task.version) & c.purging_at.is_(None)
        if at is not None:
            seen &= c.state.in_([state.value for state in ENDED])
        synced = case((c.mirrored_version == c.version, c.version + 1), else_=c.mirrored_version)  # no move to mirror
        values = {column: at, "version": task.version + 1, "mirrored_version": synced}
        with self._write() as connection:
            if connection.execute(update(table).where(seen).values(values)).rowcount == 0:
                now = _one(connection, task.id)
                if now.purging_at:
                    raise ConflictError(f"Task {task.name!r} is being removed for good.")
                raise ConflictError(f"Task {task.name!r} has moved on meanwhile: it is {now.state} now.")
            return _one(connection, task.id)

    # scheduler

    def claim(self, slots_by_kind: Mapping[str, Sequence[str]], now: float) -> Task | None:
        """Give the task whose turn it is the free slots that it needs, all at once, and make it STARTING.

        What a task whose turn it is waits for is kept free for it, so that smaller ones behind it cannot starve it.

        Args:
            slots_by_kind: all slots of this machine, such as `{"cpu": ["cpu:0"], "cuda": ["cuda:0", "cuda:1"]}`.
            now: seconds since 1970.
        """
        in_time = (table.c.not_before <= now) | (table.c.not_before > now + FARTHEST_SECONDS)
        due = WAITING & in_time
        with self._read() as connection:  # nothing to do is the usual answer; it costs no lock
            if not _next(connection, due, slots_by_kind):
                return None
        with self._write() as connection:
            if self._is_postgresql:  # one claim at a time, as on SQLite: each sees what the one before it has taken
                connection.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK)))
            found = _next(connection, due, slots_by_kind, lock=True)
            return _start(connection, *found, now) if found else None

    def changed(self) -> bool:
        """Whether somebody has written since the last call; may say so in vain. Costs microseconds.

        For one thread only.
        """
        before, self._seen = self._seen, self._watch.count()
        return self._seen != before

    def changes(self) -> int:
        """Grows when somebody has written; the same number means that every list is what it was."""
        return self._watch.count()

    def active(self) -> list[Task]:
        """Tasks that hold a slot or are about to give it back, in the order of their start."""
        query = select(table).where(table.c.state.in_([s.value for s in ACTIVE])).order_by(table.c.started_at)
        with self._read() as connection:
            return [to_task(row) for row in connection.execute(query)]

    def waiting(self) -> list[Waiting]:
        """Queued tasks in the order of their turn."""
        c = table.c
        query = select(c.id, c.name, c.wants, c.processes, c.not_before, c.waits_for)
        with self._read() as connection:
            return [Waiting(*row) for row in connection.execute(query.where(WAITING).order_by(*TURN))]

    def retries(self, task_id: str) -> Retries:
        query = select(table.c.restarts, table.c.fruitless, table.c.attempt_step).where(table.c.id == task_id)
        with self._read() as connection:
            return Retries(*connection.execute(query).one())

    def set_progress(self, task_id: str, progress: Progress) -> None:
        with self._write() as connection:
            connection.execute(update(table).where(table.c.id == task_id).values(progress_columns(progress)))

    def set_waits(self, waits: Mapping[str, str]) -> None:
        """Say for each of these queued tasks what it waits for."""
        if not waits:
            return
        with self._write() as connection:
            for part in chunks(list(waits), 200):
                sentences = case({one: waits[one] for one in part}, value=table.c.id)
                still = table.c.id.in_(part) & (table.c.state == State.QUEUED.value)
                connection.execute(update(table).where(still).values(waits_for=sentences))

    def release(self, task_id: str) -> None:
        """Give back the slot of a task of which no process is left."""
        with self._write() as connection:
            connection.execute(delete(lease).where(lease.c.task_id == task_id))

    def leases(self) -> dict[str, str]:
        """Id of the task that holds each taken slot."""
        with self._read() as connection:
            return {row.slot: row.task_id for row in connection.execute(select(lease))}

    def unmirrored(self) -> list[Task]:
        """Tasks that have moved since MLflow was told. A deleted one has no run to tell until it is restored."""
        query = select(table).where(text(UNMIRRORED) & table.c.deleted_at.is_(None)).order_by(table.c.created_at)
        with self._read() as connection:
            return [to_task(row) for row in connection.execute(query)]

    def set_mirrored(self, task: Task) -> None:
        """MLflow knows the task as it is here; later moves are not known yet."""
        older = (table.c.id == task.id) & (table.c.mirrored_version < task.version)
        older &= table.c.trial_state == task.trial_state  # else its sweep has said how it ended meanwhile
        with self._write() as connection:
            connection.execute(update(table).where(older).values(mirrored_version=task.version))

    def _read(self) -> AbstractContextManager[Connection]:
        return transaction(self.engine)

    def _write(self) -> AbstractContextManager[Connection]:
        return transaction(self.engine, write=True)


def _record(
    connection: Connection, task_id: str, attempt: int, before: str, after: State, reason: str, **told: str
) -> None:
    values = {"task_id": task_id, "at": time.time(), "attempt": attempt, "before": str(before), "after": after.value}
    connection.execute(insert(task_event).values(values | {"reason": reason} | told))


def _one(connection: Connection, task_id: str) -> Task:
    row = connection.execute(select(table).where(table.c.id == task_id)).first()
    if row is None:
        raise NotFoundError(f"There is no task {task_id}.")
    return to_task(row)


def _start(connection: Connection, row: Row[Any], slots: Sequence[str], now: float) -> Task:
    device = join_slots(slots)
    values = {"state": State.STARTING.value, "version": row.version + 1, "attempt": row.attempt + 1, "device": device}
    values |= {"started_at": now, "waits_for": "", "attempt_step": json.loads(row.progress).get("step", 0)}
    connection.execute(update(table).where(table.c.id == row.id).values(values))
    leases = [{"slot": slot, "task_id": row.id, "attempt": row.attempt + 1, "taken_at": now} for slot in slots]
    connection.execute(insert(lease), leases)
    _record(connection, row.id, row.attempt + 1, State.QUEUED, State.STARTING, f"its turn, on {device}")
    return _one(connection, row.id)


def slots_for(wants: str, slots_by_kind: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Slots that a task with this device setting may use; none if the machine has no such device."""
    gpus = slots_by_kind.get("cuda", ())
    if wants == "auto":
        return gpus or slots_by_kind.get("cpu", ())
    return slots_by_kind.get(wants, ()) or [slot for slot in gpus if slot == wants]


def slots_needed(processes: int, usable: Sequence[str]) -> int:
    """Slots that a task holds: a GPU for each process; on the CPU one, whatever its processes."""
    return processes if usable and usable[0].startswith("cuda") else 1


def _next(
    connection: Connection, due: ColumnElement[bool], slots: Mapping[str, Sequence[str]], *, lock: bool = False
) -> tuple[Row[Any], list[str]] | None:
    """The due task that can start now, and its slots. Of those with the same needs only the first can be it.

    With `lock` it is ours until the transaction ends, and one that somebody moves at this moment is passed over.
    """
    taken = set(connection.scalars(select(lease.c.slot)))
    needs = connection.execute(select(table.c.wants, table.c.processes).where(due).distinct())
    for wants, processes in _by_turn(connection, due, [(row.wants, row.processes) for row in needs]):
        usable = slots_for(wants, slots)
        count = slots_needed(processes, usable)
        if count > len(usable):
            continue  # this machine has too few; it must not keep others waiting
        free = [slot for slot in usable if slot not in taken][:count]
        if len(free) == count:
            same = due & (table.c.wants == wants) & (table.c.processes == processes)
            first = select(table.c.id).where(same).order_by(*TURN).limit(1)  # by the index; only its row is read
            if lock:
                first = first.with_for_update(skip_locked=True)
            if task_id := connection.scalar(first):
                return connection.execute(select(table).where(table.c.id == task_id)).one(), free
        taken |= set(free)
    return None


def _by_turn(connection: Connection, due: ColumnElement[bool], needs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """What tasks need, in the order of the first task that needs it."""
    if len(needs) < 2:
        return needs
    heads = []
    for wants, processes in needs:
        same = due & (table.c.wants == wants) & (table.c.processes == processes)
        first = connection.execute(select(*TURN).where(same).order_by(*TURN).limit(1)).first()
        if first is not None:
            heads.append((tuple(first), (wants, processes)))
    return [need for _, need in sorted(heads)]
