"""Alembic's entry: the connection comes from collector.migrate, which holds the lock and the transaction."""

from alembic import context

from collector.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
