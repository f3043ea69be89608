"""This migration lets endpoints be held, promotions be approved, and guardrails keep count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    op.add_column("endpoint", sa.Column("held", sa.Text))
    op.create_table(
        "endpoint_consent",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("endpoint", sa.String(64), sa.ForeignKey("endpoint.name"), nullable=False),
        sa.Column("experiment", sa.String(16), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index(
        "endpoint_consent_by_experiment",
        "endpoint_consent",
        ["endpoint", "experiment", "number"],
    )
    op.create_table(
        "endpoint_guard",
        sa.Column("endpoint", sa.String(64), sa.ForeignKey("endpoint.name"), primary_key=True),
        sa.Column("experiment", sa.String(16), primary_key=True),
        sa.Column("model", sa.String(128), primary_key=True),
        sa.Column("counts", _JSON, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
