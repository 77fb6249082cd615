"""How far a training is, from the newest records of its spool.

reader = ProgressReader(task_dir)
progress = reader.read()       # looks only at what was written since the last call
"""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from minimind_platform.tasks import Progress
from minimind_platform.trend import Trend
from trainer.names import Metric, TaskFile

CHUNK = 4 << 20
"""Bytes looked at in one call, so that a large spool does not hold up the scheduler."""
FIELDS = {
    Metric.LOSS: "loss",
    Metric.EVAL_LOSS: "eval_loss",
    Metric.REWARD: "reward",
    Metric.EVAL_REWARD: "eval_reward",
    Metric.LEARNING_RATE: "learning_rate",
    Metric.TOKENS_PER_SECOND: "tokens_per_second",
    Metric.EPOCH: "epoch",
}


class ProgressReader:
    """Follows one spool. Made anew it reads from the beginning and comes to the same result."""

    def __init__(self, task_dir: Path) -> None:
        self._path = task_dir / TaskFile.METRICS
        self._offset = 0
        self._progress = Progress()
        self._begin = (0, 0)  # step and time of the current attempt's begin
        self._newest = (0, 0)
        self._trend = Trend()
        self._trend_of = Metric.LOSS
        self._notices: list[dict[str, Any]] = []

    @property
    def newest_step(self) -> int:
        """The newest step of this attempt, also one that is done again and not recorded."""
        return self._newest[0]

    def notices(self) -> list[dict[str, Any]]:
        """Events that people are to be told of, since the last call."""
        found, self._notices = self._notices, []
        return found

    def read(self, to_the_end: bool = False) -> Progress:
        """Progress as of now: after the next few megabytes, or after all there is."""
        while lines := self._new_lines():
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):  # a damaged record costs itself only
                    self._take(json.loads(line))
            if not to_the_end:
                break
        return replace(self._progress, seconds_left=self._seconds_left(), trend=self._trend.values())

    def _new_lines(self) -> list[bytes]:
        if not self._path.exists():
            return []
        if self._path.stat().st_size < self._offset:  # begun afresh
            self.__init__(self._path.parent)
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read(CHUNK)
        complete = block.rpartition(b"\n")[0]
        self._offset += len(complete) + 1 if complete else 0
        return complete.splitlines()

    def _take(self, record: dict[str, Any]) -> None:
        if record["kind"] == "begin":
            self._begin = self._newest = (record["step"], record["t"])
            known = {"total_steps": record.get("total_steps", 0), "epochs": record.get("epochs", 0)}
            self._progress = replace(self._progress, **known)
        elif record["kind"] == "event" and record.get("notify"):
            self._notices.append({name: record[name] for name in ("name", "text", "step", "t")})
        elif record["kind"] == "metrics":
            values = {FIELDS[key]: value for key, value in record["values"].items() if key in FIELDS}
            if values.get("epoch", 0.0) is None:
                del values["epoch"]
            if record["step"] >= self._newest[0]:
                self._newest = (record["step"], record["t"])
            self._follow(record["values"])
            step = max(self._progress.step, record["step"])
            self._progress = replace(self._progress, step=step, **values)

    def _follow(self, values: dict[str, Any]) -> None:
        if self._trend_of is Metric.LOSS and Metric.REWARD in values:
            self._trend, self._trend_of = Trend(), Metric.REWARD
        self._trend.add(values.get(self._trend_of))

    def _seconds_left(self) -> float | None:
        steps, milliseconds = self._newest[0] - self._begin[0], self._newest[1] - self._begin[1]
        ahead = self._progress.total_steps - self._newest[0]
        if steps <= 0 or milliseconds <= 0 or self._progress.total_steps <= 0:
            return None
        return max(0.0, ahead * milliseconds / steps / 1000)
