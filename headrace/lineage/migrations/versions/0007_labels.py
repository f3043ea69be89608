"""This migration creates the tables of labeling; what was voted nobody may rewrite."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)
_TASK, _VERSION, _BATCH = sa.String(64), sa.String(12), sa.String(32)
_RATER, _DIGEST = sa.String(64), sa.String(64)


def upgrade() -> None:
    """Apply the change."""
    _create_tasks()
    _create_items()
    _create_votes()
    _create_raters()
    for table, said in (("label_vote", "a vote stays"), ("label_schema", "a schema stays")):
        _keep(table, f"{said} as it was given")


def _create_tasks() -> None:
    op.create_table(
        "label_task",
        sa.Column("name", _TASK, primary_key=True),
        sa.Column("document", _JSON, nullable=False),
        sa.Column("schema_version", _VERSION, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
    )
    op.create_table(
        "label_schema",
        sa.Column("task", _TASK, sa.ForeignKey("label_task.name"), primary_key=True),
        sa.Column("version", _VERSION, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", _JSON, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
    )
    op.create_table(
        "label_batch",
        sa.Column("id", _BATCH, primary_key=True),
        sa.Column("task", _TASK, sa.ForeignKey("label_task.name"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("schema_version", _VERSION, nullable=False),
        sa.Column("key", _DIGEST, nullable=False, unique=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("backend", sa.String(16), nullable=False),
        sa.Column("external", _JSON),
        sa.Column("terms", _JSON, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("gold", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("skips", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deadline", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("ended_by", sa.String(200)),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(64)),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.UniqueConstraint("task", "number", name="label_batch_number"),
    )
    op.create_index("label_batch_by_status", "label_batch", ["task", "status"])


def _create_items() -> None:
    op.create_table(
        "label_item",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("batch", _BATCH, sa.ForeignKey("label_batch.id"), nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("as_of", _TIME, nullable=False),
        sa.Column("shown", _JSON, nullable=False),
        sa.Column("slice", sa.String(8), nullable=False),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("suggested", sa.Text),
        sa.Column("suggested_by", sa.String(200)),
        sa.Column("confidence", sa.Float),
        sa.Column("gold", sa.Text),
        sa.Column("overlap", sa.Integer, nullable=False),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("skips", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.UniqueConstraint("batch", "entity", name="label_item_once"),
        sa.CheckConstraint("votes <= overlap", name="label_item_never_over"),
    )
    op.create_index("label_item_next", "label_item", ["batch", "open", "id"])
    op.create_table(
        "label_lease",
        sa.Column("item", sa.Integer, sa.ForeignKey("label_item.id"), primary_key=True),
        sa.Column("rater", _RATER, primary_key=True),
        sa.Column("lease", sa.String(32), nullable=False, unique=True),
        sa.Column("given_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("suggestion_shown", sa.Boolean, nullable=False),
        sa.Column("corrects", sa.Integer),
    )
    op.create_index("label_lease_of_rater", "label_lease", ["rater", "expires_at"])


def _create_votes() -> None:
    op.create_table(
        "label_vote",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("item", sa.Integer, sa.ForeignKey("label_item.id"), nullable=False),
        sa.Column("batch", _BATCH, nullable=False),
        sa.Column("rater", _RATER, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("sort", sa.String(8), nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("skipped", sa.Text),
        sa.Column("supersedes", sa.Integer),
        sa.Column("ms", sa.Integer),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("schema_version", _VERSION, nullable=False),
        sa.Column("suggestion_shown", sa.Boolean, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("request", sa.String(128), nullable=False, unique=True),
        sqlite_autoincrement=True,
    )
    op.create_index("label_vote_by_item", "label_vote", ["item", "rater"])
    op.create_index("label_vote_by_batch", "label_vote", ["batch", "number"])
    op.create_index("label_vote_by_rater", "label_vote", ["rater", "number"])
    op.create_table(
        "label_standing",
        sa.Column("item", sa.Integer, sa.ForeignKey("label_item.id"), primary_key=True),
        sa.Column("rater", _RATER, primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("vote", sa.Integer, sa.ForeignKey("label_vote.number"), nullable=False),
    )
    op.create_table(
        "label_part",
        sa.Column("batch", _BATCH, sa.ForeignKey("label_batch.id"), primary_key=True),
        sa.Column("rater", _RATER, primary_key=True),
        sa.Column("passed", sa.Integer, nullable=False),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("skips", sa.Integer, nullable=False),
    )


def _create_raters() -> None:
    op.create_table(
        "label_rater",
        sa.Column("name", _RATER, primary_key=True),
        sa.Column("token_id", sa.String(12), nullable=False, unique=True),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("adjudicates", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "label_session",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("rater", _RATER, sa.ForeignKey("label_rater.name"), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
    )
    op.create_index("label_session_of_rater", "label_session", ["rater", "seen_at"])
    op.create_table(
        "label_notice",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("event", sa.String(100), nullable=False),
        sa.Column("resource", sa.String(200), nullable=False),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("told_at", _TIME),
    )
    op.create_index("label_notice_waiting", "label_notice", ["told_at", "at"])


def _keep(table: str, said: str) -> None:
    """Have the database refuse to rewrite or remove a row."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_stays() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_stays()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_stays_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )
