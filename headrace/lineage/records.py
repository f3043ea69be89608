"""This module holds what lineage remembers: runs, artifacts, invocations and the edges between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

RunState = Literal["running", "paused", "completed", "failed", "crashed", "cancelled"]
InvocationState = Literal["executed", "cached", "failed", "skipped", "waiting"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """This is one run of a flow.

    Args:
        id: Unique.
        flow: The flow's name.
        parameters: What it was started with, JSON-like.
        started_at: When it started, aware.
        ended_at: When it ended, aware; None while it runs.
        state: `running`, `paused` while it waits for a person, `completed`, `failed`, `cancelled`,
            or `crashed` when its process was lost.
        message: Why it failed, else empty.
        origin: How it was started: `python`, `command line` or `prefect`.
        actor: Who started it.
        seed: The seed that its nodes' seeds come from.
        prefect_run_id: The Prefect flow run, if there is one.
        mlflow_run_id: The MLflow parent run, if there is one.
        machine: What it ran on, JSON-like: processor, libraries, threads.
    """

    id: str
    flow: str
    parameters: dict[str, Any] = field(default_factory=dict)
    started_at: datetime
    ended_at: datetime | None = None
    state: str = "running"
    message: str = ""
    origin: str = "python"
    actor: str = ""
    seed: int = 0
    prefect_run_id: str | None = None
    mlflow_run_id: str | None = None
    machine: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ArtifactRecord:
    """This is an artifact as one kind: its content may be a Table here and a TestSet there.

    Args:
        digest: The digest of its content.
        kind: `Table`, `TrainSet`, `Model` and so on.
        schema: Its columns, JSON-like; None without rows.
        rows: The number of rows; None without rows.
        bytes: Its size in the store.
        uri: Where the store put it.
        summary: Little, JSON-like: a model's metrics, for example.
    """

    digest: str
    kind: str
    schema: dict[str, Any] | None = None
    rows: int | None = None
    bytes: int = 0
    uri: str = ""
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EdgeRecord:
    """This joins an invocation to an artifact.

    Args:
        name: The input parameter, or the output slot.
        digest: The artifact's digest.
        kind: The kind that it is there.
    """

    name: str
    digest: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class InvocationRecord:
    """This is one node of one run: what was called with what, and what came of it.

    Args:
        id: Unique.
        run_id: The run it belongs to.
        node: The node's path, unique in its run.
        operator: The operator's name.
        state: `executed`, `cached` (another invocation's outputs were reused), `failed`, `skipped`,
            or `waiting` for a person.
        key: The cache key; None when it cannot be known.
        key_parts: What the key is made of, each with `kind`, `name` and `digest`.
        uncached_because: Why there is no key; empty when there is one.
        reused_from: The invocation that executed, when this one is `cached`.
        seed: The node's seed, if it takes one.
        started_at: When it started, aware.
        seconds: How long it took.
        message: Why it failed or was skipped, else empty.
        effect: Whether the operator is an effect, which is never reused.
        parameters: What it was called with besides artifacts, JSON-like.
        attributes: More, JSON-like: isolation level, grants, MLflow child run.
        inputs: The artifacts it read, by parameter.
        outputs: The artifacts it made or reused, by slot.
    """

    id: str
    run_id: str
    node: str
    operator: str
    state: str
    key: str | None = None
    key_parts: list[dict[str, Any]] = field(default_factory=list)
    uncached_because: list[str] = field(default_factory=list)
    reused_from: str | None = None
    seed: int | None = None
    started_at: datetime
    seconds: float = 0.0
    message: str = ""
    effect: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[EdgeRecord, ...] = ()
    outputs: tuple[EdgeRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Look:
    """This is one time that a test set was opened.

    Args:
        digest: The test set.
        invocation_id: Who opened it.
        run_id: In which run.
        flow: Of which flow.
        node: At which node.
        operator: With which operator.
        parameter: As which of its inputs.
        state: `executed`, or `failed`: a body that failed has had the data in its hands too.
        actor: Who started the run.
        at: When, aware, in UTC.
    """

    digest: str
    invocation_id: str
    run_id: str
    flow: str
    node: str
    operator: str
    parameter: str
    state: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Approval:
    """This is a question that a run asks a person, and the answer once there is one.

    Args:
        run_id: The run that waits.
        node: Its node that asks.
        question: What is asked, for the person who reads it.
        about: What the answer is about: input name to digest.
        asked_at: When it was first asked, aware.
        approved: The answer; None while there is none.
        actor: Who answered; empty before.
        note: Why, in their words.
        decided_at: When, aware.
        origin: Where they answered: `prefect` or `command line`.
    """

    run_id: str
    node: str
    question: str
    about: dict[str, str]
    asked_at: datetime
    approved: bool | None = None
    actor: str = ""
    note: str = ""
    decided_at: datetime | None = None
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class FeatureRead:
    """This is one time that features of a view with sensitive columns were read.

    Args:
        sort: "read" when rows were handed out, "reused" when a run took over what an earlier one
            had read, "deployed" when an endpoint was given them to look up.
        view: Name of the view.
        columns: The features.
        version: Number of the view's version.
        rows: How many rows there were; None for an endpoint.
        at: When, aware, in UTC.
        flow: Which flow read; empty for a person in a REPL.
        run_id: In which run; None for a person in a REPL.
        endpoint: Which endpoint may look them up; None for a flow.
        actor: Who started the run, or who the person is.
    """

    sort: Literal["read", "reused", "deployed"]
    view: str
    columns: tuple[str, ...]
    version: int
    rows: int | None
    at: datetime
    flow: str = ""
    run_id: str | None = None
    endpoint: str | None = None
    actor: str = ""
