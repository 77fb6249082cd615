"""Makes a task of checked settings: its MLflow run, its folder, its place in the queue.

    task = Submits(settings, store, tracking).make("sft", config, name="", priority=0, key="", parent_id="")

Whatever goes wrong on the way, nothing half-made stays: a run without a task is deleted again.
"""

import getpass
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minimind_platform.errors import NotFoundError, PlatformError, Problem
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient, TrackingError
from trainer.configs import TrainConfig
from trainer.fault_points import reach
from trainer.fields import params_of
from trainer.names import RunStatus, Tag, TaskFile

if TYPE_CHECKING:
    from minimind_platform.store import Store

PROJECT = "minimind"
"""MLflow experiment of all tasks."""
PARAM_LIMIT = 6_000
"""Characters of a param that MLflow keeps; config.json has all."""
PARAMS_A_CALL = 100
LONGEST_NAME = 100
LARGEST_PRIORITY = 1_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class TrialPlace:
    """Which trial of a sweep a task is."""

    sweep_id: str
    number: int


class Submits:
    """Makes tasks. One key gives one task, however often and from how many processes it is sent."""

    def __init__(self, settings: Settings, store: "Store", tracking: TrackingClient) -> None:
        self._settings = settings
        self._store = store
        self._tracking = tracking
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[threading.Lock, int]] = {}

    def known(self, key: str) -> Task | None:
        """The task that was made with this key."""
        return self._store.by_key(key) if key else None

    def make(
        self,
        config: TrainConfig,
        *,
        name: str,
        priority: int,
        key: str,
        parent_id: str,
        trial: TrialPlace | None = None,
        begin_with: Callable[[Path], None] | None = None,
    ) -> Task:
        """Make a task, or give back the one with this key.

        Args:
            config: its settings.
            name: shown in lists; "" for one made of type and size.
            priority: higher goes first.
            key: as in `Platform.submit`.
            parent_id: the task that this one repeats or changes.
            trial: which trial of a sweep it is.
            begin_with: puts a checkpoint to go on from into its folder.

        Raises:
            TrackingUnavailableError: the tracking server does not answer; nothing was made.
        """
        from minimind_platform.store import NewTask

        key = key or uuid.uuid4().hex
        title = name or f"{config.type}-{config.hidden_size}d-{config.num_hidden_layers}l"
        with self._alone(key):
            if task := self.known(key):
                return task
            experiment_id = self.experiment()
            run_id = self._create_run(experiment_id, config, title, key, parent_id, trial)
            values = config.model_dump()
            with self._undone_on_error(run_id):
                self._log_params(run_id, params_of(config))
                self._write_config(run_id, config.type, values)
                if begin_with:
                    begin_with(self._settings.task_dir(run_id))
                place = (trial.sweep_id, trial.number) if trial else ("", -1)
                new = NewTask(
                    run_id, key, config.type, title, PROJECT, experiment_id, values, priority, parent_id, *place
                )
                reach("submit.before_store")
                task, added = self._store.add(new)
            if not added:
                self._discard(run_id)
            return task

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Only one thread works on a key; other processes are kept out by the unique index of the queue."""
        with self._lock:
            lock, users = self._keys.get(key, (threading.Lock(), 0))
            self._keys[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users = self._keys[key][1] - 1
                self._keys[key] = (lock, users)
                if not users:
                    del self._keys[key]

    @contextmanager
    def _undone_on_error(self, run_id: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._discard(run_id)
            raise

    def _discard(self, run_id: str) -> None:
        with suppress(PlatformError):
            self._tracking.post("runs/delete", run_id=run_id)
        shutil.rmtree(self._settings.task_dir(run_id), ignore_errors=True)

    def discard_unqueued(self, sweep_id: str, experiment_id: str, queued: Collection[str]) -> None:
        """Hide runs of trials that never came into the queue, because the process that made them was killed.

        Args:
            sweep_id: the sweep.
            experiment_id: of its runs.
            queued: ids of the runs that are in the queue.
        """
        wanted = f"tags.`{Tag.PARENT_RUN}` = '{sweep_id}' AND attributes.status = '{RunStatus.SCHEDULED}'"
        query = {"experiment_ids": [experiment_id], "filter": wanted, "max_results": 1000}
        for run in self._tracking.post("runs/search", **query).get("runs", []):
            if run["info"]["run_id"] not in queued:
                self._discard(run["info"]["run_id"])

    def experiment(self) -> str:
        """Id of the experiment of all tasks, made when it is missing."""
        for _ in range(2):
            try:
                found = self._tracking.get("experiments/get-by-name", experiment_name=PROJECT)["experiment"]
            except NotFoundError:
                found = None
            if found is not None:
                if found.get("lifecycle_stage") == "deleted":
                    self._tracking.post("experiments/restore", experiment_id=found["experiment_id"])
                return found["experiment_id"]
            kind = [{"key": "mlflow.experimentKind", "value": "custom_model_development"}]
            try:
                return self._tracking.post("experiments/create", name=PROJECT, tags=kind)["experiment_id"]
            except TrackingError as error:
                if error.code != "RESOURCE_ALREADY_EXISTS":  # else another submit was faster: take its experiment
                    raise
        raise PlatformError(f"The MLflow experiment {PROJECT!r} can neither be found nor created.")

    def _create_run(
        self, experiment_id: str, config: TrainConfig, name: str, key: str, parent_id: str, trial: TrialPlace | None
    ) -> str:
        tags = {
            Tag.KIND: "train",
            Tag.TYPE: config.type,
            Tag.TASK_NAME: name,
            Tag.SUBMIT_KEY: key,
            "mlflow.user": user(),
        }
        tags |= {Tag.PARENT: parent_id} if parent_id else {}
        tags |= {Tag.PARENT_RUN: trial.sweep_id, Tag.TRIAL: str(trial.number)} if trial else {}
        tags |= {Tag.BASE: config.from_weight} if config.from_weight != "none" else {}
        run = self._tracking.post(
            "runs/create",
            experiment_id=experiment_id,
            run_name=name,
            start_time=int(time.time() * 1000),
            tags=[{"key": str(k), "value": v} for k, v in tags.items()],
        )
        run_id = run["run"]["info"]["run_id"]
        with self._undone_on_error(run_id):  # a run is always born RUNNING
            self._tracking.post("runs/update", run_id=run_id, status=RunStatus.SCHEDULED.value)
        return run_id

    def _log_params(self, run_id: str, texts: dict[str, str]) -> None:
        params = [{"key": name, "value": text[:PARAM_LIMIT]} for name, text in texts.items()]
        for begin in range(0, len(params), PARAMS_A_CALL):
            self._tracking.post("runs/log-batch", run_id=run_id, params=params[begin : begin + PARAMS_A_CALL])

    def _write_config(self, run_id: str, type_name: str, values: dict[str, Any]) -> None:
        folder = self._settings.task_dir(run_id)
        folder.mkdir(parents=True)
        temporary = folder / f".{TaskFile.CONFIG}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"type": type_name, "config": values}, file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / TaskFile.CONFIG)


def label_problems(name: str, priority: int, key: str) -> list[Problem]:
    """What is wrong with what a task is called, and how it is queued."""
    problems = []
    if len(name) > LONGEST_NAME or _CONTROL.search(name):
        message = f"Use at most {LONGEST_NAME} characters on one line, got {name[: LONGEST_NAME + 1]!r}."
        problems.append(Problem("name", "bad_name", message, {"longest": LONGEST_NAME}))
    if abs(priority) > LARGEST_PRIORITY:
        message = f"Use a number from -{LARGEST_PRIORITY} to {LARGEST_PRIORITY}, got {priority}."
        problems.append(Problem("priority", "bad_priority", message, {"largest": LARGEST_PRIORITY}))
    if len(key) > LONGEST_NAME or _CONTROL.search(key):
        problems.append(Problem("key", "bad_key", f"Use at most {LONGEST_NAME} characters on one line."))
    return problems


def user() -> str:
    """Who runs this process, as MLflow shows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user without a name
