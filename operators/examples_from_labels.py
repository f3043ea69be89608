"""This operator makes training examples of rows and of the labels that votes came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from headrace import Examples, Labels, Report, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.labels.columns import VotedLabel
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._labels_joined import joined, refuse_later_features, require_version
from operators._labels_joined_schema import added_columns, findings, joined_schema, kept_columns

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Schema)
_NAMED = 5


def _check(call: PlannedCall) -> list[Finding]:
    schema = call.schema("table")
    return [] if schema is None else list(findings(schema, call.parameters["schema"]))


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    schema, labels = call.schema("table"), call.parameters["schema"]
    if schema is None or list(findings(schema, labels)):
        return {"examples": None}
    return {"examples": joined_schema(schema, labels)}


@operator(check=_check, produces=_produces)
def examples_from_labels(
    table: Table[S],
    labels: Labels[VotedLabel],
    *,
    schema: LabelSchema,
    min_probability: Annotated[float, Field(ge=0, le=1)] = 0.0,
    conflicts: Literal["keep", "drop"] = "keep",
) -> tuple[Examples[Any], Report]:
    """Join labels to the rows that they are of, to train and evaluate on.

    What people voted, how they differed and what was suggested to them becomes no feature: of the
    label come its value, its moments, how sure it is, its slice and its source. Items whose answer
    was known beforehand ("gold") are examples like others; `split_by_slice` trains on them.

    Args:
        table: Rows with one column of role "entity", each entity once; it is compared as text. Its
            columns of an earlier selection (slice, priority, suggested, …) are left out.
        labels: From `aggregate_votes`: at most one for each entity.
        schema: What could be answered. A single choice becomes a category with all its choices, a
            number a float, several choices text: their written form, for `train_labeler`.
        min_probability: Labels that are less sure are left out, 0 to 1.
        conflicts: "drop" leaves out labels whose votes differ. Neither this nor `min_probability`
            takes anything from the slice "random": without its doubtful items, an evaluation would
            look better than the model is.

    Returns:
        The rows that have a label, in their order: the table's columns, `as_of` where the table has
        no decision time, `label_known_at`, `label`, `probability`, `slice` and `source`; and the
        report: how many of which slice and class, what was left out and why, and which labels found
        no row.

    Raises:
        DefinitionError: The table has no entity, or a label or a column of that name already; or
            the labels are of a kind that no model is fitted on.
        LeakageError: A feature was known only after the moment for which its label was given.
        DataError: An entity occurs twice or is null, labels are of another version of the schema or
            none of its answers, or no example is left.
    """
    if table.schema is None:
        raise DefinitionError(
            "The table has no schema, so it is not known what is an entity and what a feature.",
            remedy="Give it one: `Table[News].of(...)`.",
        )
    for finding in findings(table.schema, schema):
        kind = LeakageError if finding.rule == "leak" else DefinitionError
        raise kind(finding.problem, remedy=finding.remedy)
    rows, given = table.arrow(), labels.arrow()
    require_version(given["schema_version"].to_pylist(), schema)
    entities = rows[table.schema.the("entity").name].to_pylist()
    found = joined(entities, given["entity"].to_pylist())
    of_rows, of_labels = rows.take(found.rows), given.take(found.labels)
    left, kept = _left_out(of_labels, min_probability, conflicts)
    of_rows, of_labels = of_rows.filter(kept), of_labels.filter(kept)
    if not of_rows.num_rows:
        raise _nothing_left(rows.num_rows, given.num_rows, left, found.without_row)
    named = of_rows[table.schema.the("entity").name].to_pylist()
    untimed = refuse_later_features(of_rows, table.schema, of_labels["as_of"], named)
    made = _examples(of_rows, of_labels, table.schema, schema)
    document = {
        "passed": True,
        "schema_version": schema.version,
        "rows": rows.num_rows,
        "labels": given.num_rows,
        "examples": made.num_rows,
        "slices": _counted(of_labels["slice"]),
        "answers": _counted(of_labels["label"]),
        "left_out": left,
        "without_row": len(found.without_row),
        "without_row_first": list(found.without_row[:_NAMED]),
        "times_unchecked": untimed,
        "min_probability": min_probability,
        "conflicts": conflicts,
    }
    return Examples.of(made, schema=joined_schema(table.schema, schema)), Report.of(document)


def _left_out(
    labels: pa.Table, min_probability: float, conflicts: str
) -> tuple[dict[str, int], np.ndarray]:
    """Return why labels are left out and how many, and which are kept."""
    evaluates = np.array([name == "random" for name in labels["slice"].to_pylist()], dtype=bool)
    unsure = ~evaluates & (labels["probability"].to_numpy() < min_probability)
    differ = ~evaluates & ~unsure & labels["conflict"].to_numpy(zero_copy_only=False)
    if conflicts == "keep":
        differ &= False
    counts = {"less sure": int(unsure.sum()), "votes differ": int(differ.sum())}
    return {why: count for why, count in counts.items() if count}, ~(unsure | differ)


def _examples(
    rows: pa.Table, labels: pa.Table, table: TableSchema, schema: LabelSchema
) -> pa.Table:
    import pyarrow as pa

    written = [schema.read(answer) for answer in labels["label"].to_pylist()]
    columns: dict[str, Any] = {c.name: rows[c.name] for c in kept_columns(table)}
    for column in added_columns(table, schema):
        columns[column.name] = labels[column.name]
    if schema.kind == "number":
        columns["label"] = pa.array([float(answer) for answer in written], pa.float64())
    elif schema.kind == "multi":
        columns["label"] = pa.array(written, pa.string())
    else:
        columns["label"] = pa.array(written, pa.string()).dictionary_encode()
    return pa.table(columns)


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = {c["values"]: c["counts"] for c in column.value_counts().to_pylist()}
    return {str(name): counted[name] for name in sorted(counted)}


def _nothing_left(
    rows: int, labels: int, left: dict[str, int], without_row: tuple[str, ...]
) -> DataError:
    said = [f"{count:,} {why}" for why, count in left.items()]
    if without_row:
        shown = ", ".join(f"'{name}'" for name in without_row[:_NAMED])
        said.append(
            f"{len(without_row):,} find no row ({shown}{', …' * (len(without_row) > _NAMED)})"
        )
    why = f": {', '.join(said)}" if said else ""
    return DataError(
        f"No example is left of {labels:,} labels and {rows:,} rows{why}.",
        remedy="Give the table that the labels were asked for, and lower what labels must fulfil.",
    )
