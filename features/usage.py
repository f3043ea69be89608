"""This module finds out who uses a view or one of its features, from what lineage remembers.

Every artifact says of each column which view it comes from. Who read an artifact with such a column
used the view, in whatever flow; so nobody has to declare what is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.lineage import Lineage
    from headrace.store import Store

_CHUNK = 500
_LOOKED_AT = 3  # evaluations of one model; the newest says it, where one does


@dataclass(frozen=True, kw_only=True)
class FlowUse:
    """This is a flow that computes or reads a view.

    Args:
        flow: Its name.
        runs: How many runs of it did.
        last_run: Id of the newest.
        last_at: When that started.
        state: How that ended, or "running".
        operators: What the newest did with it: short names of operators, in their order.
    """

    flow: str
    runs: int
    last_run: str
    last_at: datetime
    state: str
    operators: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FeatureValue:
    """This is what a feature is worth to a model.

    Args:
        feature: Name of the feature.
        share: Its share of the model's total importance, as training logged it; None if it did not.
        loss: By how much the loss on the test set grows when the feature's values are shuffled, as
            `evaluate` logged it; None if it did not.
        low: Lower end of the interval of `loss`; None where there is none.
        high: Its upper end, likewise.
    """

    feature: str
    share: float | None = None
    loss: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """This is a registered model that takes features of a view.

    Args:
        version: The version, as "name/3".
        flavor: Which library it is of.
        features: How many features it takes in all.
        values: Those of the view, the most valuable first.
    """

    version: str
    flavor: str
    features: int
    values: tuple[FeatureValue, ...]


@dataclass(frozen=True, kw_only=True)
class EndpointUse:
    """This is an endpoint that looks features of a view up.

    Args:
        endpoint: Its name.
        version: Number of the view's version that it reads.
        space: The online space that it reads from.
        features: The features that it looks up.
        champion: The model that answers, if that takes one of them; else None.
        challenger: The model that is compared, likewise.
    """

    endpoint: str
    version: int
    space: str
    features: tuple[str, ...]
    champion: str | None = None
    challenger: str | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """These are all who use a view, or one feature of it.

    Args:
        view: The view.
        column: The feature; None for the whole view.
        flows: Flows that compute or read it, the one that ran last first.
        models: Registered models that take it, by name and version.
        endpoints: Endpoints that look it up, by name.
    """

    view: str
    column: str | None = None
    flows: tuple[FlowUse, ...] = ()
    models: tuple[ModelUse, ...] = ()
    endpoints: tuple[EndpointUse, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return all as JSON-like data; times are ISO 8601 in UTC."""
        flows = [asdict(use) | {"last_at": use.last_at.isoformat()} for use in self.flows]
        return asdict(self) | {"flows": flows}


def flows_using(lineage: Lineage, view: str, column: str | None = None) -> tuple[FlowUse, ...]:
    """Return the flows that computed or read a view, the one that ran last first.

    Args:
        lineage: What is remembered.
        view: Name of the view; its earlier versions count too.
        column: A feature, to leave out who did without it; None for the whole view.
    """
    from sqlalchemy import select

    from headrace.lineage import tables

    run, invocation, edge = tables.run, tables.invocation, tables.edge
    meetings: list[Any] = []
    with lineage.database.reading() as connection:
        carrying = sorted({digest for digest in _carrying(connection, view, column)})
        for sort, end, other in (
            ("input", edge.c.earlier, edge.c.later),
            ("output", edge.c.later, edge.c.earlier),
            ("repeat", edge.c.later, edge.c.earlier),
        ):
            for start in range(0, len(carrying), _CHUNK):
                chunk = carrying[start : start + _CHUNK]
                meetings += connection.execute(
                    select(
                        run.c.flow,
                        run.c.id,
                        run.c.started_at,
                        run.c.state,
                        invocation.c.operator,
                        invocation.c.started_at.label("at"),
                    )
                    .join_from(edge, invocation, other == invocation.c.id)
                    .join(run, run.c.id == invocation.c.run_id)
                    .where(edge.c.sort == sort, end.in_(chunk))
                )
    return _by_flow(meetings)


def measured_on_test(
    lineage: Lineage, store: Store, model: str
) -> dict[str, tuple[float, float | None, float | None]]:
    """Return by how much the loss grew without each feature, by the newest evaluation.

    Args:
        lineage: What is remembered.
        store: Where evaluations lie.
        model: Digest of the model.

    Returns:
        Feature to the growth and the ends of its interval; empty where nothing was logged.
    """
    from headrace.errors import HeadraceError

    for digest in _evaluations(lineage, model)[:_LOOKED_AT]:
        try:
            document = store.read_document(digest)
        except HeadraceError:  # collected, or damaged: an older one may say it
            continue
        found = dict(_growths(document.get("importance") or {}))
        if found:
            return found
    return {}


def values_of(
    view: str,
    taken: Sequence[tuple[str, str | None]],
    shares: Mapping[str, float],
    on_test: Mapping[str, tuple[float, float | None, float | None]],
    column: str | None = None,
) -> tuple[FeatureValue, ...]:
    """Return what the features of a view are worth to a model, the most valuable first.

    Args:
        view: The view.
        taken: All features of the model, each with the view that it comes from.
        shares: Feature to its share of the importance.
        on_test: What `measured_on_test` returned.
        column: Only this feature; None for all.
    """
    values = []
    for name, source in taken:
        if (source or "").partition("@")[0] != view or column not in (None, name):
            continue
        loss, low, high = on_test.get(name, (None, None, None))
        values.append(
            FeatureValue(feature=name, share=shares.get(name), loss=loss, low=low, high=high)
        )
    return tuple(sorted(values, key=lambda v: (-(v.loss or 0.0), -(v.share or 0.0), v.feature)))


def _carrying(connection: Any, view: str, column: str | None) -> Iterator[str]:
    """Yield the digests of artifacts with a column that comes from the view."""
    from sqlalchemy import String, cast, select

    from headrace.lineage.tables import artifact

    text = cast(artifact.c.schema, String)
    query = select(artifact.c.digest, artifact.c.schema).where(text.contains(view, autoescape=True))
    for row in connection.execute(query):
        for each in (row.schema or {}).get("columns", ()):
            source = (each.get("source") or "").partition("@")[0]
            if source == view and column in (None, each.get("name")):
                yield row.digest
                break


def _by_flow(meetings: Sequence[Any]) -> tuple[FlowUse, ...]:
    runs: dict[str, dict[str, Any]] = defaultdict(dict)
    operators: dict[str, dict[str, datetime]] = defaultdict(dict)
    for met in meetings:
        runs[met.flow][met.id] = met
        short = met.operator.rpartition(".")[2]
        first = operators[met.id].get(short)
        operators[met.id][short] = met.at if first is None else min(first, met.at)
    found = []
    for flow, of_flow in runs.items():
        last = max(of_flow.values(), key=lambda met: (met.started_at, met.id))
        did = operators[last.id]
        found.append(
            FlowUse(
                flow=flow,
                runs=len(of_flow),
                last_run=last.id,
                last_at=last.started_at,
                state=last.state,
                operators=tuple(sorted(did, key=lambda name: (did[name], name))),
            )
        )
    return tuple(sorted(found, key=lambda use: (-use.last_at.timestamp(), use.flow)))


def _evaluations(lineage: Lineage, model: str) -> list[str]:
    """Return the digests of the evaluations of a model, the one that was made last first."""
    from sqlalchemy import select

    from headrace.lineage.tables import artifact, edge, invocation

    query = (
        select(artifact.c.digest, artifact.c.summary)
        .join_from(artifact, edge, (edge.c.later == artifact.c.digest) & (edge.c.sort == "output"))
        .join(invocation, invocation.c.id == edge.c.earlier)
        .where(artifact.c.kind == "Evaluation")
        .order_by(invocation.c.started_at.desc(), artifact.c.digest)
    )
    with lineage.database.reading() as connection:
        rows = connection.execute(query).all()
    of_model = (row.digest for row in rows if (row.summary or {}).get("model") == model)
    return list(dict.fromkeys(of_model))


def _growths(
    importance: Mapping[str, Any],
) -> Iterator[tuple[str, tuple[float, float | None, float | None]]]:
    for name, said in importance.items():
        if isinstance(said, Mapping):
            if said.get("value") is not None:
                yield name, (float(said["value"]), said.get("low"), said.get("high"))
        elif said is not None:
            yield name, (float(said), None, None)
