"""Alembic's entry: migrates the connection that `storage.database` hands over."""

from alembic import context

from modelmark.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
