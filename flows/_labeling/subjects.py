"""This module says which labeling loop a run of the flows of labeling is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OF_LOOPS = frozenset({"label_round", "label_collect", "label_rest"})
"""The flows that take another loop's rows with another parameter."""


def loops_of(parameters: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return the names of loops that parameters of runs lead to, by `loop` or by `batch`.

    Args:
        parameters: Those of each run.

    Returns:
        A name for each; None where it names neither, or a batch that there is not.
    """
    tasks: dict[str, str] | None = None
    found: list[str | None] = []
    for each in parameters:
        name, batch = each.get("loop"), each.get("batch")
        if name is None and batch:
            tasks = _tasks() if tasks is None else tasks
            named = {task for id_, task in tasks.items() if id_.startswith(str(batch))}
            name = named.pop() if len(named) == 1 else None
        found.append(name)
    return found


def _tasks() -> dict[str, str]:
    from headrace.labels.queue import LabelQueue

    return {batch.id: batch.task for batch in LabelQueue().batches()}
