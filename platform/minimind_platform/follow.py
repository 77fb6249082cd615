"""Following trainings from Python: wait for their end, watch their metrics live, take everything as tables.

    task = platform.wait(platform.submit("sft", {"data_path": "sft.jsonl"}).id)
    for point in platform.follow(task.id, ["eval/loss"]):
        print(point.step, point.values)
    platform.history(task.id, ["train/loss", "eval/loss"]).plot()

A task is read from its own record where that lies on this machine, else from MLflow, so that all of it works from
another machine too: Platform(Settings(tracking_uri=…, database_url=…)).
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

from minimind_platform.exports import Model, best_of
from minimind_platform.patience import POLL_SECONDS, Watch, left_running
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task, TaskPage
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.views import ModelVersion, Point, Series
from trainer.names import TaskFile
from trainer.spool import read_records

if TYPE_CHECKING:
    import pandas as pd

    from minimind_platform.service import Platform

MOST_TASKS = 100_000
SYNC_SECONDS = 60.0
SHORT = 8


class Following:
    """The part of `Platform` that waits and watches. Nothing here changes a task."""

    if TYPE_CHECKING:
        settings: Settings
        _tracking: TrackingClient

        def task(self, id: str) -> Task: ...  # noqa: A002
        def tasks(self, **filters: Any) -> TaskPage: ...
        def series(self, id: str, keys: Sequence[str], since: dict[str, int] | None = None) -> dict[str, Series]: ...  # noqa: A002
        def checkpoints(self, id: str) -> list[ModelVersion]: ...  # noqa: A002
        def scheduler_alive(self) -> bool: ...

    @overload
    def wait(self, ids: str, timeout: float | None = None, poll: float = POLL_SECONDS) -> Task: ...
    @overload
    def wait(self, ids: Sequence[str], timeout: float | None = None, poll: float = POLL_SECONDS) -> list[Task]: ...

    def wait(
        self, ids: str | Sequence[str], timeout: float | None = None, poll: float = POLL_SECONDS
    ) -> Task | list[Task]:
        """Wait until tasks have ended, in whatever way; their states tell it. Ctrl-C leaves them running.

        Args:
            ids: one task, or several.
            timeout: seconds; None for as long as it takes.
            poll: seconds between two looks.

        Raises:
            TimeoutError: names those that have not ended, which go on.
        """
        tasks = [self.task(id) for id in ([ids] if isinstance(ids, str) else ids)]  # noqa: A001
        found = {task.id: task for task in tasks}
        watch = Watch(self, timeout, poll)
        with left_running("The tasks go on; platform.stop(id) would end one."):
            while left := [task for task in found.values() if not task.ended]:
                watch.pause(f"Not ended yet: {', '.join(f'{t.id[:SHORT]} {t.name} ({t.state})' for t in left)}")
                newer = watch.ask(lambda left=left: [self.task(task.id) for task in left]) or []
                found |= {task.id: task for task in newer}
        return found[tasks[0].id] if isinstance(ids, str) else [found[task.id] for task in tasks]

    def follow(self, id: str, keys: Sequence[str] = (), poll: float = POLL_SECONDS) -> Iterator[Point]:  # noqa: A002
        """The records of a training from its begin on, and what is added to them, until it has ended.

        Args:
            id: the task.
            keys: metrics, such as `eval/loss`; records without any of them are left out. None for all.
            poll: seconds between two looks.
        """
        task = self.task(id)
        source = self._source(task, keys)
        watch = Watch(self, poll=poll)
        with left_running(f"Task {task.id[:SHORT]} goes on; platform.stop({task.id[:SHORT]!r}) would end it."):
            while True:
                now = watch.ask(lambda: self.task(task.id))  # asked before the records: the last ones are not missed
                points = watch.ask(source.new) if now else None
                yield from points or []
                if now and now.ended and points is not None and not (points or source.lags(now)):
                    return
                if not points:
                    watch.pause(f"Task {task.id[:SHORT]} has not ended")

    def history(self, id: str, keys: Sequence[str] = ()) -> "pd.DataFrame":  # noqa: A002
        """The metrics of a training so far: one row a step, one column a metric, NaN where nothing was recorded.

        Args:
            id: the task.
            keys: metrics, in the order of the columns; none for all that there are.
        """
        import pandas as pd

        rows: dict[int, dict[str, float]] = {}
        for point in self._source(self.task(id), keys).new():
            rows.setdefault(point.step, {}).update(point.values)
        columns = list(keys) or list(dict.fromkeys(key for values in rows.values() for key in values))
        steps = sorted(rows)
        index = pd.Index(steps, name="step", dtype="int64")
        return pd.DataFrame([rows[step] for step in steps], index=index, columns=columns, dtype="float64")

    def dataframe(self, ids: Sequence[str] | None = None) -> "pd.DataFrame":
        """Tasks with their settings and last values: one row a task, named by its id.

        Columns are named as in `mlflow.search_runs`: settings are `params.learning_rate`, values `metrics.eval/loss`.

        Args:
            ids: tasks, in the order of the rows; all that are neither deleted nor archived, newest first, when left
                out.
        """
        import pandas as pd

        tasks = self.tasks(limit=MOST_TASKS).tasks if ids is None else [self.task(id) for id in ids]  # noqa: A001
        rows = [
            _facts(task)
            | {f"params.{name}": value for name, value in task.config.items()}
            | {f"metrics.{key}": value for key, value in self._source(task, ()).last().items()}
            for task in tasks
        ]
        return pd.DataFrame(rows, index=pd.Index([task.id for task in tasks], name="id", dtype="str"))

    def best_model(self, id: str) -> Model:  # noqa: A002
        """The checkpoint of a task with the lowest held-out loss or the highest reward, else the last.

        Of a task that has just ended it waits until MLflow has all of it, a moment as a rule.

        Raises:
            NotFoundError: none is registered in MLflow yet.
            TimeoutError: MLflow still lacks something of it, as while the scheduler or the tracking server is away.
        """
        task = self.task(id)
        watch = Watch(self, SYNC_SECONDS)
        while task.ended and task.unsynced:
            watch.pause(f"MLflow has not got all of task {task.id[:SHORT]} {task.name}")
            task = self.task(task.id)
        return Model(best_of(self.checkpoints(id)), cast("Platform", self))

    def _source(self, task: Task, keys: Sequence[str]) -> "_Source":
        if (self.settings.task_dir(task.id) / TaskFile.CONFIG).exists():
            return _Record(self.settings, task.id, keys)
        return _Tracked(self, task.id, keys)


class _Source(Protocol):
    """Where the points of a task come from."""

    def new(self) -> list[Point]:
        """Points that were not told before."""
        ...

    def last(self) -> dict[str, float]:
        """The newest value of each metric."""
        ...

    def lags(self, task: Task) -> bool:
        """Whether more may come of a task that has ended."""
        ...


class _Record:
    """The training's own record, metrics.jsonl."""

    def __init__(self, settings: Settings, task_id: str, keys: Sequence[str]) -> None:
        self._path = settings.task_dir(task_id) / TaskFile.METRICS
        self._keys = frozenset(keys)
        self._offset = 0

    def new(self) -> list[Point]:
        points = []
        for record, offset in read_records(self._path, self._offset):
            self._offset = offset
            if record.get("kind") == "metrics" and (values := self._chosen(record["values"])):
                points.append(Point(int(record["step"]), record["t"] / 1000, values))
        return points

    def last(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for point in self.new():
            values.update(point.values)
        return values

    def lags(self, task: Task) -> bool:  # noqa: ARG002
        return False

    def _chosen(self, values: dict[str, Any]) -> dict[str, float]:
        return {key: _number(value) for key, value in values.items() if not self._keys or key in self._keys}


class _Tracked:
    """What MLflow has of a training, seconds behind its record."""

    def __init__(self, platform: Following, task_id: str, keys: Sequence[str]) -> None:
        self._platform = platform
        self._id = task_id
        self._keys = list(keys)
        self._since: dict[str, int] = {}

    def new(self) -> list[Point]:
        keys = self._keys or list(self.last())
        found: dict[tuple[float, int], dict[str, float]] = {}
        for key, series in self._platform.series(self._id, keys, self._since).items():
            for step, value, at in zip(series.steps, series.values, series.times, strict=True):
                found.setdefault((at, step), {})[key] = _number(value)
            if series.steps:
                self._since[key] = series.steps[-1]
        return [Point(step, at, values) for (at, step), values in sorted(found.items(), key=lambda item: item[0])]

    def last(self) -> dict[str, float]:
        data = self._platform._tracking.get("runs/get", run_id=self._id)["run"].get("data", {})
        return {metric["key"]: _number(metric["value"]) for metric in data.get("metrics", [])}

    def lags(self, task: Task) -> bool:
        return task.unsynced


def _facts(task: Task) -> dict[str, Any]:
    p = task.progress
    return {
        "name": task.name,
        "type": task.type,
        "state": str(task.state),
        "step": p.step,
        "total_steps": p.total_steps,
        "created_at": _moment(task.created_at),
        "started_at": _moment(task.started_at),
        "ended_at": _moment(task.ended_at),
        "device": task.device,
        "error": task.error,
    }


def _moment(seconds: float | None) -> Any:
    import pandas as pd

    return pd.NaT if seconds is None else pd.Timestamp(seconds, unit="s", tz="UTC")


def _number(value: Any) -> float:
    """NaN for what is no number: a record has None there, MLflow a text."""
    return float(value) if isinstance(value, int | float) else math.nan
