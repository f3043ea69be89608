"""This migration creates the table of reads of sensitive features, which nobody may rewrite."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_SAID = "a read of features stays on record"


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "feature_read",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sort", sa.String(16), nullable=False),
        sa.Column("view", sa.String(200), nullable=False),
        sa.Column("columns", _JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flow", sa.String(200), nullable=False),
        sa.Column("run_id", sa.String(64)),
        sa.Column("endpoint", sa.String(64)),
        sa.Column("actor", sa.String(200), nullable=False),
    )
    op.create_index("feature_read_by_view", "feature_read", ["view", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION feature_read_stays() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_SAID}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER feature_read_stays BEFORE UPDATE OR DELETE ON feature_read "
            "FOR EACH ROW EXECUTE FUNCTION feature_read_stays()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER feature_read_stays_{change.lower()} BEFORE {change} ON feature_read "
            f"BEGIN SELECT RAISE(ABORT, '{_SAID}'); END"
        )
