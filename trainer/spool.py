"""The spool: the trainer's own record of a run, one JSON object a line in `metrics.jsonl`. Training only ever appends
to it; MLflow is fed from it (`trainer/uploads.py`), now or after the trainer is gone.

    spool = Spool(task_dir)
    spool.metrics(10, {Metric.LOSS: 2.31})
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.fault_points import reach
from trainer.names import TaskFile


class Spool:
    """Appends records. One writer a task; a record is on its way to the disk when the call returns."""

    def __init__(self, task_dir: Path) -> None:
        self.path = task_dir / TaskFile.METRICS
        self._cut_torn_line()
        self.last_step, self.last_eval_step = self._recorded_steps()
        self._file = self.path.open("ab", buffering=0)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Record numbers of one step. A step that an earlier attempt has recorded is not recorded again."""
        is_eval = all(key.startswith("eval/") for key in values)
        last = self.last_eval_step if is_eval else self.last_step
        if step <= last:
            return
        if is_eval:
            self.last_eval_step = step
        else:
            self.last_step = step
        self.write("metrics", step=step, values={key: _number(value) for key, value in values.items()})

    def system(self, step: int, values: dict[str, float]) -> None:
        """Record numbers of the machine; they may come twice for one step."""
        self.write("metrics", step=step, values={key: _number(value) for key, value in values.items()})

    def write(self, kind: str, **content: Any) -> None:
        """Append one record. The time is taken here, once, so that sending it twice stores it once."""
        record = {"kind": kind, "t": int(time.time() * 1000), **content}
        reach("spool.before_record")
        self._file.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        reach("spool.after_record")

    def flush(self) -> None:
        """Wait until everything recorded is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close; once is enough."""
        if self._file.closed:
            return
        self.flush()
        self._file.close()

    def _cut_torn_line(self) -> None:
        """A killed process may leave half a line; the next record must not be glued to it."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            content_end = file.seek(0, os.SEEK_END)
            if content_end == 0:
                return
            file.seek(max(0, content_end - 65_536))
            tail = file.read()
            if not tail.endswith(b"\n"):
                file.truncate(content_end - len(tail) + tail.rfind(b"\n") + 1)

    def _recorded_steps(self) -> tuple[int, int]:
        last, last_eval = 0, -1
        for record, _ in read_records(self.path):
            if record["kind"] != "metrics":
                continue
            if any(key.startswith("eval/") for key in record["values"]):
                last_eval = max(last_eval, record["step"])
            elif any(key.startswith("train/") for key in record["values"]):
                last = max(last, record["step"])
        return last, last_eval


class NoSpool(Spool):
    """Takes records and keeps none: one of several processes writes them all."""

    def __init__(self) -> None:
        self.last_step = self.last_eval_step = 0

    def write(self, kind: str, **content: Any) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity; None stands for both, and MLflow gets NaN."""
    return float(value) if math.isfinite(value) else None


def read_records(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """The complete records from a byte offset on.

    Args:
        path: the spool; it may not exist yet.
        offset: where to begin; the begin of a line.

    Yields:
        The record, and the offset behind it.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a damaged line costs one record, not the rest
            yield record, offset
