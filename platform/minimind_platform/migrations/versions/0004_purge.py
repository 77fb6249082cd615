"""Deleted tasks and sweeps can be removed for good, their history with them."""

from alembic import op
from sqlalchemy import Column, Float

from minimind_platform.schema import purge_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("task", Column("purging_at", Float))
    op.add_column("sweep", Column("purging_at", Float))
    for statement in purge_sql(op.get_bind().dialect.name):
        op.execute(statement)
