"""Indexes for many tasks: lists are sorted without reading tasks, and no round of the servers reads all of them."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"

LISTED = ["deleted_at", "archived_at", "sweep_id", "created_at", "id", "state", "type"]
SORTED = ["started_at", "ended_at", "fraction", "loss", "reward", "priority", "queued_at"]
WAITING = ["state", "deleted_at", "wants", "processes", "queued_at", "priority", "created_at", "id", "not_before"]


def upgrade() -> None:
    op.drop_index("task_listed", "task")
    op.create_index("task_listed", "task", LISTED + SORTED)
    op.drop_index("task_sweep_id", "task")
    _partial("task_sweep_id", ["sweep_id", "deleted_at"], "sweep_id != ''")
    _partial("task_trial_state", ["sweep_id", "trial_state"], "sweep_id != ''")
    _partial("task_waiting", WAITING, "state = 'QUEUED'")
    _partial("task_unmirrored", ["deleted_at", "created_at"], "mirrored_version < version")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "task", columns, sqlite_where=text(where), postgresql_where=text(where))
