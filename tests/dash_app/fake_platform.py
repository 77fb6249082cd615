# ruff: noqa: A002 - the parameters have the names of the platform's own
"""A complete platform in memory, with data as after some weeks of work. Its trainings go on by the clock.

platform = FakePlatform.with_data(tmp_path)
create_app(platform)
"""

import math
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_catalogue import FakeCatalogue
from fake_comparisons import FakeComparisons
from fake_contents import fill
from fake_curves import FakeCurves
from fake_data import HTML, FakeData
from fake_machine import FakeMachine
from fake_queue import FakeQueue
from fake_sweeps import FakeSweeps
from fake_trash import FakeTrash

from minimind_platform.errors import (
    ConflictError,
    NotFoundError,
    SettingsError,
)
from minimind_platform.samples import SampleQuery, read_samples
from minimind_platform.settings import Settings
from minimind_platform.task_logs import Logs
from minimind_platform.tasks import ACTIVE, ENDED, Progress, State, Task, TaskEvent, TaskPage
from minimind_platform.views import (
    Check,
    LogChunk,
    ModelVersion,
    Preflight,
    Problem,
    SamplePage,
    Series,
    WeightFile,
)
from trainer.configs import parse_config
from trainer.names import Metric, TaskFile


class FakeSending:
    """What MLflow lacks of every task."""

    count = 1234

    def unsent(self, task: Task) -> int:
        return self.count


class FakePlatform(FakeCatalogue, FakeData):
    """Answers as `minimind_platform.Platform` does."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.settings = Settings(home=home)
        self.all: dict[str, Task] = {}
        self.keys: dict[str, str] = {}
        self.history: dict[str, list[TaskEvent]] = {}
        self.versions: list[ModelVersion] = []
        self.files: list[WeightFile] = []
        self.written: dict[str, bytes] = {}
        """Logs as far as they do not grow by the clock."""
        self.logs = Logs(self.task, self._log_file)
        self.scheduler = True
        self.tracking = True
        self.steps_a_second = 4.0
        self.queue = FakeQueue(self)
        self.sweeps = FakeSweeps(self)
        self.curves = FakeCurves(self)
        self.trash = FakeTrash(self)
        self.comparisons = FakeComparisons(self)
        self.sending = FakeSending()
        self.machine = FakeMachine(self)

    @classmethod
    def with_data(cls, home: Path) -> "FakePlatform":
        """Tasks in every state, models, weight files and data sets."""
        fake = cls(home)
        fill(fake, home)
        fake.sweeps.fill()
        return fake

    def by_name(self, name: str) -> str:
        return next(task.id for task in self.all.values() if task.name == name)

    def _add(
        self, start: str, name: str, type: str, state: State, at: float, step: int, total: int, hidden: int
    ) -> Task:
        values = {"data_path": f"dataset/samples/{type}.jsonl", "hidden_size": hidden, "from_weight": "none"}
        config = parse_config(type, values).model_dump()
        id_ = (start + uuid.uuid5(uuid.NAMESPACE_OID, name).hex)[:32]
        failed = state == State.FAILED
        started = None if state == State.QUEUED else at + 5
        task = Task(
            id=id_,
            name=name,
            type=type,
            state=state,
            config=config,
            created_at=at,
            started_at=started,
            ended_at=at + 900 if state in ENDED else None,
            attempt=int(state != State.QUEUED),
            device="" if state == State.QUEUED else "cuda:0",
            waits_for="Waits for cuda:0, held by pretrain-512d-8l." if state == State.QUEUED else "",
            error=f"The loss became NaN at step 240 {HTML}" if failed else "",
            error_class="diverged" if failed else "",
            hint="Lower learning_rate (now 1e-05), or set nan_policy to skip." if failed else "",
            progress=self._progress(step, total) if total else Progress(),
        )
        self.all[id_] = task
        self.history[id_] = [TaskEvent(at, 0, "", "QUEUED", "submitted")]
        if state != State.QUEUED:
            self.history[id_] += [
                TaskEvent(at + 1, 1, "QUEUED", "STARTING", "cuda:0 is free"),
                TaskEvent(at + 5, 1, "STARTING", "RUNNING", ""),
            ]
        if state in ENDED:
            self.history[id_].append(TaskEvent(at + 900, 1, "RUNNING", str(state), task.error))
        lines = range(0) if start.startswith("9") else range(max(0, step - 1500), step)  # nobody reads those of many
        self.written[id_] = "".join(_log_line(at, n) for n in lines).encode()
        if failed:
            self.written[id_] += f"2026-11-23 13:26:15 ERROR {HTML} </div><script>alert(2)</script>\n".encode()
        return task

    @staticmethod
    def _progress(step: int, total: int) -> Progress:
        return Progress(
            step,
            total,
            2 * step / total,
            2,
            _loss(step),
            _loss(step // 500 * 500) + 0.05 if step >= 100 else None,
            learning_rate=_rate(step, total),
            tokens_per_second=41_437.0,
            seconds_left=(total - step) / 13.7,
        )

    def _now(self, task: Task) -> Task:
        """A running task as far as it is by now."""
        if task.state != State.RUNNING:
            return task
        step = min(
            task.progress.total_steps,
            task.progress.step + int((time.time() - task.created_at - 1_440) * self.steps_a_second),
        )
        return replace(task, progress=self._progress(max(step, task.progress.step), task.progress.total_steps))

    # tasks

    def check(self, type: str, values: dict[str, Any]) -> Check:
        problems: list[Problem] = []
        try:
            parse_config(type, values)
        except SettingsError as error:
            problems = error.problems
        path = str(values.get("data_path") or "")
        if path and not any(d.path == path for d in self.data):
            message = f"There is no file {path!r}."
            problems.append(Problem("data_path", "not_found", message, {"value": path, "reason": message, "hint": ""}))
        ready = not problems and path
        preflight = (
            Preflight(26_900_000, 1_413_103, 512_000_000, 20_000, 5_423.0, 820_000_000, 41_000.0, "") if ready else None
        )
        return Check(problems, preflight)

    def submit(
        self,
        type: str,
        values: dict[str, Any],
        *,
        name: str = "",
        priority: int = 0,
        key: str = "",
        parent_id: str = "",
    ) -> Task:
        if key in self.keys:
            return self.all[self.keys[key]]
        if problems := self.check(type, values).problems:
            raise SettingsError(problems)
        config = parse_config(type, values).model_dump()
        id_ = f"00{uuid.uuid4().hex[2:]}"  # none of those that tests name by their begin
        title = name or f"{type}-{config['hidden_size']}d-{config['num_hidden_layers']}l"
        task = Task(
            id_,
            title,
            type,
            State.QUEUED,
            config,
            time.time(),
            priority,
            parent_id=parent_id,
            waits_for="Waits for cuda:0.",
        )
        self.all[id_] = task
        self.history[id_] = [TaskEvent(time.time(), 0, "", "QUEUED", "submitted")]
        self.written[id_] = b""
        if key:
            self.keys[key] = id_
        return task

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
        found = [t for t in self.all.values() if (t.deleted_at is not None) == deleted]
        found = [t for t in found if deleted or (t.archived_at is not None) == archived]
        found = [t for t in found if (trials or not t.sweep_id) and sweep_id in ("", t.sweep_id)]
        found = [
            t
            for t in found
            if (not types or t.type in types) and all(w in t.name.lower() for w in words.lower().split())
        ]
        found = [t for t in found if until is None or t.created_at <= until]
        counts: dict[str, int] = {}
        for task in found:
            counts[task.state] = counts.get(task.state, 0) + 1
        found = [self._now(t) for t in found if not states or t.state in states]
        found.sort(key=lambda t: -t.created_at)
        values = {t.id: self._value(t, sort) for t in found}
        known = [t for t in found if values[t.id] is not None]
        known.sort(key=lambda t: values[t.id], reverse=descending)
        found = known + [t for t in found if values[t.id] is None]
        turns = {task_id: place for place, task_id in enumerate(self.queue.order(), 1)}
        return TaskPage(found[offset : offset + limit], len(found), counts, turns)

    def _value(self, task: Task, sort: str) -> Any:
        queued = task.state == State.QUEUED
        took = (task.ended_at or time.time()) - task.started_at if task.started_at else None
        return {
            "created": task.created_at,
            "started": task.started_at,
            "duration": took,
            "name": task.name.casefold(),
            "state": str(task.state),
            "type": task.type,
            "progress": task.progress.fraction,
            "loss": task.progress.loss,
            "priority": task.priority if queued else None,
            "turn": self.queue.order().index(task.id) if queued else None,
        }[sort]

    def changes(self) -> int:
        return self.queue.looks()

    def task(self, id: str) -> Task:
        matches = [task for key, task in self.all.items() if key.startswith(id)]
        if len(matches) != 1:
            raise NotFoundError(f"There is no task {id!r}.")
        return self._now(matches[0])

    def events(self, id: str) -> list[TaskEvent]:
        return self.history[self.task(id).id]

    def _move(self, id: str, allowed: frozenset[State], state: State, reason: str) -> Task:
        task = self.task(id)
        if task.state not in allowed:
            raise ConflictError(f"{task.name} is {task.state.lower()}.", "Wait until it has ended.")
        self.history[task.id].append(TaskEvent(time.time(), task.attempt, str(task.state), str(state), reason))
        self.all[task.id] = replace(task, state=state, version=task.version + 1)
        return self.all[task.id]

    def stop(self, id: str) -> Task:
        queued = self.task(id).state == State.QUEUED
        return self._move(
            id, frozenset({State.QUEUED, State.RUNNING}), State.STOPPED if queued else State.STOPPING, "asked to stop"
        )

    def resume(self, id: str, force: bool = False) -> Task:
        return self._move(id, frozenset({State.STOPPED, State.FAILED}), State.QUEUED, "resumed")

    def retry(self, id: str, key: str = "") -> Task:
        task = self.task(id)
        return self.submit(task.type, task.config, name=f"{task.name}-2", key=key, parent_id=task.id)

    def delete(self, id: str) -> Task:
        task = self.task(id)
        if task.state in ACTIVE:
            raise ConflictError(f"{task.name} is active.", "Stop it first.")
        self.all[task.id] = replace(task, deleted_at=time.time())
        return self.all[task.id]

    def restore(self, id: str) -> Task:
        task = self.task(id)
        self.all[task.id] = replace(task, deleted_at=None)
        return self.all[task.id]

    def archive(self, id: str) -> Task:
        task = self.task(id)
        if not task.ended:
            raise ConflictError(f"{task.name} is {task.state.lower()}.")
        self.all[task.id] = replace(task, archived_at=time.time())
        return self.all[task.id]

    def unarchive(self, id: str) -> Task:
        task = self.task(id)
        self.all[task.id] = replace(task, archived_at=None)
        return self.all[task.id]

    def scheduler_alive(self) -> bool:
        return self.scheduler

    def tracking_alive(self) -> bool:
        return self.tracking

    # reading a run

    def series(self, id: str, keys: Sequence[str], since: dict[str, int] | None = None) -> dict[str, Series]:
        self._need_tracking()
        task = self.task(id)
        last, total = task.progress.step, max(1, task.progress.total_steps)
        every = max(1, total // 2000)
        found = {}
        for key in keys:
            gap = max(1, total // 20) if key == Metric.EVAL_LOSS else every
            steps = [s for s in range(gap, last + 1, gap) if s > (since or {}).get(key, 0)]
            spread = {Metric.LOSS_MIN: -0.09, Metric.LOSS_MAX: 0.11, Metric.EVAL_LOSS: 0.05}.get(key, 0.0)
            values: list[float | None] = [
                _rate(s, total) if key == Metric.LEARNING_RATE else _loss(s) + spread * (1 + random.Random(s).random())
                for s in steps
            ]
            found[key] = Series(steps, values, [task.created_at + s for s in steps], False, last // gap)
        return found

    def log(self, id: str, offset: int = -1, limit: int = 65_536) -> LogChunk:
        return self.logs.piece(id, offset, limit)

    def _log_file(self, task: Task) -> Path:
        """The log as far as it is written by now."""
        data = self.written[task.id]
        if task.state == State.RUNNING:
            data += "".join(_log_line(task.created_at, n) for n in range(12_613, task.progress.step)).encode()
        path = self.settings.task_dir(task.id) / TaskFile.LOG
        if not path.exists() or path.stat().st_size != len(data):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path

    def samples(self, id: str, query: SampleQuery | None = None) -> SamplePage:
        return read_samples(self.samples_file(id), query)

    def samples_file(self, id: str) -> Path:
        return self.settings.task_dir(self.task(id).id) / TaskFile.SAMPLES

    def checkpoints(self, id: str) -> list[ModelVersion]:
        self._need_tracking()
        return [version for version in self.versions if version.task_id == self.task(id).id]

    def run_link(self, id: str) -> str:
        return f"/mlflow/#/experiments/1/runs/{self.task(id).id}"


def _loss(step: int) -> float:
    return 2.0 + 7.2 * math.exp(-step / 1_400) + 0.09 * random.Random(step).gauss(0, 1)


def _rate(step: int, total: int) -> float:
    return 5e-5 + 4.5e-4 * (1 + math.cos(math.pi * min(1.0, step / total))) / 2


def _log_line(begin: float, step: int) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begin + step / 14))
    return f"{stamp} INFO step={step:06d} loss={_loss(step):.4f} lr={_rate(step, 20_000):.3e} tokens/s=41,437\n"
