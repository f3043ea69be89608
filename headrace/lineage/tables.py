"""This module declares the tables of lineage for SQLAlchemy; the migrations create them.

Edges are one table of directed pairs, from what was first to what came of it, so that a walk in
either direction is one indexed join:

    input    artifact → invocation    the invocation read the artifact
    output   invocation → artifact    the invocation executed and made it
    reuse    invocation → invocation  the second was answered from the cache by the first
    repeat   invocation → artifact    the invocation was cached and passed the artifact on; a walk
                                      up from the artifact goes to its makers and not through these
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from headrace.lineage.database import Json, UtcTime, WholeNumber, metadata

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("flow", String(200), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("origin", String(32), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("seed", WholeNumber, nullable=False),
    Column("prefect_run_id", String(64)),
    Column("mlflow_run_id", String(64)),
    Column("machine", Json, nullable=False),
    Index("run_by_flow", "flow", "started_at"),
    Index("run_by_time", "started_at"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("schema", Json),
    Column("rows", BigInteger),
    Column("bytes", BigInteger, nullable=False),
    Column("uri", Text, nullable=False),
    Column("summary", Json, nullable=False),
)

invocation = Table(
    "invocation",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run_id", String(64), ForeignKey("run.id"), nullable=False),
    Column("node", String(400), nullable=False),
    Column("operator", String(400), nullable=False),
    Column("state", String(16), nullable=False),
    Column("key", String(64)),
    Column("key_parts", Json, nullable=False),
    Column("uncached_because", Json, nullable=False),
    Column("reused_from", String(64)),
    Column("seed", WholeNumber),
    Column("started_at", UtcTime, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("effect", Boolean, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("attributes", Json, nullable=False),
    Index("invocation_by_run", "run_id", "started_at"),
    Index("invocation_by_node", "node", "started_at"),
    Index("invocation_by_key", "key", "started_at"),
)

edge = Table(
    "edge",
    metadata,
    Column("earlier", String(64), nullable=False),
    Column("later", String(64), nullable=False),
    Column("sort", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Index("edge_by_earlier", "earlier", "sort"),
    Index("edge_by_later", "later", "sort"),
)

run_tag = Table(
    "run_tag",
    metadata,
    Column("run_id", String(64), ForeignKey("run.id"), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Index("run_tag_by_name", "name", "value"),
)

approval = Table(
    "approval",
    metadata,
    Column("run_id", String(64), ForeignKey("run.id"), primary_key=True),
    Column("node", String(400), primary_key=True),
    Column("question", Text, nullable=False),
    Column("about", Json, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("approved", Boolean),
    Column("actor", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_at", UtcTime),
    Column("origin", String(32), nullable=False),
)

# written, never changed: a trigger refuses it
feature_read = Table(
    "feature_read",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sort", String(16), nullable=False),
    Column("view", String(200), nullable=False),
    Column("columns", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("rows", BigInteger),
    Column("at", UtcTime, nullable=False),
    Column("flow", String(200), nullable=False),
    Column("run_id", String(64)),
    Column("endpoint", String(64)),
    Column("actor", String(200), nullable=False),
    Index("feature_read_by_view", "view", "id"),
)
