"""This module reads decisions from a log as a table: features, models, chances, outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.clock import as_us, current_clock
from headrace.schemas import TableSchema
from operators._decision_table import outcome_columns
from serving._endpoint_documents import LookedUp
from serving._outcomes_known import known_outcomes
from serving._served_columns import known_features
from serving._served_parts import ServedParts, table_of
from serving.outcome_kinds import OutcomeKind, kinds_of

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

_ROWS_AT_ONCE = 50_000
_ALL_TIME = (-(1 << 62), 1 << 62)
_WITHIN = "epoch_us(decided_at) BETWEEN $since AND $until AND epoch_us(decided_at) <= $as_of"
# A list that has nothing is an empty text: most decisions override nothing and lack nothing.
_NOTED = """
    d.model AS model,
    coalesce(d.assigned, d.model) AS assigned,
    d.propensities[list_position(d.candidates, coalesce(d.assigned, d.model))] AS propensity,
    len(list_filter(d.propensities, lambda p: p > 0)) AS arms,
    CASE WHEN len(d.candidates) > 1 THEN to_json(map(d.candidates, d.propensities))::VARCHAR END
        AS propensities,
    d.score AS score,
    d.generation AS generation,
    d.experiment AS experiment,
    d.fallback AS fallback,
    d.unit AS unit,
    d.client AS client,
    d.batch AS batch,
    d.rank AS rank,
    CASE WHEN len(d.overridden) > 0 THEN to_json(d.overridden)::VARCHAR ELSE '' END AS overridden,
    CASE WHEN len(d.missing) > 0 THEN to_json(d.missing)::VARCHAR ELSE '' END AS missing
"""


def read_decisions(
    folder: Path,
    endpoint: str,
    looked_up: LookedUp,
    *,
    between: tuple[datetime | None, datetime | None],
    as_of: datetime | None,
) -> tuple[pa.Table, TableSchema]:
    """Return decisions with what is known of them, by time, and the table's schema.

    Args:
        folder: Folder of the endpoint's decision log.
        endpoint: Its name.
        looked_up: What it looks up, and what it is told.
        between: First and last moment of decisions, None where there is no limit.
        as_of: The moment whose knowledge is used; None for the last of which the log knows.
    """
    from headrace.decisions import open_view

    with open_view(folder) as connection:
        limits = [
            bound if at is None else as_us(at) for at, bound in zip(between, _ALL_TIME, strict=True)
        ]
        moment = _last_known(connection) if as_of is None else as_us(as_of)
        asked = {"since": limits[0], "until": limits[1], "as_of": moment}
        kinds = _kinds(connection, looked_up)
        features = known_features(_models(connection, asked), looked_up)
        batches = connection.sql(_query(connection, list(kinds)), params=asked)
        reader = batches.to_arrow_reader(_ROWS_AT_ONCE)
        parts = ServedParts(reader.schema)
        for batch in reader:
            parts.add(batch)
    keys = {column: dtype for each in looked_up.lookups for column, dtype in each["keys"]}
    columns = parts.columns(moment, keys=keys, kinds=list(kinds.values()), features=features)
    return table_of(f"decisions of {endpoint}", columns)


def _last_known(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the last moment of which the log knows anything, and which is not to come."""
    row = connection.execute(
        "SELECT greatest((SELECT max(epoch_us(decided_at)) FROM decisions), "
        "(SELECT max(epoch_us(known_at)) FROM outcomes))"
    ).fetchone()
    last = 0 if row is None or row[0] is None else int(row[0])
    return min(last, current_clock().now_us())


def _kinds(connection: duckdb.DuckDBPyConnection, looked_up: LookedUp) -> dict[str, OutcomeKind]:
    """Return the outcomes that are declared, and those that were told before that."""
    kinds = kinds_of(looked_up.outcomes)
    if not looked_up.outcomes and looked_up.task == "classification":
        kinds = {"": OutcomeKind(kind="binary")}
    told = connection.execute(
        f"SELECT DISTINCT name FROM ({known_outcomes(connection)}) ORDER BY name",  # noqa: S608
        {"as_of": _ALL_TIME[1]},
    ).fetchall()
    return kinds | {name: OutcomeKind(name=name) for (name,) in told if name not in kinds}


def _models(connection: duckdb.DuckDBPyConnection, asked: Mapping[str, int]) -> list[str]:
    """Return the models that were asked, the one that answered last first."""
    rows = connection.execute(
        "SELECT ref, max(decided_at) AS last FROM ("  # noqa: S608
        "SELECT decided_at, unnest(list_append(coalesce(candidates, []), model)) AS ref "
        f"FROM decisions WHERE {_WITHIN}) GROUP BY ref ORDER BY last DESC, ref",
        dict(asked),
    ).fetchall()
    return [ref for ref, _ in rows if ref is not None]


def _query(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> str:
    joins, columns = [], []
    for number, name in enumerate(names):
        known = f"known_{number}"
        joins.append(f"LEFT JOIN told {known} ON {known}.id = d.id AND {known}.name = '{name}'")
        of = outcome_columns(name)
        columns += [
            f'{known}.value AS "{of.value}"',
            f'make_timestamptz({known}.first_us) AS "{of.told_at}"',
            f'make_timestamptz({known}.value_us) AS "{of.valued_at}"',
            f'make_timestamptz({known}.known_us) AS "{of.known_at}"',
        ]
    return (
        f"WITH told AS MATERIALIZED ({known_outcomes(connection)}) "  # noqa: S608
        f"SELECT d.id AS id, decided_at, {_NOTED}, {', '.join(columns)}, "
        f"d.entity, d.features, d.texts FROM decisions d {' '.join(joins)} "
        f"WHERE {_WITHIN} ORDER BY decided_at, d.id"
    )
