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
from pathlib import Path
from typing import Any

from minimind_platform import runs
from minimind_platform.checks import Checks
from minimind_platform.data_jobs import DataJobs
from minimind_platform.datasets import DataFiles
from minimind_platform.devices import gpus
from minimind_platform.errors import (
    ConflictError,
    NotFoundError,
    PlatformError,
    Problem,
    SettingsError,
)
from minimind_platform.follow import Following
from minimind_platform.home import as_running
from minimind_platform.jobs import Jobs
from minimind_platform.logs import read_log
from minimind_platform.models import Models
from minimind_platform.paths import Paths
from minimind_platform.preflight import estimate
from minimind_platform.samples import SampleQuery, read_samples
from minimind_platform.settings import Settings
from minimind_platform.submits import Submits, label_problems
from minimind_platform.tasks import ACTIVE, ENDED, State, Task, TaskEvent, TaskPage
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.views import (
    Check,
    Dataset,
    HubEntry,
    Job,
    LogChunk,
    ModelVersion,
    SamplePage,
    Series,
    TrainingType,
    WeightFile,
)
from minimind_platform.weights import Weights
from trainer.advice import advice
from trainer.configs import TRAINING_TYPES
from trainer.fields import RewardKind, config_fields, reward_kinds
from trainer.names import TaskFile
from trainer.presets import PRESETS, Preset
from trainer.starts import starts_of

SHORTEST_ID = 4
HEARTBEAT_SECONDS = 15
"""A scheduler that has not beaten for so long is away or hangs."""
MEASURED_TASKS = 30
"""Newest tasks that are looked through for a speed to expect."""


class Platform(Following):
    """Everything that a person can do. Times are seconds since 1970; errors are those of `errors.py`."""

    def __init__(self, settings: Settings | None = None) -> None:
        from minimind_platform.store import Store  # here, because databases take a while to import

        self.settings = settings or as_running(Settings.load())
        self._store = Store(self.settings.database)
        self._paths = Paths(self.settings)
        self._tracking = TrackingClient(self.settings.tracking)
        self._models = Models(self._tracking, self.settings)
        self._runs = runs.Runs(self._tracking)
        self._weights = Weights(self.settings, self._paths, self._models)
        self._data = DataFiles(self._paths)
        self._checks = Checks(self._paths, self._weights, self._data, self.settings.out_dir)
        self._submits = Submits(self.settings, self._store, self._tracking)
        self._jobs = Jobs(self.settings)
        self._data_jobs = DataJobs(self.settings, self._paths, self._jobs)

    # tasks

    def check(self, type: str, values: dict[str, Any]) -> Check:  # noqa: A002
        """What is wrong with settings, what they would take, and what is known of them. Bad values never raise."""
        checked = self._checks.run(type, values)
        if away := checked.unavailable:
            message = f"{away.message} {away.hint}".strip()
            checked.problems.append(Problem(checked.unavailable_field, "tracking_unavailable", message))
        try:
            plan = self._checks.plan(checked)
            preflight = estimate(plan, self._measured()) if plan else None
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
        checked = self._checks.run(type, values)
        problems = checked.problems + label_problems(name, priority, key)
        if problems or checked.config is None:
            raise SettingsError(problems)
        if checked.unavailable:
            raise checked.unavailable
        self._checks.keep(checked)
        return self._submits.make(checked.config, name=name.strip(), priority=priority, key=key, parent_id=parent_id)

    def tasks(
        self,
        *,
        states: Sequence[str] = (),
        types: Sequence[str] = (),
        words: str = "",
        deleted: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> TaskPage:
        """One page of tasks, newest first. All words must be part of name, id, type or data path."""
        wanted = [State(state) for state in states]
        return self._store.page(
            states=wanted, types=tuple(types), words=words, deleted=deleted, limit=limit, offset=offset
        )

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
        """Stop a task: at once if it waits, else once it has saved a checkpoint. A stopping one is left alone."""
        return self._moved(id, _stopped)

    def resume(self, id: str, force: bool = False) -> Task:  # noqa: A002
        """Let a stopped or failed task go on from its newest checkpoint: the same run, the next attempt.

        Args:
            id: the task.
            force: go on even if its data has changed since that checkpoint.
        """
        task = self.task(id)
        mark = self.settings.task_dir(task.id) / f"attempt-{task.attempt + 1}" / TaskFile.FORCE
        if force and _resumed(task):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        else:
            mark.unlink(missing_ok=True)
        return self._moved(task.id, _resumed)

    def retry(self, id: str, key: str = "") -> Task:  # noqa: A002
        """Queue a new task with the same settings; `key` as in `submit`."""
        task = self.task(id)
        return self.submit(task.type, task.config, name=task.name, priority=task.priority, key=key, parent_id=task.id)

    def delete(self, id: str) -> Task:  # noqa: A002
        """Hide a task and its run. Files stay; `restore` brings it back."""
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
        self._mirror_deletion("runs/restore", task)
        return task if task.deleted_at is None else self._store.set_deleted(task, None)

    def scheduler_alive(self) -> bool:
        """Whether the scheduler works: it writes a heartbeat."""
        try:
            beat = json.loads((self.settings.mlruns_dir / "scheduler.json").read_text(encoding="utf-8"))
            return time.time() - float(beat["t"]) < HEARTBEAT_SECONDS and Path(f"/proc/{int(beat['pid'])}").exists()
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
        task = self.task(id)
        return read_log(self.settings.task_dir(task.id) / TaskFile.LOG, offset, limit, ended=task.ended)

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

    # models and data

    def models(self) -> list[ModelVersion]:
        """Versions of all registered models, newest first."""
        return self._models.all()

    def weight_files(self) -> list[WeightFile]:
        """MiniMind weight files in out/, newest first."""
        return self._weights.files()

    def version_files(self, name: str, version: int) -> Path:
        """The folder with the files of a model version."""
        return self._models.files(name, version)

    def weight_file(self, name: str) -> Path:
        """A MiniMind weight file by its name."""
        return self._weights.file(name)

    def datasets(self) -> list[Dataset]:
        """The data files in dataset/ and the data roots."""
        out = self._paths.roots[1]
        return self._data.listing([root for root in self._paths.roots if root != out])

    def data_stats(self, path: str, type: str = "", max_seq_len: int = 0, again: bool = False) -> Job:  # noqa: A002
        """Statistics of a data file, worked out in the background and kept until the file changes.

        Args:
            path: as in data_path.
            type: training type to read it for; "" for the format that its first rows have.
            max_seq_len: where rows are cut; 0 for the default.
            again: begin anew if it failed or was cancelled.
        """
        return self._data_jobs.stats(path, type, max_seq_len, again)

    def data_preview(
        self,
        path: str,
        type: str = "",  # noqa: A002
        max_seq_len: int = 0,
        start: int = 0,
        rows: int = 5,
    ) -> dict[str, Any]:
        """Rows of a data file as a training sees them: their text with the template, by what counts for the loss."""
        return self._data_jobs.preview(path, type, max_seq_len, start, rows)

    def hub_entries(self) -> list[HubEntry]:
        """What can be fetched from the Hugging Face hub. Asks nobody."""
        return self._data_jobs.entries()

    def hub_fetch(self, name: str) -> Job:
        """Fetch something from the hub in the background; goes on with what an earlier try has brought."""
        return self._data_jobs.fetch(name)

    def jobs(self, kind: str = "") -> list[Job]:
        """Background jobs, newest first, without their results."""
        return self._jobs.all(kind)

    def job(self, id: str) -> Job:  # noqa: A002
        """One background job with its result."""
        return self._jobs.get(id)

    def cancel_job(self, id: str) -> Job:  # noqa: A002
        """Ask a background job to end."""
        return self._jobs.cancel(id)

    def remove_job(self, id: str) -> None:  # noqa: A002
        """Forget a background job that has ended, its result too."""
        self._jobs.remove(id)

    def devices(self) -> list[str]:
        """Choices of the setting `device` on this machine."""
        found = [gpu.slot for gpu in gpus()]
        return ["auto", "cpu", *(["cuda"] if found else []), *found]

    def training_types(self) -> dict[str, TrainingType]:
        """The training types by name, with their settings."""
        types = {}
        for name, cls in TRAINING_TYPES.items():
            fields = config_fields(cls)
            defaults = {field.name: field.default for field in fields if not field.required}
            about = (cls.__doc__ or "").strip()
            facts = (name, cls.title, about, cls.data_format, fields, defaults)
            types[name] = TrainingType(*facts, needs_base=cls.needs_base, starts=starts_of(name))
        return types

    def reward_kinds(self) -> dict[str, RewardKind]:
        """The kinds of rewards that a list of rewards can hold, by name."""
        return reward_kinds()

    def presets(self) -> dict[str, Preset]:
        """Model sizes to start from, by name."""
        return dict(PRESETS)

    def _measured(self) -> list[Task]:
        return self._store.page(states=[State.RUNNING, State.FINISHED], limit=MEASURED_TASKS).tasks

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
        self._runs.forget(task.id)


def _stopped(task: Task) -> tuple[State, str] | None:
    if task.state in ENDED:
        raise ConflictError(f"Task {task.name!r} has ended already: it is {task.state.lower()}.")
    if task.state is State.STOPPING:
        return None
    at_once = task.state in (State.QUEUED, State.LOST)
    return (State.STOPPED if at_once else State.STOPPING), "stopped by a person"


def _resumed(task: Task) -> tuple[State, str] | None:
    if task.deleted_at is not None:
        raise ConflictError(f"Task {task.name!r} is deleted; restore it first.")
    if task.state is State.FINISHED:
        raise ConflictError(f"Task {task.name!r} is finished; retry or clone it to train again.")
    if task.state not in ENDED:
        raise ConflictError(f"Task {task.name!r} is {task.state.lower()}; only a stopped or failed one can be resumed.")
    return State.QUEUED, "resumed by a person"
