"""This script runs the migrations on the connection that `headrace.lineage.database` hands it."""

from __future__ import annotations

from alembic import context

from headrace.lineage import tables  # noqa: F401  declares the tables on the metadata
from headrace.lineage.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a column by copying the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
