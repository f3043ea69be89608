"""This module is the door to great-expectations: the full report on a suite's checks.

Its import costs seconds, so it is opened only for a report that was asked for, and on failure.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from operators._validate_checks import Check

if TYPE_CHECKING:
    import pyarrow as pa

_LEADING_FLAGS = re.compile(r"\(\?([a-zA-Z]+)\)")


def full_report(table: pa.Table, checks: Sequence[Check]) -> dict[str, Any]:
    """Return great-expectations' verdict and findings on each check, as JSON-like data.

    Args:
        table: The rows; only the columns of the checks are looked at.
        checks: The checks, translated to expectations one by one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations, nothing a reader could act on
        return _validated(table, checks)


def _validated(table: pa.Table, checks: Sequence[Check]) -> dict[str, Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    names = sorted({c for check in checks for c in check.columns})
    frame = table.select(names).to_pandas() if names else _rows_only(table)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
    results = batch.validate(as_suite(checks), result_format="SUMMARY").to_json_dict()["results"]
    results.sort(key=lambda r: r["expectation_config"]["meta"]["position"])
    return {
        "version": gx.__version__,
        "results": [json.loads(json.dumps(_trimmed(r), default=str)) for r in results],
    }


def as_suite(checks: Sequence[Check]) -> Any:
    """Return the checks as a suite of great-expectations."""
    import great_expectations as gx

    expectations = []
    for position, check in enumerate(checks):
        expectation = _expectation(check, gx.expectations)
        expectation.meta = {"position": position}  # results come back in another order
        expectations.append(expectation)
    return gx.ExpectationSuite(name="suite", expectations=expectations)


def _rows_only(table: pa.Table) -> Any:
    import pandas as pd

    return pd.DataFrame(index=range(table.num_rows))


def _trimmed(result: dict[str, Any]) -> dict[str, Any]:
    config = result["expectation_config"]
    kwargs = {k: v for k, v in config["kwargs"].items() if k != "batch_id"}
    return {
        "expectation": config["type"],
        "arguments": kwargs,
        "success": bool(result["success"]),
        "result": result["result"],
        "exception": _exception(result.get("exception_info") or {}),
    }


def _exception(info: dict[str, Any]) -> str | None:
    entries = [info, *(v for v in info.values() if isinstance(v, dict))]
    return next((str(e["exception_message"]) for e in entries if e.get("raised_exception")), None)


def _expectation(check: Check, gxe: Any) -> Any:
    bounds: dict[str, Any] = {"min_value": check.minimum, "max_value": check.maximum}
    if check.kind == "row_count":
        return gxe.ExpectTableRowCountToBeBetween(**bounds)
    if check.kind == "ordered":
        first, second = check.columns
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=second,
            column_B=first,
            or_equal=not check.strictly,
            ignore_row_if="either_value_is_missing",
            mostly=check.mostly,
        )
    if check.kind == "unique" and len(check.columns) > 1:
        return gxe.ExpectCompoundColumnsToBeUnique(
            column_list=list(check.columns), ignore_row_if="any_value_is_missing"
        )
    column = check.columns[0]
    if check.kind == "unique":
        return gxe.ExpectColumnValuesToBeUnique(column=column)
    if check.kind == "mean_between":
        return gxe.ExpectColumnMeanToBeBetween(column=column, **bounds)
    if check.kind == "distinct_between":
        return gxe.ExpectColumnUniqueValueCountToBeBetween(column=column, **bounds)
    return _of_values(check, column, bounds, gxe)


def _of_values(check: Check, column: str, bounds: dict[str, Any], gxe: Any) -> Any:
    on: dict[str, Any] = {"column": column, "mostly": check.mostly}
    if check.kind == "not_null":
        return gxe.ExpectColumnValuesToNotBeNull(**on)
    if check.kind == "between":
        return gxe.ExpectColumnValuesToBeBetween(**on, **bounds)
    if check.kind == "length_between":
        return gxe.ExpectColumnValueLengthsToBeBetween(**on, **bounds)
    if check.kind == "in_set":
        return gxe.ExpectColumnValuesToBeInSet(**on, value_set=list(check.values))
    return gxe.ExpectColumnValuesToMatchRegex(**on, regex=_python_pattern(check.pattern or ""))


def _python_pattern(pattern: str) -> str:
    """Return the pattern so that Python judges as RE2 does: ASCII classes, the whole text."""
    flags = _LEADING_FLAGS.match(pattern)
    rest = pattern[flags.end() :] if flags else pattern
    return f"(?a{flags[1] if flags else ''})^(?:{rest})\\Z"
