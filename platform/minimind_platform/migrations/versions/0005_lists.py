"""What lists of tasks are sorted by and show, as columns of their own; archived tasks."""

import json
import math
from typing import Any

from alembic import op
from sqlalchemy import Column, Connection, Float, String, Text, column, select, table, update

revision = "0005"
down_revision = "0004"

TASK = table(
    "task",
    *(Column(name, String) for name in ("id", "parent_id", "config", "progress", "differs")),
    *(Column(name, Float) for name in ("fraction", "loss", "reward")),
)


def upgrade() -> None:
    op.add_column("task", Column("archived_at", Float))
    op.add_column("task", Column("fraction", Float, nullable=False, server_default="0"))
    op.add_column("task", Column("loss", Float))
    op.add_column("task", Column("reward", Float))
    op.add_column("task", Column("differs", Text, nullable=False, server_default="[]"))
    listed = ["deleted_at", "archived_at", "sweep_id", "created_at", "id", "state", "type"]
    op.create_index("task_listed", "task", listed)  # the usual list, and its numbers by state, without reading tasks
    _fill(op.get_bind())


def _fill(connection: Connection) -> None:
    """The columns of tasks that are there already."""
    for row in connection.execute(select(column("id"), column("progress")).select_from(TASK)).all():
        progress = json.loads(row.progress)
        total = progress.get("total_steps") or 0
        reward = _number(progress.get("reward"))
        values = {
            "fraction": min(1.0, progress.get("step", 0) / total) if total else 0.0,
            "loss": _number(progress.get("loss")) if reward is None else None,
            "reward": reward,
        }
        connection.execute(update(TASK).where(TASK.c.id == row.id).values(values))
    made = select(TASK.c.id, TASK.c.parent_id, TASK.c.config).where(TASK.c.parent_id != "")
    for row in connection.execute(made).all():
        parent = connection.scalar(select(TASK.c.config).where(TASK.c.id == row.parent_id))
        if parent:
            differs = _differences(json.loads(parent), json.loads(row.config))
            connection.execute(update(TASK).where(TASK.c.id == row.id).values(differs=differs))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    changed = [(name, before.get(name), value) for name, value in after.items() if before.get(name) != value]
    return json.dumps([(name, _cut(old), _cut(new)) for name, old, new in changed], ensure_ascii=False)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= 200 else f"{text[:200]}…"


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
