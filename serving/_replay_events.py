"""This module puts what a replay delivers in the order in which it became known.

At one moment facts come first, then decisions, then outcomes: a decision may use what is known at
its moment, as in the point-in-time join, and its outcome cannot be before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.online import Row, plain_rows
from features.view import FeatureView
from headrace.clock import as_us
from headrace.errors import DataError, did_you_mean
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

FACT, DECISION, OUTCOME = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Asked:
    """This is a decision to ask for.

    Args:
        unit: What identifies the row, such as a flight.
        at_us: Its moment.
        entity: The keys of the views, and the unit.
        features: The request's own features.
    """

    unit: str
    at_us: int
    entity: dict[str, Any]
    features: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """This is an outcome to tell.

    Args:
        unit: Whose it is.
        known_us: When it became known.
        value: What happened.
    """

    unit: str
    known_us: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Steps:
    """These are all events of a replay.

    Args:
        facts: Rows of views with their view, in the order in which they became known.
        decisions: In the order of their moments.
        outcomes: In the order in which they became known.
    """

    facts: Sequence[tuple[int, FeatureView, Row]]
    decisions: Sequence[Asked]
    outcomes: Sequence[Told]

    @property
    def ends_us(self) -> int:
        """The moment when the last of them is known."""
        last = [self.decisions[-1].at_us]
        last += [self.outcomes[-1].known_us] if self.outcomes else []
        return max(last)

    def in_order(self) -> Iterator[tuple[int, int, int]]:
        """Yield moment, kind and position of every event, in order."""
        import numpy as np

        moments = [
            np.fromiter((moment for moment, _, _ in self.facts), np.int64, len(self.facts)),
            np.fromiter((d.at_us for d in self.decisions), np.int64, len(self.decisions)),
            np.fromiter((o.known_us for o in self.outcomes), np.int64, len(self.outcomes)),
        ]
        kinds = np.concatenate([np.full(len(m), kind) for kind, m in enumerate(moments)])
        positions = np.concatenate([np.arange(len(m)) for m in moments])
        every = np.concatenate(moments)
        order = np.lexsort((positions, kinds, every))
        yield from zip(
            every[order].tolist(), kinds[order].tolist(), positions[order].tolist(), strict=True
        )


def decisions_of(
    table: pa.Table,
    schema: TableSchema,
    *,
    keys: Sequence[str],
    own: Sequence[str],
    since: datetime,
    until: datetime | None,
) -> list[Asked]:
    """Return the decisions of a period, in the order of their moments.

    Args:
        table: The rows.
        schema: Their columns; one has the role entity, one decision_time.
        keys: The columns that views are looked up by.
        own: The features that a request gives itself.
        since: First moment.
        until: First moment after the period; None takes all.

    Raises:
        DataError: There is none, or a model takes a value from the request that rows lack.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in own:
        if name not in table.column_names:
            raise DataError(
                f"The decisions to replay have no column '{name}', which a model of the endpoint "
                f"takes from the request.{did_you_mean(name, table.column_names)}",
                remedy="Replay rows that have all values that a request would give.",
            )
    at, unit = schema.the("decision_time").name, schema.the("entity").name
    moments = table.column(at).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    chosen = pc.greater_equal(moments, as_us(since))
    if until is not None:
        chosen = pc.and_(chosen, pc.less(moments, as_us(until)))
    table, moments = table.filter(chosen), moments.filter(chosen)
    if not table.num_rows:
        raise DataError(
            f"There is no decision to replay from {since.isoformat()}"
            f"{'' if until is None else f' until {until.isoformat()}'}.",
            remedy="Choose a period that the table covers.",
        )
    order = pc.sort_indices(moments)
    table, moments = table.take(order), moments.take(order)
    columns = {name: table.column(name).to_pylist() for name in {*keys, *own, unit}}
    return [
        Asked(
            unit=str(columns[unit][i]),
            at_us=moment,
            entity={name: columns[name][i] for name in (unit, *keys)},
            features={name: columns[name][i] for name in own if name not in keys},
        )
        for i, moment in enumerate(moments.to_pylist())
    ]


def outcomes_of(labels: pa.Table, schema: TableSchema, units: set[str]) -> list[Told]:
    """Return the outcomes of some units, in the order in which they became known."""
    import pyarrow as pa

    unit = labels.column(schema.the("entity").name).to_pylist()
    known = labels.column(schema.the("known_time").name)
    moments = known.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    values = labels.column(schema.the("label").name).to_pylist()
    told = [
        Told(unit=str(u), known_us=k, value=float(v))
        for u, k, v in zip(unit, moments, values, strict=True)
        if str(u) in units
    ]
    return sorted(told, key=lambda outcome: outcome.known_us)


def facts_of(
    views: Sequence[tuple[FeatureView, pa.Table]], *, after_us: int, until_us: int
) -> list[tuple[int, FeatureView, Row]]:
    """Return the rows of views that became known within a time, in that order.

    Args:
        views: Views with all their rows.
        after_us: The moment up to which the store has them already.
        until_us: The last moment that matters.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    facts: list[tuple[int, FeatureView, Row]] = []
    for view, rows in views:
        known = rows.column(view.known_time).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        within = pc.and_(pc.greater(known, after_us), pc.less_equal(known, until_us))
        place = len(view.keys) + 1
        for row in plain_rows(view, rows.filter(within)):
            facts.append((row[place], view, row))
    return sorted(facts, key=lambda fact: fact[0])
