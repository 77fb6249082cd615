"""Attempts that go on with other settings than the task's own, and why the one before failed."""

from alembic import op
from sqlalchemy import Column, String, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("task", Column("overrides", Text, nullable=False, server_default="{}"))
    op.add_column("task_event", Column("error_class", String(40), nullable=False, server_default=""))
    op.add_column("task_event", Column("overrides", Text, nullable=False, server_default=""))
