"""This module copies once what a look reads of a log many times: few columns, each record once.

The views of a log find the one record of a decision among all that were written each time they are
asked. A look asks a dozen times; copying what it needs costs about as much as asking twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving._evidence_rows import MEMBER, decisions_of
from serving._outcomes_known import known_outcomes

if TYPE_CHECKING:
    import duckdb

_OWN = "headrace_look_"
_COLUMNS = (
    "id, decided_at, model, score, experiment, experiments, candidates, propensities, assigned, "
    "unit, fallback, batch, rank, generation"
)
_OF_MAPS = (
    "coalesce(CAST(entity[{name}] AS VARCHAR), CAST(texts[{name}] AS VARCHAR), "
    "CAST(features[{name}] AS VARCHAR))"
)


@dataclass(frozen=True, kw_only=True)
class LogCopy:
    """This is what a look reads of a log.

    Args:
        whole: The log's own views, with every column.
        narrow: The views `decisions` and `shadows` of one experiment up to a moment, without
            documents and maps; of these `slice0`, `slice1`, … alone.
        table: Name of the table that lies under the narrow `decisions`, for either connection.
        known: SQL, for either connection, of what was known then of the outcome that is the label:
            as `known_outcomes` has it.
        slices: Which column of the entity or of the features each `slice…` is, in order.
    """

    whole: duckdb.DuckDBPyConnection
    narrow: duckdb.DuckDBPyConnection
    table: str
    known: str
    slices: tuple[str, ...]


@contextmanager
def copied(
    whole: duckdb.DuckDBPyConnection,
    *,
    experiment: str,
    as_of_us: int,
    outcome: str,
    slices: Sequence[str] = (),
) -> Iterator[LogCopy]:
    """Copy what a look at an experiment reads; the copy lasts as long as the context.

    Args:
        whole: Views as `headrace.decisions.open_view` makes them, in a database in memory.
        experiment: Whose decisions.
        as_of_us: Up to which moment, in microseconds since 1970.
        outcome: Name of the outcome that is the label.
        slices: Columns of the entity or of the features that parts are made by.

    Raises:
        duckdb.Error: A file of the log cannot be read.
    """
    names = tuple(dict.fromkeys(slices))
    asked = {"experiment": experiment, "as_of": as_of_us, "outcome": outcome}
    more = "".join(
        f", {_OF_MAPS.format(name=f'$name{at}')} AS slice{at}" for at in range(len(names))
    )
    named = {f"name{at}": name for at, name in enumerate(names)}
    made = {
        "decisions": f"SELECT {_COLUMNS}{more} FROM ({decisions_of(whole)}) "  # noqa: S608
        f"WHERE {MEMBER} AND epoch_us(decided_at) <= $as_of",
        "shadows": "SELECT id, model, experiment, score, error, ms FROM shadows "  # noqa: S608
        f"WHERE id IN (SELECT id FROM {_OWN}decisions)",
        "known": f"SELECT * FROM ({known_outcomes(whole)}) WHERE name = $outcome "  # noqa: S608
        f"AND id IN (SELECT id FROM {_OWN}decisions)",
    }
    used = {
        "decisions": {key: asked[key] for key in ("experiment", "as_of")} | named,
        "shadows": {},
        "known": {key: asked[key] for key in ("outcome", "as_of")},
    }
    narrow = whole.cursor()
    try:
        for table, query in made.items():
            whole.execute(f"CREATE OR REPLACE TABLE {_OWN}{table} AS {query}", used[table] or None)
        for table in ("decisions", "shadows"):
            narrow.execute(f"CREATE TEMP VIEW {table} AS FROM {_OWN}{table}")
        known = f"SELECT * FROM {_OWN}known"  # noqa: S608  a name of our own
        table = f"{_OWN}decisions"
        yield LogCopy(whole=whole, narrow=narrow, table=table, known=known, slices=names)
    finally:
        narrow.close()
        for table in made:
            whole.execute(f"DROP TABLE IF EXISTS {_OWN}{table}")
