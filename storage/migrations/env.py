"""Runs the migrations on the connection that `storage.database.opening.migrate` hands over."""

from alembic import context

from storage.database.columns import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
