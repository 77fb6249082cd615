"""Answers of a training by rewards, written down to be looked at: `samples.jsonl` in the task directory, a line each.

log = SampleLog(task_dir)
log.write(step, answers)
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.experience import Answer
from trainer.names import TaskFile


class SampleLog:
    """Appends to the file."""

    def __init__(self, task_dir: Path) -> None:
        self._path = task_dir / TaskFile.SAMPLES

    def forget_after(self, step: int) -> None:
        """Drop what an attempt wrote that was lost after its last checkpoint: those steps are done again."""
        if not self._path.exists():
            return
        kept = [line for line in self._path.read_bytes().splitlines(keepends=True) if _step(line) <= step]
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(b"".join(kept))
        temporary.replace(self._path)

    def write(self, step: int, answers: Sequence[Answer]) -> None:
        """Add answers of a step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(_record(step, answer), ensure_ascii=False) + "\n" for answer in answers)


def _step(line: bytes) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # a line that was cut by a crash
        return float("inf")


def _record(step: int, answer: Answer) -> dict[str, Any]:
    rounded = {name: _number(score) for name, score in (answer.scores or {}).items()}
    return {
        "step": step,
        "prompt": "\n\n".join(str(m.get("content") or "") for m in answer.prompt.messages if m["role"] != "system"),
        "completion": ("<think>\n" if answer.prompt.thinking else "") + answer.text,
        "gt": list(answer.prompt.gt),
        "reward": _number(answer.reward),
        "rewards": rounded,
        "advantage": _number(answer.advantage),
        "tokens": len(answer),
        "ended": bool(answer.completion.ended),
        "problem": answer.problem,
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if value == value else None
