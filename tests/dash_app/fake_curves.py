"""Curves and marks of the platform in memory: of its tasks, and of runs that others have logged."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minimind_platform.curves.buckets import Buckets
from minimind_platform.curves.history import RunFacts
from minimind_platform.curves.marks import Mark
from minimind_platform.curves.service import CurveAnswer
from minimind_platform.errors import NotFoundError
from minimind_platform.tasks import RUN_STATUS, Task
from trainer.names import Metric

if TYPE_CHECKING:
    from fake_platform import FakePlatform

KEYS = (
    Metric.LOSS,
    Metric.LOSS_MIN,
    Metric.LOSS_MAX,
    Metric.EVAL_LOSS,
    Metric.LEARNING_RATE,
    Metric.GRAD_NORM,
    Metric.TOKENS_PER_SECOND,
    Metric.TOKENS,
    Metric.EPOCH,
    Metric.MFU,
    Metric.CPU_PERCENT,
    Metric.MEMORY_MB,
)


class FakeCurves:
    """Answers as `minimind_platform.curves.service.Curves` does."""

    def __init__(self, platform: "FakePlatform") -> None:
        self.platform = platform
        self.foreign: dict[str, dict[str, Buckets]] = {}
        """Runs that are no tasks: curves by run and metric."""
        self.extra: dict[tuple[str, str], Buckets] = {}
        """Curves that stand for those of a task, by task and metric."""
        self.happened: dict[str, list[Mark]] = {}
        self.prepared: list[str] = []

    def read(
        self,
        run: str | Task,
        keys: Sequence[str],
        since: Mapping[str, tuple[int, int]] | None = None,
        wait: float | None = None,
    ) -> CurveAnswer:
        run_id = run if isinstance(run, str) else run.id
        curves = {key: self._curve(run_id, key) for key in keys} if self.platform.tracking else {}
        parts = {key: curve.part((since or {}).get(key)) for key, curve in curves.items() if curve is not None}
        return CurveAnswer({key: part for key, part in parts.items() if part}, [], self.platform.tracking)

    def prepare(self, run_id: str) -> None:
        self.prepared.append(run_id)

    def zoom(self, run_id: str, keys: Sequence[str], begin: int, end: int) -> CurveAnswer:
        found = {}
        for key in keys:
            curve, piece = self._curve(run_id, key), Buckets()
            whole = curve.part() if curve is not None else None
            for step, mean, at in zip(whole.steps, whole.mean, whole.times, strict=True) if whole else ():
                if begin <= step <= end:
                    piece.add(step, mean, at)
            if part := piece.part():
                found[key] = part
        return CurveAnswer(found, [], True)

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        if run_id in self.foreign:
            return RunFacts(run_id, "theirs", "RUNNING", "0", 1.0, None, None, {"lr": "0.1"}), sorted(
                self.foreign[run_id]
            )
        task = self.platform.all.get(run_id)
        if task is None:
            raise NotFoundError(f"There is no run {run_id!r}.")
        params = {name: str(value) for name, value in task.config.items()}
        times = task.started_at, task.ended_at
        facts = RunFacts(run_id, task.name, RUN_STATUS[task.state], "1", *times, run_id, params)
        return facts, sorted(KEYS) if task.progress.step else []

    def marks(self, run: str | Task, whole: bool = True) -> list[Mark]:
        run_id = run if isinstance(run, str) else run.id
        moves = [Mark("state", None, event.at, event.reason, event.after) for event in self.platform.history[run_id]]
        return sorted(moves + self.happened.get(run_id, []), key=lambda mark: mark.t)

    def forget(self, run_id: str) -> None:
        pass

    def _curve(self, run_id: str, key: str) -> Buckets | None:
        if run_id in self.foreign:
            return self.foreign[run_id].get(key)
        if (run_id, key) in self.extra:
            return self.extra[run_id, key]
        if key not in KEYS:
            return None
        series = self.platform.series(run_id, [key])[key]
        curve = Buckets()
        for step, value, at in zip(series.steps, series.values, series.times, strict=True):
            curve.add(step, value, at)
        return curve
