"""This module checks the references to features that people write, as "view:column"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.calls import Finding
from headrace.errors import did_you_mean


def reference_findings(
    references: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    *,
    parameter: str,
    request: Sequence[str],
) -> list[Finding]:
    """Find references that name no feature.

    Args:
        references: What was written.
        columns: The features of each view, by its name.
        parameter: Where it was written, for the message.
        request: Names that need no view.
    """
    found = []
    every = [f"{view}:{column}" for view, names in columns.items() for column in names]
    for reference in references:
        view, separator, column = reference.partition(":")
        if reference in every or reference in request:
            continue
        if separator and view in columns:
            problem = f"View '{view}' has no column '{column}'."
            problem += did_you_mean(column, columns[view])
        elif separator:
            problem = f"There is no view '{view}' among the features."
            problem += did_you_mean(view, columns)
        else:
            problem = (
                f"There is no feature '{reference}'.{did_you_mean(reference, [*every, *request])}"
            )
        found.append(
            Finding(
                problem=f"Parameter '{parameter}' names '{reference}'. {problem}",
                remedy='Write "view:column", with a view that is given to `features`.',
                rule="unknown column" if separator and view in columns else "unknown view",
                input="features",
            )
        )
    return found
