"""This migration creates the tables of endpoints: routes, changes, pairs, verdicts and lanes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "endpoint",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("champion", sa.String(128), nullable=False),
        sa.Column("challenger", sa.String(128)),
        sa.Column("experiment", sa.String(16)),
        sa.Column("previous", sa.String(128)),
        sa.Column("spec", _JSON, nullable=False),
    )
    op.create_table(
        "endpoint_change",
        sa.Column("endpoint", sa.String(64), _of_endpoint(), primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", _JSON),
        sa.Column("after", _JSON, nullable=False),
        sa.Column("spec", _JSON),
        sa.Column("trace", _JSON),
    )
    op.create_table(
        "endpoint_pair",
        sa.Column("endpoint", sa.String(64), _of_endpoint(), primary_key=True),
        sa.Column("champion", sa.String(128), primary_key=True),
        sa.Column("challenger", sa.String(128), primary_key=True),
    )
    op.create_table(
        "endpoint_verdict",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("endpoint", sa.String(64), _of_endpoint(), nullable=False),
        sa.Column("experiment", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("trace", _JSON, nullable=False),
    )
    by_experiment = ["endpoint", "experiment", "number"]
    op.create_index("endpoint_verdict_by_experiment", "endpoint_verdict", by_experiment)
    op.create_table(
        "endpoint_lane",
        sa.Column("endpoint", sa.String(64), _of_endpoint(), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("url", sa.String(200)),
        sa.Column("pid", sa.Integer),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )


def _of_endpoint() -> sa.ForeignKey:
    return sa.ForeignKey("endpoint.name")
