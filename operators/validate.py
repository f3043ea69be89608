"""This module holds data to a suite of checks, declared once.

    FLIGHTS = Suite(
        name="flights",
        checks=(row_count(1), unique("flight_id"), between("distance", 0, 6000)),
    )
    flights, quality = validate(flights, suite=FLIGHTS)

The verdict comes from one pass of SQL; great-expectations adds the full report, on failure and
where `report_quality` is asked for it. The check functions say what they judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from headrace import Report, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataQualityError, DefinitionError
from operators._validate_checks import (
    Check,
    Suite,
    between,
    distinct_between,
    in_set,
    length_between,
    matches,
    mean_between,
    not_null,
    null_share,
    ordered,
    row_count,
    suite_findings,
    unique,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from operators._validate_sql import Result

S = TypeVar("S", bound=Schema)

__all__ = [
    "Check",
    "Suite",
    "between",
    "distinct_between",
    "in_set",
    "length_between",
    "matches",
    "mean_between",
    "not_null",
    "null_share",
    "ordered",
    "quality_html",
    "report_quality",
    "row_count",
    "unique",
    "validate",
]


def _check(call: PlannedCall) -> list[Finding]:
    return list(suite_findings(call.parameters["suite"], call.schema("table")))


@operator(check=_check)
def validate(table: Table[S], *, suite: Suite) -> tuple[Table[S], Report]:
    """Let a table pass only if it passes every check of a suite.

    Args:
        table: The rows; all columns are kept, nothing is changed.
        suite: What must be true of them. Nulls are judged by `not_null` alone.

    Returns:
        The table, and the report: for each check what was measured.

    Raises:
        DataQualityError: A check failed; the error's `report` holds every check with examples,
            and great-expectations' findings on those that failed.
        DefinitionError: The suite is empty, or does not fit the table's columns.
    """
    results = _judged(table, suite)
    failed = [r for r in results if not r.passed]
    document = _document(suite, table.rows, results)
    if not failed:
        return table, Report.of(document)
    document["great_expectations"] = _second_opinion(table.arrow(), failed)
    listed = "".join(f"\n  - {r.sentence()}" for r in failed)
    raise DataQualityError(
        f"The table fails {len(failed)} of {len(results)} checks of suite '{suite.name}':{listed}",
        remedy="Correct the data where it is made; if it is right, change the check.",
        report=document,
    )


@operator(check=_check)
def report_quality(table: Table[S], *, suite: Suite) -> Report:
    """Report on a table with a suite's checks and great-expectations; never refuse it.

    Args:
        table: The rows.
        suite: What should be true of them.

    Returns:
        The report; `passed` can steer `when`, and `quality_html` shows it as a page.

    Raises:
        DefinitionError: The suite is empty, or does not fit the table's columns.
    """
    results = _judged(table, suite)
    document = _document(suite, table.rows, results)
    document["great_expectations"] = _second_opinion(table.arrow(), results)
    return Report.of(document)


def quality_html(report: Report) -> str:
    """Return the report of `validate` or `report_quality` as one page that loads nothing else."""
    from operators._validate_html import quality_page

    return quality_page(report.document)


def _judged(table: Table[S], suite: Suite) -> list[Result]:
    from headrace.conform import inferred_schema
    from operators._validate_sql import judge

    rows = table.arrow()
    found = list(suite_findings(suite, table.schema or inferred_schema(rows)))
    if found:
        listed = " ".join(f.problem for f in found)
        raise DefinitionError(listed, remedy=found[0].remedy)
    return judge(rows, suite)


def _document(suite: Suite, rows: int, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "passed": all(r.passed for r in results),
        "suite": suite.name,
        "rows": rows,
        "checks": [_entry(r) for r in results],
    }


def _entry(result: Result) -> dict[str, Any]:
    check = result.check
    entry: dict[str, Any] = {
        "says": check.sentence(),
        "kind": check.kind,
        "columns": list(check.columns),
        "passed": result.passed,
        "of": result.of,
        "examples": list(result.examples),
    }
    if check.kind in ("row_count", "mean_between", "distinct_between"):
        return {**entry, "measured": result.measured}
    return {**entry, "wrong": result.wrong}


def _second_opinion(rows: pa.Table, results: Sequence[Result]) -> dict[str, Any]:
    from operators._validate_gx import full_report

    try:
        report = full_report(rows, [r.check for r in results])
    except Exception as error:  # the verdict stands, whatever breaks in there
        return {"error": f"{type(error).__name__}: {error}"}
    judged = zip(results, report["results"], strict=True)
    return {**report, "agrees": all(ours.passed == theirs["success"] for ours, theirs in judged)}
