"""How many processes a task has: as many GPUs does it need at once."""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("task", Column("processes", Integer, nullable=False, server_default="1"))
