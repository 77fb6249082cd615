"""Alembic's entry point. `database.open_engine` runs it with a connection; it is never called by hand."""

from alembic import context

from minimind_platform import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
with context.begin_transaction():
    context.run_migrations()
