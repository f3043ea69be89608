"""This module declares the tables of endpoints for SQLAlchemy; the migrations create them.

endpoint          what answers now; one row an endpoint, each change by compare and swap
endpoint_change   every change that was ever made, one row a generation; nothing is rewritten
endpoint_pair     pairs of champion and challenger that were declared or compared
endpoint_verdict  what the rule said of an experiment, one row a judgement
endpoint_consent  what people said to a promotion; nothing is rewritten
endpoint_guard    what the guardrails have counted so far, one row an experiment and model
endpoint_lane     what the serving host sees of its lane; the newest alone is kept
endpoint_client   who may ask endpoints, by which key; a key itself is kept nowhere
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from headrace.lineage.database import Json, UtcTime, metadata

_ENDPOINT = String(64)
_MODEL = String(128)
_EXPERIMENT = String(16)

endpoint = Table(
    "endpoint",
    metadata,
    Column("name", _ENDPOINT, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("champion", _MODEL, nullable=False),
    Column("challenger", _MODEL),
    Column("experiment", _EXPERIMENT),
    Column("previous", _MODEL),
    Column("also", Json),
    Column("traffic", Json),
    Column("held", Text),
    Column("spec", Json, nullable=False),
)

change = Table(
    "endpoint_change",
    metadata,
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("action", String(16), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Json),
    Column("after", Json, nullable=False),
    Column("spec", Json),
    Column("trace", Json),
)

pair = Table(
    "endpoint_pair",
    metadata,
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), primary_key=True),
    Column("champion", _MODEL, primary_key=True),
    # "" where there is none: a part of a key may not be null
    Column("challenger", _MODEL, primary_key=True),
)

verdict = Table(
    "endpoint_verdict",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), nullable=False),
    Column("experiment", _EXPERIMENT, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("trace", Json, nullable=False),
    Index("endpoint_verdict_by_experiment", "endpoint", "experiment", "number"),
)

consent = Table(
    "endpoint_consent",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), nullable=False),
    Column("experiment", _EXPERIMENT, nullable=False),
    Column("rule", String(64), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("endpoint_consent_by_experiment", "endpoint", "experiment", "number"),
)

guard = Table(
    "endpoint_guard",
    metadata,
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), primary_key=True),
    Column("experiment", _EXPERIMENT, primary_key=True),
    Column("model", _MODEL, primary_key=True),
    Column("counts", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
)

lane = Table(
    "endpoint_lane",
    metadata,
    Column("endpoint", _ENDPOINT, ForeignKey("endpoint.name"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("url", String(200)),
    Column("pid", Integer),
    Column("front", String(200)),
    Column("replicas", Json),
    Column("message", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

client = Table(
    "endpoint_client",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("endpoints", Json, nullable=False),
    Column("verbs", Json, nullable=False),
    Column("per_second", Float),
    Column("burst", Integer),
    Column("made_by", String(200), nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("revoked_by", String(200)),
)
