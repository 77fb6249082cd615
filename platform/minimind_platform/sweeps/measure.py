"""What a trial has reached, from the records of its task.

measure = Measure(task_dir, spec.objectives)
measure.read()
measure.values(), measure.reports[30]
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimind_platform.sweeps.spec import Objective
from trainer.names import Metric, TaskFile
from trainer.spool import read_records

MEMORY = (Metric.GPU_MEMORY_MB, Metric.MEMORY_MB)
"""Where a GPU is used its memory counts, else that of the process."""


@dataclass
class _Points:
    """One metric so far."""

    last: float = math.nan
    smallest: float = math.inf
    largest: float = -math.inf
    total: float = 0.0
    count: int = 0

    def take(self, value: float) -> None:
        self.last = value
        self.smallest, self.largest = min(self.smallest, value), max(self.largest, value)
        self.total, self.count = self.total + value, self.count + 1

    def value(self, objective: Objective) -> float:
        if objective.taken == "last":
            return self.last
        if objective.taken == "mean":
            return self.total / self.count
        return self.smallest if objective.direction == "minimize" else self.largest


class Measure:
    """Follows one trial. Made anew it reads from the beginning and comes to the same result."""

    def __init__(self, task_dir: Path, objectives: Sequence[Objective]) -> None:
        self._path = task_dir / TaskFile.METRICS
        self._offset = 0
        self._objectives = tuple(objectives)
        self._points: dict[str, _Points] = {}
        self._total_steps = 0
        self.reports: dict[int, float] = {}
        """The first objective by percent of the training done, 1 to 100."""
        self.metrics: set[str] = set()
        """Every metric that was recorded."""
        self.memory_mb = 0.0
        """The most memory that was measured."""

    def read(self) -> None:
        """Take in what is new."""
        for record, offset in read_records(self._path, self._offset):
            self._offset = offset
            with suppress(KeyError, TypeError, ValueError):  # a damaged record costs itself only
                self._take(record)

    def missing(self) -> list[str]:
        """Objectives without any point."""
        return [o.metric for o in self._objectives if o.metric not in self._points]

    def values(self) -> list[float]:
        """The value of each objective, not finite where it cannot be told; only if none is missing."""
        return [self._points[o.metric].value(o) for o in self._objectives]

    def _take(self, record: dict[str, Any]) -> None:
        if record["kind"] == "begin":
            self._total_steps = record.get("total_steps") or self._total_steps
        elif record["kind"] == "metrics":
            values = record["values"]
            self.metrics |= values.keys()
            memory = next((values[name] for name in MEMORY if values.get(name)), 0.0)
            self.memory_mb = max(self.memory_mb, memory)
            for number, objective in enumerate(self._objectives):
                if objective.metric in values:
                    self._take_point(number, objective.metric, values[objective.metric], record["step"])

    def _take_point(self, number: int, metric: str, value: float | None, step: int) -> None:
        value = math.nan if value is None else float(value)
        self._points.setdefault(metric, _Points()).take(value)
        if number == 0 and self._total_steps:
            percent = math.ceil(100 * min(step, self._total_steps) / self._total_steps)
            self.reports.setdefault(max(1, percent), value)
