"""Tasks, their history and the leases of slots."""

from alembic import op
from sqlalchemy import Column, Float, Integer, String, Text, UniqueConstraint

from minimind_platform.schema import trigger_sql
from minimind_platform.tasks import MOVES

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "task",
        Column("id", String(64), primary_key=True),
        Column("key", String(200)),
        Column("type", String(40), nullable=False),
        Column("name", Text, nullable=False),
        Column("project", Text, nullable=False),
        Column("experiment_id", String(64), nullable=False),
        Column("state", String(16), nullable=False),
        Column("config", Text, nullable=False),
        Column("wants", String(40), nullable=False),
        Column("search", Text, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("parent_id", String(64), nullable=False),
        Column("created_at", Float, nullable=False),
        Column("queued_at", Float, nullable=False),
        Column("not_before", Float, nullable=False),
        Column("started_at", Float),
        Column("ended_at", Float),
        Column("attempt", Integer, nullable=False),
        Column("attempt_step", Integer, nullable=False),
        Column("restarts", Integer, nullable=False),
        Column("fruitless", Integer, nullable=False),
        Column("device", String(40), nullable=False),
        Column("waits_for", Text, nullable=False),
        Column("progress", Text, nullable=False),
        Column("error", Text, nullable=False),
        Column("error_class", String(40), nullable=False),
        Column("hint", Text, nullable=False),
        Column("mirrored_version", Integer, nullable=False),
        Column("deleted_at", Float),
        Column("version", Integer, nullable=False),
        UniqueConstraint("key", name="task_key"),
    )
    op.create_index("task_state", "task", ["state"])
    op.create_index("task_created_at", "task", ["created_at"])
    op.create_table(
        "task_event",
        Column("number", Integer, primary_key=True, autoincrement=True),
        Column("task_id", String(64), nullable=False),
        Column("at", Float, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("before", String(16), nullable=False),
        Column("after", String(16), nullable=False),
        Column("reason", Text, nullable=False),
    )
    op.create_index("task_event_task_id", "task_event", ["task_id"])
    op.create_table(
        "lease",
        Column("slot", String(40), primary_key=True),
        Column("task_id", String(64), nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("taken_at", Float, nullable=False),
    )
    for statement in trigger_sql(MOVES, op.get_bind().dialect.name):
        op.execute(statement)
