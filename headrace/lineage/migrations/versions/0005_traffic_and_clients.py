"""This migration lets endpoints deal traffic, lanes have replicas, and clients have keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    op.add_column("endpoint", sa.Column("also", _JSON))
    op.add_column("endpoint", sa.Column("traffic", _JSON))
    op.add_column("endpoint_lane", sa.Column("front", sa.String(200)))
    op.add_column("endpoint_lane", sa.Column("replicas", _JSON))
    op.create_table(
        "endpoint_client",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("endpoints", _JSON, nullable=False),
        sa.Column("verbs", _JSON, nullable=False),
        sa.Column("per_second", sa.Float),
        sa.Column("burst", sa.Integer),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("revoked_by", sa.String(200)),
    )
