"""This migration creates the tables of what people say about runs: tags and approvals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "run_tag",
        sa.Column("run_id", sa.String(64), _of_run(), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
    )
    op.create_index("run_tag_by_name", "run_tag", ["name", "value"])
    op.create_table(
        "approval",
        sa.Column("run_id", sa.String(64), _of_run(), primary_key=True),
        sa.Column("node", sa.String(400), primary_key=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("about", _JSON, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("approved", sa.Boolean),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("decided_at", _TIME),
        sa.Column("origin", sa.String(32), nullable=False),
    )


def _of_run() -> sa.ForeignKey:
    return sa.ForeignKey("run.id")
