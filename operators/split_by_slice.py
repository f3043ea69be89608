"""This operator parts labelled examples into what is trained on and what models are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from headrace import Examples, Report, Schema, TrainSet, ValidationSet, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, SchemaError, did_you_mean
from headrace.recording import say
from headrace.schemas import TableSchema
from operators._slice_copies import copies_of_judges, near_copies_of_judges
from operators._split_rules import content

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Schema)
SLICE = "slice"
EVALUATES = "random"


def _check(call: PlannedCall) -> list[Finding]:
    schema = call.schema("examples")
    return [] if schema is None else _findings(schema, call.parameters.get("group"))


def _findings(schema: TableSchema, group: str | None) -> list[Finding]:
    found = []
    if SLICE not in schema or schema.column(SLICE).dtype not in ("string", "category"):
        found.append(
            Finding(
                problem=f"Schema '{schema.name}' has no column '{SLICE}' of text, so nothing says "
                "which examples were drawn at random.",
                remedy="Give what `examples_from_labels` made.",
                rule="slice",
                input="examples",
            )
        )
    if group is not None and group not in schema:
        found.append(
            Finding(
                problem=f"The examples have no column '{group}' to group by."
                f"{did_you_mean(group, schema.names)}",
                remedy="Name a column of the examples.",
                rule="unknown column",
                input="examples",
            )
        )
    return found


@operator(check=_check)
def split_by_slice(
    examples: Examples[S],
    *,
    group: str | None = None,
    near_copies: Literal["report", "leave_out"] = "report",
) -> tuple[TrainSet[S], ValidationSet[S], Report]:
    """Train on what was chosen, and judge by what was drawn at random.

    A model chooses items that it finds hard, so that neither their classes nor its errors on them
    are those of the whole pool; only the random slice is a fair sample of it. All of it and nothing
    else validates: items that were chosen, audited or known beforehand ("gold") are trained on.

    Args:
        examples: Rows with the column `slice`, from `examples_from_labels`.
        group: Column whose values must not be on both sides, such as the author of texts; the
            column of role "group" by default. A row without one belongs to itself.
        near_copies: What becomes of rows whose texts are nearly those of a row that judges: they
            are counted in the report, or left out of training too. A row that a model cannot tell
            from one that judges, texts compared by their words, is always left out.

    Returns:
        The two sets, in the order of the rows given, and a report: the rows of each, how many came
        from which slice, and how many were left out of training, because validation holds the same
        entity or group, or a copy; where there are any, how many are copies and near copies.

    Raises:
        SchemaError: There is no column `slice`, or no such group.
        DataError: A set is empty, or training has one class only.
    """
    schema, table = content(examples)
    for finding in _findings(schema, group):
        raise SchemaError(finding.problem, remedy=finding.remedy)
    slices = np.array(table[SLICE].to_pylist(), dtype=object)
    random = slices == EVALUATES
    shared = np.zeros(len(slices), dtype=bool)
    kept_apart = _kept_apart(schema, group)
    for name in kept_apart:
        shared |= _also_in(table[name], random)
    copies = copies_of_judges(schema, table, random) & ~shared
    shared |= copies
    near = near_copies_of_judges(schema, table, random) & ~shared
    if near_copies == "leave_out":
        shared |= near
    trains = ~random & ~shared
    sets = table.filter(trains), table.filter(random)
    counts = {name: int((slices == name).sum()) for name in sorted(set(slices.tolist()))}
    _require_usable(sets, schema, counts, int((~random & shared).sum()))
    document = {
        "passed": True,
        "rows": {"train": sets[0].num_rows, "validation": sets[1].num_rows},
        "slices": counts,
        "kept_apart": kept_apart,
        "left_out": int((~random & shared).sum()),
        # a report says nothing of copies where there are none, as before anybody looked for them
        **{
            name: int(found.sum())
            for name, found in (("copies", copies), ("near_copies", near))
            if found.any()
        },
    }
    if near.any() and near_copies == "report":
        say(f"{int(near.sum()):,} rows to train on are nearly copies of rows that judge")
    return TrainSet.of(sets[0]), ValidationSet.of(sets[1]), Report.of(document)


def _kept_apart(schema: TableSchema, group: str | None) -> list[str]:
    """Return the columns of which no value may be on both sides."""
    groups = [group] if group is not None else [c.name for c in schema.with_role("group")]
    return list(dict.fromkeys([*(c.name for c in schema.with_role("entity")), *groups]))


def _also_in(column: pa.ChunkedArray, random: np.ndarray) -> np.ndarray:
    """Return which rows have a value that a random row has too; nulls are equal to nothing."""
    values = column.to_pylist()
    held = {value for value, drawn in zip(values, random, strict=True) if drawn}
    held.discard(None)
    return np.array([value in held for value in values], dtype=bool)


def _require_usable(
    sets: tuple[pa.Table, pa.Table], schema: TableSchema, counts: dict[str, int], left_out: int
) -> None:
    import pyarrow.compute as pc

    train, validation = sets
    listed = ", ".join(f"{name}: {count:,}" for name, count in counts.items())
    if not validation.num_rows:
        raise DataError(
            f"No example is of the slice '{EVALUATES}', which alone can judge a model ({listed}).",
            remedy="Ask for labels of items drawn at random: random_share above 0 in "
            "`select_for_labeling`.",
        )
    if not train.num_rows:
        why = f"; {left_out:,} share an entity or group with validation" if left_out else ""
        raise DataError(
            f"Nothing is left to train on ({listed}{why}).",
            remedy="Ask for labels of chosen items too: random_share below 1 in "
            "`select_for_labeling`.",
        )
    for label in schema.with_role("label"):
        classes = [] if label.dtype == "float" else pc.unique(train[label.name]).drop_null()
        if len(classes) == 1:
            raise DataError(
                f"All {train.num_rows:,} examples to train on are '{classes[0].as_py()}', so there "
                "is nothing to tell apart.",
                remedy="Ask for more labels, or for items that are likely of another class.",
            )
