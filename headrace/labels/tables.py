"""This module declares the tables of labeling for SQLAlchemy; the migrations create them.

label_task      what people are asked, one row a task
label_schema    every version of what may be answered; nothing is rewritten
label_batch     what was asked for at a time; its key makes asking twice asking once
label_item      one thing to label; items of a batch have their numbers in the order of asking
label_lease     which rater was given an item, until when
label_vote      every vote, skip and undo that was ever taken; a trigger refuses to rewrite one
label_standing  which of a rater's votes on an item stands: one, or none
label_part      how far a rater is in a batch, so that nothing looks through what they answered
label_rater     who may vote; a token itself is kept nowhere
label_session   who is signed in; a cookie itself is kept nowhere
label_notice    what is still to be told to whoever subscribed

Counts (votes, skips, done) change in the transaction of the vote that they count.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from headrace.lineage.database import Json, UtcTime, metadata

_TASK = String(64)
_VERSION = String(12)
_BATCH = String(32)
_RATER = String(64)
_DIGEST = String(64)

label_task = Table(
    "label_task",
    metadata,
    Column("name", _TASK, primary_key=True),
    Column("document", Json, nullable=False),
    Column("schema_version", _VERSION, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
)

label_schema = Table(
    "label_schema",
    metadata,
    Column("task", _TASK, ForeignKey("label_task.name"), primary_key=True),
    Column("version", _VERSION, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("document", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
)

label_batch = Table(
    "label_batch",
    metadata,
    Column("id", _BATCH, primary_key=True),
    Column("task", _TASK, ForeignKey("label_task.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("schema_version", _VERSION, nullable=False),
    Column("key", _DIGEST, nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("backend", String(16), nullable=False),
    Column("external", Json),
    # the task as it was when the batch was asked for: overlap, suggestions, leases, raters
    Column("terms", Json, nullable=False),
    Column("items", Integer, nullable=False),
    Column("gold", Integer, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("skips", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("deadline", UtcTime),
    Column("ended_at", UtcTime),
    Column("ended_by", String(200)),
    Column("why", Text, nullable=False),
    Column("run_id", String(64)),
    Column("actor", String(200), nullable=False),
    UniqueConstraint("task", "number", name="label_batch_number"),
    Index("label_batch_by_status", "task", "status"),
)

label_item = Table(
    "label_item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch", _BATCH, ForeignKey("label_batch.id"), nullable=False),
    Column("entity", Text, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("shown", Json, nullable=False),
    Column("slice", String(8), nullable=False),
    Column("priority", Float, nullable=False),
    Column("suggested", Text),
    Column("suggested_by", String(200)),
    Column("confidence", Float),
    Column("gold", Text),
    Column("overlap", Integer, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("skips", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    UniqueConstraint("batch", "entity", name="label_item_once"),
    CheckConstraint("votes <= overlap", name="label_item_never_over"),
    Index("label_item_next", "batch", "open", "id"),
)

label_lease = Table(
    "label_lease",
    metadata,
    Column("item", Integer, ForeignKey("label_item.id"), primary_key=True),
    Column("rater", _RATER, primary_key=True),
    Column("lease", String(32), nullable=False, unique=True),
    Column("given_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("suggestion_shown", Boolean, nullable=False),
    # number of the vote or skip that was undone to be given again
    Column("corrects", Integer),
    Index("label_lease_of_rater", "rater", "expires_at"),
)

# written, never changed: a trigger refuses it
label_vote = Table(
    "label_vote",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("item", Integer, ForeignKey("label_item.id"), nullable=False),
    Column("batch", _BATCH, nullable=False),
    Column("rater", _RATER, nullable=False),
    Column("source", String(16), nullable=False),
    Column("sort", String(8), nullable=False),  # vote, skip or undo
    Column("label", Text),
    Column("skipped", Text),
    Column("supersedes", Integer),
    Column("ms", Integer),
    Column("at", UtcTime, nullable=False),
    Column("schema_version", _VERSION, nullable=False),
    Column("suggestion_shown", Boolean, nullable=False),
    Column("lease", String(32)),
    # what makes a request that is sent twice one vote: the page's, or another back-end's id
    Column("request", String(128), nullable=False, unique=True),
    Index("label_vote_by_item", "item", "rater"),
    Index("label_vote_by_batch", "batch", "number"),
    Index("label_vote_by_rater", "rater", "number"),
    sqlite_autoincrement=True,
)

label_standing = Table(
    "label_standing",
    metadata,
    Column("item", Integer, ForeignKey("label_item.id"), primary_key=True),
    Column("rater", _RATER, primary_key=True),
    # rater or adjudicator: who settles a tie may have voted on the item before
    Column("role", String(16), primary_key=True),
    Column("vote", Integer, ForeignKey("label_vote.number"), nullable=False),
)

label_part = Table(
    "label_part",
    metadata,
    Column("batch", _BATCH, ForeignKey("label_batch.id"), primary_key=True),
    Column("rater", _RATER, primary_key=True),
    # every item up to this one is answered by the rater, or has all its votes
    Column("passed", Integer, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("skips", Integer, nullable=False),
)

label_rater = Table(
    "label_rater",
    metadata,
    Column("name", _RATER, primary_key=True),
    Column("token_id", String(12), nullable=False, unique=True),
    Column("digest", _DIGEST, nullable=False),
    Column("adjudicates", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("revoked_at", UtcTime),
)

label_session = Table(
    "label_session",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("rater", _RATER, ForeignKey("label_rater.name"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index("label_session_of_rater", "rater", "seen_at"),
)

label_notice = Table(
    "label_notice",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("event", String(100), nullable=False),
    Column("resource", String(200), nullable=False),
    Column("payload", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("told_at", UtcTime),
    Index("label_notice_waiting", "told_at", "at"),
)
