"""This module reads what was known of outcomes at a moment, from the views of a decision log.

Outcomes are appended, never changed, so what was known at any moment is still there: the correction
known last by then, else what was told first if it was known by then. Of two first tellings, which
two replicas may have taken at once, the one that was logged first is it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_KNOWN = """
SELECT
    id,
    name,
    CASE WHEN has_fix THEN fix.value ELSE base.value END AS value,
    CASE WHEN has_base THEN least(base.us, fixed_us) ELSE fixed_us END AS first_us,
    least(CASE WHEN has_base AND base.value IS NOT NULL THEN base.us END, fixed_value_us) AS
        value_us,
    CASE WHEN has_fix THEN fix.us ELSE base.us END AS known_us,
    has_fix AS corrected
FROM (
    SELECT *, fix IS NOT NULL AS has_fix, coalesce(base.us <= $as_of, FALSE) AS has_base FROM (
        SELECT
            id,
            name,
            arg_min(told, seq) FILTER (NOT corrects) AS base,
            arg_max(told, ROW(told.us, seq)) FILTER (corrects AND told.us <= $as_of) AS fix,
            min(told.us) FILTER (corrects AND told.us <= $as_of) AS fixed_us,
            min(told.us) FILTER (corrects AND told.us <= $as_of AND told.value IS NOT NULL) AS
                fixed_value_us
        FROM ({told}) GROUP BY id, name
    )
) WHERE has_base OR has_fix
"""


def known_outcomes(connection: duckdb.DuckDBPyConnection, *, moment: str = "$as_of") -> str:
    """Return SQL for a row each decision and outcome of which something was known at a moment.

    Its columns are id, name, value (null where it will never be known), first_us (since when
    anything was known), value_us (since when any value was; null where none was), known_us (since
    when this value was) and corrected.

    Args:
        connection: With the views that `headrace.decisions.open_view` makes.
        moment: SQL for the moment, in microseconds since 1970.
    """
    return _KNOWN.replace("$as_of", moment).format(told=_told(connection))


def _told(connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for every telling of an outcome; older logs lack what they had no use for."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_name IN ('outcome_history', 'outcomes')"
    ).fetchall()
    views: dict[str, set[str]] = {}
    for view, column in rows:
        views.setdefault(view, set()).add(column)
    view = "outcome_history" if "outcome_history" in views else "outcomes"
    columns = views.get(view, set())
    name = "coalesce(name, '')" if "name" in columns else "''"
    corrects = "coalesce(corrects, FALSE)" if "corrects" in columns else "FALSE"
    last = ("logged", "segment", "place")
    order = ", ".join(each for each in last if each in columns) or "known_at"
    return (
        f"SELECT id, {name} AS name, {{'value': value, 'us': epoch_us(known_at)}} AS told, "  # noqa: S608
        f"{corrects} AS corrects, ROW({order}) AS seq FROM {view}"
    )
