"""The trash: what was deleted, what removing it would free and break, and removing it.

    platform.trash.cost([task.id]).bytes
    purge = platform.trash.purge([task.id])
    platform.job(purge.job.id)

Deleting and bringing back are `Platform.delete` and `Platform.restore`. Removing runs in the background and goes on
without the one who asked for it.
"""

import json
import sys
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from minimind_platform.errors import ConflictError, NotFoundError, TrackingUnavailableError
from minimind_platform.jobs import Jobs
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.trash.references import References, named
from minimind_platform.trash.runs import versions_of
from minimind_platform.trash.sizes import Files, Sizes, freed, measure, places, weight_files
from minimind_platform.trash.store import Entry, TrashStore
from minimind_platform.trash.views import Cost, Dependent, Need, Purge, TrashItem, TrashPage
from minimind_platform.views import JobState

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.store import Store

KIND = "purge"
DAY = 86_400.0
ALL = 10**9
NAMED_IN_ERRORS = 5


class Trash:
    """Deleted tasks and sweeps."""

    def __init__(
        self, platform: "Platform", store: "Store", tracking: TrackingClient, jobs: Jobs, settings: Settings
    ) -> None:
        self._platform = platform
        self._rows = TrashStore(store.engine)
        self._references = References(self._rows)
        self._tracking = tracking
        self._jobs = jobs
        self._settings = settings
        self._sizes = Sizes(settings)

    # looking

    def page(self, limit: int = 50, offset: int = 0, *, wait: bool = False) -> TrashPage:
        """A part of the trash.

        Args:
            limit: at most so many items.
            offset: leave out so many.
            wait: measure everything before answering, instead of in the background.
        """
        deleted = self._rows.deleted()
        sizes = self._sizes.known(deleted)
        while wait and len(sizes) < len(deleted):
            time.sleep(0.01)
            sizes = self._sizes.known(deleted)
        entries, total = self._rows.entries(limit, offset)
        sweeps = [entry.id for entry in entries if entry.kind == "sweep"]
        trials = self._rows.trials(sweeps)
        tasks = {task.id: task for task in self._rows.tasks([entry.id for entry in entries if entry.kind == "task"])}
        types = {row.id: row.spec for row in self._rows.sweeps(sweeps)}
        dependents, told = self._dependents([*tasks.values(), *trials])
        running = self._jobs.all(KIND)
        return TrashPage(
            items=[_item(entry, tasks, trials, types, sizes, dependents) for entry in entries],
            total=total,
            bytes=freed(sizes.values()),
            measuring=len(deleted) - len(sizes),
            purging=self._rows.count_marked(),
            job=self._jobs.get(running[0].id) if running else None,
            tracking=told,
        )

    def cost(self, ids: Sequence[str]) -> Cost:
        """What removing these tasks and sweeps would free, and what depends on them. Deleted or not.

        Raises:
            NotFoundError: one of them is not there.
        """
        tasks, _ = self._chosen(ids)
        files = [measure(places(self._settings, task.id, task.experiment_id)) for task in tasks]
        found, told = self._dependents(tasks)
        return Cost(freed(files), len(tasks), found, told)

    def task_ids(self) -> list[str]:
        """All deleted tasks, trials of deleted sweeps too."""
        return [task_id for task_id, _, _ in self._rows.deleted()]

    def dependents(self, id: str) -> list[Dependent]:  # noqa: A002 - the name that callers use
        """What depends on a task or a sweep, those first that have not ended."""
        return self.cost([id]).dependents

    # removing

    def purge(self, ids: Sequence[str]) -> Purge:
        """Remove deleted tasks and sweeps for good, in the background: rows, runs, model versions and files.

        Raises:
            ConflictError: one of them is not deleted, or something that has not ended needs its weights.
            NotFoundError: one of them is not there.
            TrackingUnavailableError: the tracking server does not answer; nothing was begun.
        """
        tasks, sweeps = self._chosen(ids)
        for item in (*sweeps, *tasks):
            if item.deleted_at is None:
                raise _not_deleted(item, [sweep.id for sweep in sweeps])
        dependents, told = self._dependents(tasks)
        if not told:
            raise TrackingUnavailableError(hint="Nothing was removed.")
        if blocking := [one for one in dependents if one.blocks]:
            raise _blocked(blocking, {task.id: task.name for task in tasks})
        return self._begin(tasks, sweeps, [])

    def empty(self, older_than_days: float = 0.0) -> Purge:
        """Remove all that was deleted so long ago. What others need that have not ended is left out.

        Raises:
            TrackingUnavailableError: the tracking server does not answer; nothing was begun.
        """
        before = time.time() - older_than_days * DAY if older_than_days else None
        entries, _ = self._rows.entries(ALL, before=before)
        tasks, sweeps = self._chosen([entry.id for entry in entries])
        dependents, told = self._dependents(tasks)
        if not told:
            raise TrackingUnavailableError(hint="Nothing was removed.")
        blocking = [one for one in dependents if one.blocks]
        needed = {one.on for one in blocking}
        kept_sweeps = {task.sweep_id for task in tasks if task.id in needed and task.sweep_id}
        kept_sweeps |= {task.sweep_id for task in tasks if task.deleted_at is None}  # not all of its trials are over
        sweeps = [sweep for sweep in sweeps if sweep.id not in kept_sweeps]
        tasks = [task for task in tasks if task.id not in needed and task.sweep_id not in kept_sweeps]
        return self._begin(tasks, sweeps, blocking)

    def go_on(self) -> Purge:
        """Go on with a removal that was interrupted."""
        return self._begin([], [], [])

    def keep(self, days: int) -> Purge | None:
        """Remove what was deleted so many days ago, 0 for nothing, and go on with what was interrupted.

        Returns:
            None while a removal runs.

        Raises:
            TrackingUnavailableError: the tracking server does not answer; nothing was begun.
        """
        if any(job.state is JobState.RUNNING for job in self._jobs.all(KIND)):
            return None
        return self.empty(days) if days else self.go_on()

    def _begin(self, tasks: Sequence[Task], sweeps: Sequence[Any], kept: list[Dependent]) -> Purge:
        if tasks or sweeps:
            self._rows.mark([task.id for task in tasks], [sweep.id for sweep in sweeps])
        for task in tasks:
            self._platform.forget_run(task.id)
        count = self._rows.count_marked()
        if not count:
            return Purge(None, 0, kept)
        # One that runs may have looked for the last time already; one that waits for it has not.
        running = [job for job in self._jobs.all(KIND) if job.state is JobState.RUNNING]
        if len(running) > 1:
            return Purge(running[0], count, kept)
        home, port = str(self._settings.home), str(self._settings.tracking_port)
        command = [sys.executable, "-m", "minimind_platform.trash.purge", home, port]
        job = self._jobs.start(KIND, str(count), command, uuid.uuid4().hex, with_database=True)
        return Purge(job, count, kept)

    # what depends on what

    def _chosen(self, ids: Sequence[str]) -> tuple[list[Task], list[Any]]:
        """Tasks with these ids, with the trials of the sweeps among them, and these sweeps as rows."""
        tasks = self._rows.tasks(ids)
        sweeps = self._rows.sweeps(ids)
        known = {item.id for item in (*tasks, *sweeps)}
        if missing := [one for one in ids if one not in known]:
            raise NotFoundError(f"There is no task or sweep {missing[0]!r}.")
        trials = [task for task in self._rows.trials([sweep.id for sweep in sweeps]) if task.id not in known]
        return [*tasks, *trials], sweeps

    def _dependents(self, tasks: Collection[Task]) -> tuple[list[Dependent], bool]:
        """What depends on these tasks and is none of them, and whether the tracking server was asked."""
        ids = {task.id for task in tasks}
        try:
            versions, told = versions_of(self._tracking, ids), True
        except TrackingUnavailableError:
            versions, told = {}, False
        names: dict[str, str] = {}
        files = weight_files(self._settings.out_dir)
        for task in tasks:
            names |= {task.id: task.id}
            names |= {f"models:/{name}/{number}": task.id for name, number in versions.get(task.id, [])}
            names |= {str(path): task.id for path in files.get(task.id, [])}
        found = self._by_weights(names, ids) | self._by_sweeps(tasks, names)
        for clone in self._rows.clones(ids):
            if clone.id not in ids:
                found.setdefault((clone.id, clone.parent_id), _task(clone, Need.CLONE, clone.parent_id))
        return sorted(found.values(), key=lambda one: (not one.blocks, one.ended, one.need, one.name)), told

    def _by_weights(self, names: dict[str, str], ids: set[str]) -> dict[tuple[str, str], Dependent]:
        on = {
            (task_id, names[name])
            for name, task_ids in self._references.to(names).items()
            for task_id in task_ids
            if task_id not in ids
        }
        tasks = {task.id: task for task in self._rows.tasks({task_id for task_id, _ in on})}
        return {(a, b): _task(tasks[a], Need.WEIGHTS, b) for a, b in on if a in tasks and not tasks[a].purging_at}

    def _by_sweeps(self, tasks: Collection[Task], names: dict[str, str]) -> dict[tuple[str, str], Dependent]:
        """Sweeps whose settings name them, and those that they are trials of."""
        found = {}
        own = {(task.sweep_id, task.id) for task in tasks if task.sweep_id}
        for row in self._rows.sweeps():
            if row.deleted_at is not None:
                continue
            over = row.state in ("STOPPED", "FINISHED")
            for name in named(row.spec) & names.keys():
                key = (row.id, names[name])
                found[key] = Dependent(row.id, row.name, "sweep", row.state, Need.WEIGHTS, names[name], over)
            for sweep_id, task_id in own:
                if sweep_id == row.id:
                    one = Dependent(row.id, row.name, "sweep", row.state, Need.SWEEP, task_id, over)
                    found.setdefault((row.id, task_id), one)
        return found


def _task(task: Task, need: Need, on: str) -> Dependent:
    return Dependent(task.id, task.name, "task", task.state, need, on, task.ended)


def _item(
    entry: Entry,
    tasks: dict[str, Task],
    trials: Iterable[Task],
    specs: dict[str, str],
    sizes: dict[str, Files],
    dependents: list[Dependent],
) -> TrashItem:
    own = [entry.id] if entry.kind == "task" else [task.id for task in trials if task.sweep_id == entry.id]
    known = [sizes[task_id] for task_id in own if task_id in sizes]
    kind = tasks[entry.id].type if entry.id in tasks else json.loads(specs[entry.id])["type"]
    return TrashItem(
        id=entry.id,
        name=entry.name,
        kind=entry.kind,
        type=kind,
        deleted_at=entry.deleted_at,
        bytes=freed(known) if len(known) == len(own) else None,
        trials=len(own) if entry.kind == "sweep" else 0,
        purging=entry.purging_at is not None,
        dependents=[one for one in dependents if one.on in own],
    )


def _not_deleted(item: Any, sweep_ids: Sequence[str]) -> ConflictError:
    if isinstance(item, Task) and item.sweep_id in sweep_ids:
        return ConflictError("The trials of this sweep are still being stopped and deleted.", "Try again in a moment.")
    return ConflictError(f"{item.name!r} is not deleted; delete it first.")


def _blocked(blocking: list[Dependent], names: dict[str, str]) -> ConflictError:
    """Which need what, and the way out."""
    some = [f"{one.kind} {one.name!r} ({one.state.lower()}) needs {names[one.on]!r}" for one in blocking]
    more = f", and {len(some) - NAMED_IN_ERRORS} more" if len(some) > NAMED_IN_ERRORS else ""
    return ConflictError(
        f"Nothing was removed: {', '.join(some[:NAMED_IN_ERRORS])}{more}.", "Stop these or let them end first."
    )
