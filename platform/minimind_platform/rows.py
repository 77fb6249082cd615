"""Tasks as rows of the database, and back.

task = to_task(connection.execute(select(schema.task)).first())
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row

from minimind_platform.tasks import ENDED, Difference, Progress, State, Task

LONGEST_VALUE = 200
"""Characters of a setting that are kept of how a task differs from its parent."""


@dataclass(frozen=True)
class NewTask:
    """What a submit hands to the queue. Its id is the id of the MLflow run that exists already."""

    id: str
    key: str
    """Made by the caller so that a repeated submit gives one task; "" for none."""
    type: str
    name: str
    project: str
    experiment_id: str
    config: dict[str, Any]
    priority: int = 0
    parent_id: str = ""
    sweep_id: str = ""
    trial: int = -1


@dataclass(frozen=True)
class Waiting:
    """A queued task, as little of it as is needed to say why it waits."""

    id: str
    name: str
    wants: str
    """Device of its settings: auto, cpu, cuda, cuda:1."""
    processes: int
    not_before: float
    waits_for: str


@dataclass(frozen=True)
class Retries:
    """How often a task was started again by itself."""

    restarts: int
    fruitless: int
    """Attempts in a row that recorded no new step."""
    attempt_step: int
    """Step at which the current attempt began."""


def new_row(new: NewTask, parent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Columns of a task that was just submitted.

    Args:
        new: what was handed in.
        parent: the settings of the task that it was made from.
    """
    now = time.time()
    words = [new.name, new.id, new.type, str(new.config.get("data_path", ""))]
    return {
        "id": new.id,
        "key": new.key or None,
        "type": new.type,
        "name": new.name,
        "project": new.project,
        "experiment_id": new.experiment_id,
        "state": State.QUEUED.value,
        "config": json.dumps(new.config, ensure_ascii=False),
        "wants": str(new.config.get("device", "auto")),
        "processes": int(new.config.get("num_processes", 1)),
        "search": "\n".join(words).casefold(),
        "priority": new.priority,
        "parent_id": new.parent_id,
        "created_at": now,
        "queued_at": now,
        "not_before": 0.0,
        "attempt": 0,
        "attempt_step": 0,
        "restarts": 0,
        "fruitless": 0,
        "device": "",
        "waits_for": "",
        "progress": "{}",
        "fraction": 0.0,
        "differs": differences(parent, new.config) if parent else "[]",
        "error": "",
        "error_class": "",
        "hint": "",
        "mirrored_version": -1,
        "version": 0,
        "sweep_id": new.sweep_id,
        "trial": new.trial,
    }


def to_task(row: Row[Any]) -> Task:
    state = State(row.state)
    return Task(
        id=row.id,
        name=row.name,
        type=row.type,
        state=state,
        config=json.loads(row.config),
        created_at=row.created_at,
        priority=row.priority,
        project=row.project,
        experiment_id=row.experiment_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        attempt=row.attempt,
        device=row.device,
        waits_for=row.waits_for,
        progress=_to_progress(row.progress),
        error=row.error,
        error_class=row.error_class,
        hint=row.hint,
        parent_id=row.parent_id,
        unsynced=state in ENDED and row.mirrored_version < row.version,
        deleted_at=row.deleted_at,
        purging_at=row.purging_at,
        version=row.version,
        sweep_id=row.sweep_id,
        trial=row.trial,
        trial_state=row.trial_state,
        archived_at=row.archived_at,
        differs=tuple(Difference(*each) for each in json.loads(row.differs)),
        overrides=json.loads(row.overrides),
    )


def progress_columns(progress: Progress) -> dict[str, Any]:
    """All columns that progress has: the whole of it, and the numbers that lists are sorted by."""
    reward, loss = _finite(progress.reward), _finite(progress.loss)
    known = {"fraction": progress.fraction, "loss": loss if progress.reward is None else None, "reward": reward}
    return {"progress": json.dumps(asdict(progress))} | known


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Settings that two tasks do not share, as JSON: `[["learning_rate", 0.0005, 0.001]]`."""
    changed = [(name, before.get(name), value) for name, value in after.items() if before.get(name) != value]
    return json.dumps([(name, _cut(old), _cut(new)) for name, old, new in changed], ensure_ascii=False)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _to_progress(text: str) -> Progress:
    values = json.loads(text)
    return Progress(**values | {"trend": tuple(values.get("trend", ()))})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def effects(before: State, to: State) -> dict[str, Any]:
    """What a move changes besides the state, unless the mover says otherwise."""
    now = time.time()
    if to in ENDED:
        return {"ended_at": now, "waits_for": ""}
    if to is not State.QUEUED:
        return {"waits_for": ""}
    queued = {"queued_at": now, "ended_at": None, "archived_at": None, "error": "", "error_class": "", "hint": ""}
    if before in ENDED:  # a person wants it again: whatever went wrong before does not count
        queued |= {"not_before": 0.0, "restarts": 0, "fruitless": 0}
    return queued
