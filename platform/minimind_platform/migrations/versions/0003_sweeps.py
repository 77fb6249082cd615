"""Sweeps, and to which of them a task belongs."""

from alembic import op
from sqlalchemy import Column, Float, Integer, String, Text, UniqueConstraint, text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("task", Column("sweep_id", String(64), nullable=False, server_default=""))
    op.add_column("task", Column("trial", Integer, nullable=False, server_default="-1"))
    op.add_column("task", Column("trial_state", String(16), nullable=False, server_default=""))
    op.create_index("task_sweep_id", "task", ["sweep_id"])
    op.create_table(
        "sweep",
        Column("id", String(64), primary_key=True),
        Column("key", String(200)),
        Column("name", Text, nullable=False),
        Column("state", String(16), nullable=False),
        Column("spec", Text, nullable=False),
        Column("search", Text, nullable=False),
        Column("experiment_id", String(64), nullable=False),
        Column("reason", Text, nullable=False),
        Column("summary", Text, nullable=False),
        Column("created_at", Float, nullable=False),
        Column("running_since", Float),
        Column("ran_seconds", Float, nullable=False),
        Column("ended_at", Float),
        Column("deleted_at", Float),
        Column("mirrored_version", Integer, nullable=False),
        Column("version", Integer, nullable=False),
        UniqueConstraint("key", name="sweep_key"),
    )
    kept = text("deleted_at IS NULL")
    op.create_index("sweep_name", "sweep", ["name"], unique=True, sqlite_where=kept, postgresql_where=kept)
    op.create_index("sweep_created_at", "sweep", ["created_at"])
