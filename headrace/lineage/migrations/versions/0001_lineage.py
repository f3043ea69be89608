"""This migration creates the tables of lineage: run, artifact, invocation and edge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "run",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("flow", sa.String(200), nullable=False),
        sa.Column("parameters", _JSON, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("seed", sa.String(80), nullable=False),
        sa.Column("prefect_run_id", sa.String(64)),
        sa.Column("mlflow_run_id", sa.String(64)),
        sa.Column("machine", _JSON, nullable=False),
    )
    op.create_index("run_by_flow", "run", ["flow", "started_at"])
    op.create_index("run_by_time", "run", ["started_at"])
    op.create_table(
        "artifact",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("schema", _JSON),
        sa.Column("rows", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("summary", _JSON, nullable=False),
    )
    _create_invocation()
    _create_edge()


def _create_invocation() -> None:
    op.create_table(
        "invocation",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("run.id"), nullable=False),
        sa.Column("node", sa.String(400), nullable=False),
        sa.Column("operator", sa.String(400), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("key_parts", _JSON, nullable=False),
        sa.Column("uncached_because", _JSON, nullable=False),
        sa.Column("reused_from", sa.String(64)),
        sa.Column("seed", sa.String(80)),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("effect", sa.Boolean, nullable=False),
        sa.Column("parameters", _JSON, nullable=False),
        sa.Column("attributes", _JSON, nullable=False),
    )
    op.create_index("invocation_by_run", "invocation", ["run_id", "started_at"])
    op.create_index("invocation_by_node", "invocation", ["node", "started_at"])
    op.create_index("invocation_by_key", "invocation", ["key", "started_at"])


def _create_edge() -> None:
    op.create_table(
        "edge",
        sa.Column("earlier", sa.String(64), nullable=False),
        sa.Column("later", sa.String(64), nullable=False),
        sa.Column("sort", sa.String(8), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("edge_by_earlier", "edge", ["earlier", "sort"])
    op.create_index("edge_by_later", "edge", ["later", "sort"])
