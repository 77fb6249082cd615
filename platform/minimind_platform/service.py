"""The platform as web pages, the command line and Python see it: one class, and nothing beside it is needed.

    platform = Platform()
    task = platform.submit("pretrain", {"data_path": "dataset/samples/pretrain.jsonl", "max_steps": 100})
    platform.stop(task.id)

Safe to use from many threads.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from minimind_platform import runs
from minimind_platform.catalogue import Catalogue
from minimind_platform.checks import Checks
from minimind_platform.comparisons import Comparisons
from minimind_platform.curves.service import Curves
from minimind_platform.errors import ConflictError, NotFoundError, PlatformError, Problem, SettingsError
from minimind_platform.follow import Following
from minimind_platform.home import as_running
from minimind_platform.moves import resumed, stopped
from minimind_platform.preflight import estimate
from minimind_platform.samples import SampleQuery, read_samples
from minimind_platform.settings import Settings
from minimind_platform.submits import Submits, TrialPlace, label_problems
from minimind_platform.sweeps.searching import Searching
from minimind_platform.sweeps.service import Sweeps
from minimind_platform.sweeps.views import Sweep
from minimind_platform.task_logs import Logs
from minimind_platform.tasks import ACTIVE, State, Task, TaskEvent, TaskPage
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.views import Check, LogChunk, ModelVersion, SamplePage, Series
from trainer.advice import advice
from trainer.checkpoints import free_bytes
from trainer.configs import TrainConfig
from trainer.names import TaskFile

SHORTEST_ID = 4
HEARTBEAT_SECONDS = 15
"""A scheduler that has not beaten for so long is away or hangs."""
MEASURED_TASKS = 30
"""Newest tasks that are looked through for a speed to expect."""


class Platform(Catalogue, Following, Searching):
    """Everything that a person can do. Times are seconds since 1970; errors are those of `errors.py`."""

    def __init__(self, settings: Settings | None = None) -> None:
        from minimind_platform.machine.service import MachineWatch
        from minimind_platform.sending import Sending
        from minimind_platform.store import Store  # here, because databases take a while to import
        from minimind_platform.task_queue import TaskQueue
        from minimind_platform.trash.service import Trash

        self.settings = settings or as_running(Settings.load())
        self._store = Store(self.settings.database)
        self._tracking = TrackingClient(self.settings.tracking)
        super().__init__(self.settings, self._tracking)
        self._runs = runs.Runs(self._tracking)
        self._checks = Checks(self._paths, self._weights, self._data, self.settings.out_dir)
        self._submits = Submits(self.settings, self._store, self._tracking)
        self.queue = TaskQueue(self._store, self.task)
        """Priorities, and the order of what waits."""
        self.sweeps = Sweeps(self, self._store, self._submits, self._tracking)
        """Everything about sweeps."""
        self.logs = Logs(self.task, lambda task: self.settings.task_dir(task.id) / TaskFile.LOG)
        """Logs by pieces, words, levels and times."""
        self.curves = Curves(self.settings, self._tracking, self._store.get, self._store.events)
        """Curves and marks for screens, of any run."""
        self.trash = Trash(self, self._store, self._tracking, self._jobs, self.settings)
        """What was deleted, and removing it for good."""
        self.sending = Sending(self.settings, self._store)
        """What MLflow does not have yet."""
        self.comparisons = Comparisons(self._store, self._tracking, self.curves)
        """Runs side by side."""
        self.machine = MachineWatch(self, self._store, self.settings)
        """Devices, disk, slots and processes of this machine."""

    # tasks

    def check(self, type: str, values: dict[str, Any]) -> Check:  # noqa: A002
        """What is wrong with settings, what they would take, and what is known of them. Bad values never raise."""
        checked = self._checks.run(type, values)
        if away := checked.unavailable:
            message = f"{away.message} {away.hint}".strip()
            checked.problems.append(Problem(checked.unavailable_field, "tracking_unavailable", message))
        try:
            plan = self._checks.plan(checked)
            preflight = replace(estimate(plan, self._measured(type)), free_disk_bytes=self._free()) if plan else None
        except (OSError, ValueError, PlatformError):
            preflight = None  # the file went away or cannot be tokenised; the training would tell
        steps, rows = (preflight.steps, preflight.rows) if preflight else (0, 0)
        wrong = {problem.field for problem in checked.problems}
        told = advice(checked.config, steps, rows) if checked.config else []
        return Check(checked.problems, preflight, [item for item in told if item.field not in wrong])

    def submit(
        self,
        type: str,  # noqa: A002
        values: dict[str, Any],
        *,
        name: str = "",
        priority: int = 0,
        key: str = "",
        parent_id: str = "",
    ) -> Task:
        """Queue a training.

        Args:
            type: a key of `training_types()`.
            values: settings by name; what is left out takes its default.
            name: shown in lists; empty for one made of type and size.
            priority: higher goes first.
            key: chosen by the caller; the same key gives the same task, however often it is sent.
            parent_id: the task that this one repeats or changes.

        Raises:
            SettingsError: with all problems.
            TrackingUnavailableError: the tracking server does not answer; nothing was made.
        """
        if task := self._submits.known(key):
            return task
        config = self.ready(type, values, label_problems(name, priority, key))
        return self._submits.make(config, name=name.strip(), priority=priority, key=key, parent_id=parent_id)

    def ready(self, type: str, values: dict[str, Any], problems: Sequence[Problem] = ()) -> TrainConfig:  # noqa: A002
        """Complete settings that can be trained now, with the weights that they start from kept until they are.

        Raises:
            SettingsError: with all problems, these given ones too.
            TrackingUnavailableError: they start from a registered model, and the tracking server does not answer.
        """
        checked = self._checks.run(type, values)
        problems = [*checked.problems, *problems]
        if problems or checked.config is None:
            raise SettingsError(problems)
        if checked.unavailable:
            raise checked.unavailable
        self._checks.keep(checked)
        return checked.config

    def submit_trial(self, sweep: Sweep, number: int, settings: dict[str, Any]) -> Task:
        """Queue a trial of a sweep, once however often it is asked for; errors as in `submit`.

        Args:
            sweep: that it belongs to.
            number: of the trial.
            settings: those that the sweep has chosen, beside those that are the same in all of its trials.
        """
        key = f"sweep:{sweep.id}:{number}"
        if task := self._submits.known(key):
            return task
        config = self.ready(sweep.type, sweep.spec.values | settings)
        name, place = f"{sweep.name} #{number}", TrialPlace(sweep.id, number)
        priority = sweep.spec.priority
        return self._submits.make(config, name=name, priority=priority, key=key, parent_id="", trial=place)

    def discard_unqueued(self, sweep: Sweep) -> None:
        """Clear away what a scheduler that was killed has left half-made of a sweep's trials."""
        queued = {task.id for task in self._store.trials(sweep.id)}
        self._submits.discard_unqueued(sweep.id, sweep.experiment_id, queued)

    def tasks(
        self,
        *,
        states: Sequence[str] = (),
        types: Sequence[str] = (),
        words: str = "",
        deleted: bool = False,
        archived: bool = False,
        trials: bool = True,
        sweep_id: str = "",
        until: float | None = None,
        sort: str = "created",
        descending: bool = True,
        limit: int = 50,
        offset: int = 0,
    ) -> TaskPage:
        """One page of tasks, newest first.

        Args:
            states: only these.
            types: only these training types.
            words: all of them must be part of name, id, type or data path.
            deleted: those that are deleted instead.
            archived: those that are archived instead.
            trials: trials of sweeps too.
            sweep_id: only trials of this sweep.
            until: only those made up to then, so that new ones do not move others from one page to the next.
            sort: `created`, `started`, `duration`, `name`, `state`, `type`, `progress`, `loss`, `priority` or `turn`;
                tasks without that come last.
            descending: the largest or newest first.
            limit: tasks on this page.
            offset: tasks on the pages before.

        Raises:
            PlatformError: they cannot be sorted by that.
        """
        from minimind_platform.listing import ListQuery

        wanted, put_away = [State(state) for state in states], None if deleted else archived
        query = ListQuery(
            wanted, tuple(types), words, deleted, put_away, trials, sweep_id, until, sort, descending, limit, offset
        )
        return self._store.page(query)

    def changes(self) -> int:
        """A number that grows when tasks or sweeps may have changed. Costs microseconds."""
        return self._store.changes()

    def task(self, id: str) -> Task:  # noqa: A002
        """A task by its id or the begin of it."""
        if found := self._store.get(id):
            return found
        ids = self._store.find(id) if len(id) >= SHORTEST_ID else []
        if len(ids) > 1:
            raise NotFoundError(f"{len(ids)} tasks begin with {id!r}; give more of the id.")
        found = self._store.get(ids[0]) if ids else None
        if found is None:
            raise NotFoundError(f"There is no task {id!r}.")
        return found

    def events(self, id: str) -> list[TaskEvent]:  # noqa: A002
        """A task's history, oldest first."""
        return self._store.events(self.task(id).id)

    def stop(self, id: str) -> Task:  # noqa: A002
        """Stop a task: at once if it waits, else once it has saved a checkpoint. Once more changes nothing."""
        return self._moved(id, stopped)

    def resume(self, id: str, force: bool = False) -> Task:  # noqa: A002
        """Let a stopped or failed task go on from its newest checkpoint: the same run, the next attempt.

        Args:
            id: the task.
            force: go on even if its data has changed since that checkpoint.
        """
        task = self.task(id)
        mark = self.settings.task_dir(task.id) / f"attempt-{task.attempt + 1}" / TaskFile.FORCE
        if force and resumed(task):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        else:
            mark.unlink(missing_ok=True)
        return self._moved(task.id, resumed)

    def retry(self, id: str, key: str = "") -> Task:  # noqa: A002
        """Queue a new task with the same settings; `key` as in `submit`."""
        task = self.task(id)
        return self.submit(task.type, task.config, name=task.name, priority=task.priority, key=key, parent_id=task.id)

    def delete(self, id: str) -> Task:  # noqa: A002
        """Put a task and its run into the trash. Files stay; `restore` brings it back, `trash` removes it for good."""
        task = self.task(id)
        if task.state in ACTIVE:
            raise ConflictError(f"Task {task.name!r} is {task.state.lower()}; stop it first.")
        if task.state is State.QUEUED:
            task = self.stop(task.id)
            if task.state is not State.STOPPED:
                raise ConflictError(f"Task {task.name!r} was just started; stop it first.")
        hidden = self._store.set_deleted(task, task.deleted_at or time.time())
        try:
            self._mirror_deletion("runs/delete", task)
        except BaseException:
            with suppress(ConflictError):  # somebody has restored it already
                self._store.set_deleted(hidden, task.deleted_at)
            raise
        return hidden

    def restore(self, id: str) -> Task:  # noqa: A002
        """Bring a deleted task back."""
        task = self.task(id)
        if task.purging_at:
            raise ConflictError(f"Task {task.name!r} is being removed for good.")
        self._mirror_deletion("runs/restore", task)
        return task if task.deleted_at is None else self._store.set_deleted(task, None)

    def archive(self, id: str) -> Task:  # noqa: A002
        """Put an ended task away from the usual lists. Nothing of it is lost, and `unarchive` brings it back."""
        task = self.task(id)
        if task.deleted_at is not None:
            raise ConflictError(f"Task {task.name!r} is deleted; restore it first.")
        if not task.ended:
            raise ConflictError(f"Task {task.name!r} is {task.state.lower()}; only an ended one can be archived.")
        return task if task.archived_at else self._store.set_archived(task, time.time())

    def unarchive(self, id: str) -> Task:  # noqa: A002
        """Bring an archived task back into the usual lists."""
        task = self.task(id)
        return task if task.archived_at is None else self._store.set_archived(task, None)

    def scheduler_alive(self) -> bool:
        """Whether the scheduler works: it writes a heartbeat."""
        try:
            beat = json.loads((self.settings.mlruns_dir / "scheduler.json").read_text(encoding="utf-8"))
            fresh = time.time() - float(beat["t"]) < HEARTBEAT_SECONDS
            # in a container of its own its process cannot be seen from here
            return fresh and (self.settings.in_container or Path(f"/proc/{int(beat['pid'])}").exists())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def tracking_alive(self) -> bool:
        """Whether the tracking server answers; asked at most every two seconds."""
        return self._tracking.alive()

    # reading a run

    def series(self, id: str, keys: Sequence[str], since: dict[str, int] | None = None) -> dict[str, Series]:  # noqa: A002
        """Points of metrics, by key.

        Args:
            id: the task.
            keys: metrics, such as `train/loss`; one without points gives an empty series.
            since: the last step that the caller has, by key; only points behind it come back.
        """
        return self._runs.series(self.task(id), keys, since)

    def log(self, id: str, offset: int = -1, limit: int = 65_536) -> LogChunk:  # noqa: A002
        """A part of the log from a byte on; -1 for the tail."""
        return self.logs.piece(id, offset, limit)

    def samples(self, id: str, query: SampleQuery | None = None) -> SamplePage:  # noqa: A002
        """What the model answered while it was trained by rewards; the newest unless the query says else."""
        return read_samples(self.samples_file(id), query)

    def samples_file(self, id: str) -> Path:  # noqa: A002
        """The file with all samples of a task, JSONL; it exists from the first one on."""
        return self.settings.task_dir(self.task(id).id) / TaskFile.SAMPLES

    def checkpoints(self, id: str) -> list[ModelVersion]:  # noqa: A002
        """The checkpoints of a task that are in the registry, newest first."""
        return self._models.of_task(self.task(id).id)

    def run_link(self, id: str) -> str:  # noqa: A002
        """Path to the run in MLflow's own pages."""
        return runs.run_link(self.task(id))

    def _measured(self, kind: str) -> list[Task]:
        """Tasks to learn a speed from: the newest of a type, and the newest of all."""
        from minimind_platform.listing import ListQuery

        states = [State.RUNNING, State.FINISHED]
        queries = [ListQuery(states, types=types, archived=None, limit=MEASURED_TASKS) for types in ((kind,), ())]
        return list({task.id: task for query in queries for task in self._store.page(query).tasks}.values())

    def _free(self) -> int:
        """Bytes that are free where checkpoints are kept; 0 where that cannot be told."""
        try:
            return free_bytes(self.settings.out_dir)
        except OSError:
            return 0

    def _moved(self, id: str, decide: Any) -> Task:  # noqa: A002
        """Move a task as `decide` says; once more if somebody else moved it in between."""
        for last in (False, False, True):
            task = self.task(id)
            move = decide(task)
            if move is None:
                return task
            try:
                return self._store.move(task, *move)
            except ConflictError:
                if last:
                    raise
        raise AssertionError("unreachable")

    def _mirror_deletion(self, call: str, task: Task) -> None:
        with suppress(NotFoundError):  # somebody removed the run for good; the task can be hidden all the same
            self._tracking.post(call, run_id=task.id)
        self.forget_run(task.id)

    def forget_run(self, id: str) -> None:  # noqa: A002
        """Drop all that is remembered of a run in this process, as when it is hidden or removed."""
        self._runs.forget(id)
        self.curves.forget(id)
