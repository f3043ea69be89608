"""This module reads the decisions of an experiment from a log, as arrays, in order.

Both scores of a decision are in the log, whoever answered: who answered logged its own, and the
other was scored in shadow. What a challenger was dealt and failed to answer is a failure of it,
even where it scored the same later in shadow; what it was not asked for is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serving._outcomes_known import known_outcomes
from serving.rule import Rule

if TYPE_CHECKING:
    import duckdb

Rows: TypeAlias = dict[str, npt.NDArray[Any]]

BEFORE_DAYS = 28
"""How long before an experiment the covariate "before" looks back."""

# Times are compared as whole microseconds: that needs no time zone database in DuckDB. Rows come
# in order so that sums, and with them the evidence, are the same to the last bit every time.
_DECISIONS = """
WITH mine AS (
    SELECT *, coalesce(assigned = $challenger AND fallback IN ('error', 'timeout'), FALSE) AS failed
    FROM ({decisions}) WHERE {member} AND epoch_us(decided_at) <= $as_of
), scored AS (
    SELECT id, min(score) AS score FROM shadows
    WHERE experiment = $experiment AND model = $challenger GROUP BY id
), mirrored AS (
    SELECT id, min(score) AS score FROM shadows
    WHERE model = $champion AND id IN (SELECT id FROM mine WHERE model <> $champion) GROUP BY id
), known AS ({known}) {more_tables}
SELECT
    epoch_us(d.decided_at) AS at_us,
    coalesce(CASE WHEN d.model = $champion THEN d.score ELSE m.score END, 'nan'::DOUBLE)
        AS champion,
    s.id IS NOT NULL OR d.failed OR coalesce(d.model = $challenger, FALSE) AS shadowed,
    coalesce(
        CASE WHEN d.failed THEN NULL WHEN d.model = $challenger THEN d.score ELSE s.score END,
        'nan'::DOUBLE
    ) AS challenger,
    k.id IS NOT NULL AS known,
    k.id IS NOT NULL AND (k.value IS NULL OR NOT {in_time}) AS censored,
    CASE WHEN {in_time} THEN coalesce(k.value, 'nan'::DOUBLE) ELSE 'nan'::DOUBLE END AS outcome,
    coalesce(k.first_us < epoch_us(d.decided_at), FALSE) AS early,
    coalesce(d.model = $challenger, FALSE) AND m.score IS NULL AS unmirrored
    {more_columns}
FROM mine d
LEFT JOIN scored s ON s.id = d.id
LEFT JOIN mirrored m ON m.id = d.id
LEFT JOIN known k
    ON k.id = d.id AND k.name = $outcome AND k.first_us <= epoch_us(d.decided_at) + $window
{more_joins}
ORDER BY d.decided_at, d.id
"""
# Whoever says "never known" in time and a value later was late with it: otherwise what happens to
# be known by now would have a label, and what is decided now would have none.
_IN_TIME = "coalesce(k.value_us <= epoch_us(d.decided_at) + $window, FALSE)"
_LISTS = ", CASE WHEN d.rank IS NULL THEN -1 ELSE dense_rank() OVER (ORDER BY d.batch) END AS lists"
_CHANCE = "d.propensities[list_position(d.candidates, {model})]"
# A list that is ranked is dealt as one. Rows of a batch that are dealt by themselves are two units
# at most, which is one too few rather than too many.
_ARMS = f"""
    , CASE d.assigned WHEN $champion THEN 0 WHEN $challenger THEN 1 ELSE 2 END AS arm
    , coalesce({_CHANCE.format(model="d.assigned")}, 'nan'::DOUBLE) AS chance
    , coalesce({_CHANCE.format(model="$champion")} > 0, FALSE)
        AND coalesce({_CHANCE.format(model="$challenger")} > 0, FALSE) AS dealt
    , d.unit IS NOT NULL AS has_unit
    , d.failed AS failed
    , coalesce(d.assigned = $challenger AND d.model <> $challenger, FALSE) AS stood_in
    , coalesce(d.score, 'nan'::DOUBLE) AS answered
    , dense_rank() OVER (ORDER BY coalesce(
        'unit ' || d.unit, 'batch ' || d.assigned || d.batch, 'decision ' || d.id
    )) - 1 AS unit
"""
_BEFORE = """
    , began AS (SELECT min(epoch_us(decided_at)) AS us FROM mine)
    , known_before AS ({known_before})
    , before AS (
        SELECT {unit} AS unit, avg(k.value) AS value FROM ({decisions}) d
        JOIN known_before k ON k.id = d.id AND k.name = $outcome
        WHERE epoch_us(d.decided_at) >= (SELECT us FROM began) - $before
            AND epoch_us(d.decided_at) < (SELECT us FROM began) AND isfinite(k.value)
        GROUP BY 1
    )
"""
# Columns that logs of before, and logs that are written by hand, may lack.
_MAY_LACK = {
    "candidates": "VARCHAR[]",
    "propensities": "DOUBLE[]",
    "assigned": "VARCHAR",
    "unit": "VARCHAR",
    "fallback": "VARCHAR",
    "experiments": "VARCHAR[]",
    "batch": "VARCHAR",
    "rank": "BIGINT",
    "entity": "MAP(VARCHAR, VARCHAR)",
    "features": "MAP(VARCHAR, DOUBLE)",
    "logged": "TIMESTAMPTZ",
}
MEMBER = "(experiment = $experiment OR coalesce(list_contains(experiments, $experiment), FALSE))"
"""SQL: whether a decision is part of an experiment; of several, `experiment` is the first one's."""


def decisions_of(connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for the decisions of a log with all columns; what it lacks is null.

    Args:
        connection: With the view `decisions`.
    """
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'decisions'"
    ).fetchall()
    there = {name for (name,) in rows}
    lacks = [f"NULL::{kind} AS {name}" for name, kind in _MAY_LACK.items() if name not in there]
    return ", ".join(["SELECT *", *lacks]) + " FROM decisions"  # noqa: S608  names of our own


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    rule: Rule,
    asked: Mapping[str, Any],
    *,
    arms: bool,
    known: str | None = None,
) -> Rows:
    """Return the decisions of an experiment, column by column, in the order they were made.

    Args:
        connection: With the views that `headrace.decisions.open_view` makes.
        rule: What is to be known of them.
        asked: experiment, champion, challenger, as_of, outcome and window (microseconds).
        arms: Whether it is to be known to which arm they were dealt.
        known: SQL of what was known of outcomes then; None asks the log's history.
    """
    parameters = dict(asked)
    columns, tables, joins = "", "", ""
    if rule.metric == "ndcg":
        columns = _LISTS
    if arms:
        columns = _ARMS
        if rule.covariate == "before" and rule.unit:
            names = [f"$unit{place}" for place in range(len(rule.unit))]
            parameters |= {name[1:]: column for name, column in zip(names, rule.unit, strict=True)}
            parameters["before"] = BEFORE_DAYS * 86_400_000_000
            unit = " || chr(31) || ".join(f"d.entity[{name}]" for name in names)
            earlier = known_outcomes(connection, moment="(SELECT us FROM began)")
            tables = _BEFORE.format(known_before=earlier, unit=unit, decisions="{decisions}")
            joins = "LEFT JOIN before b ON b.unit = d.unit"
            columns += ", coalesce(b.value, 'nan'::DOUBLE) AS covariate"
        elif rule.covariate not in (None, "before"):
            parameters["covariate"] = rule.covariate
            columns += ", coalesce(d.features[$covariate], 'nan'::DOUBLE) AS covariate"
    decisions = decisions_of(connection)
    query = _DECISIONS.format(
        decisions=decisions,
        member=MEMBER,
        known=known or known_outcomes(connection),
        in_time=_IN_TIME,
        more_tables=tables.replace("{decisions}", decisions),
        more_columns=columns,
        more_joins=joins,
    )
    rows = connection.execute(query, parameters).fetchnumpy()
    return {name: np.ma.filled(column) for name, column in rows.items()}
