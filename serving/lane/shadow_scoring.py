"""This module makes shadow records of decisions: pure, but for the time that scoring took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from headrace.clock import current_clock
from serving.lane.deciding import Loaded

Document = dict[str, Any]
Names = Callable[[int], Sequence[str]]


def belongs(decision: Document, experiment: str) -> bool:
    """Return whether a decision is part of a comparison."""
    return decision["experiment"] == experiment or experiment in decision.get("experiments", ())


@dataclass(frozen=True, kw_only=True)
class Said:
    """This is what a model said of decisions.

    Args:
        records: For the log; one may hold many scores.
        scored: Of how many decisions.
        failed: On how many of these the model failed.
    """

    records: list[Document]
    scored: int
    failed: int


def shadow_records(
    decisions: Sequence[Document], model: Loaded, *, experiment: str, names: Names
) -> Said:
    """Return what a model says of decisions, as records for the log.

    Args:
        decisions: As they were logged; of any columns.
        model: The model; a decision on which it fails gets a record that says why.
        experiment: Id of the comparison, for the records.
        names: From a decision's `columns` to the names of its features.
    """
    by_columns: dict[int, list[Document]] = {}
    for decision in decisions:
        by_columns.setdefault(decision["columns"], []).append(decision)
    found = [
        record
        for columns, alike in by_columns.items()
        for record in _alike(alike, model, experiment, names(columns))
    ]
    failed = sum("error" in record for record in found)
    return Said(records=found, scored=len(decisions), failed=failed)


def _alike(
    decisions: list[Document], model: Loaded, experiment: str, names: Sequence[str]
) -> list[Document]:
    """Return one record with all scores, or, where the model failed, one for each decision."""
    clock = current_clock()
    begun = clock.monotonic()
    ids = [decision["id"] for decision in decisions]
    scores: list[float] | None = None
    alone: list[Document] = []
    try:
        scores = _scores(decisions, model, names)
    except Exception:
        alone = [_alone(decision, model, names) for decision in decisions]
    shared = {
        "logged": clock.now_us(),
        "model": model.ref,
        "experiment": experiment,
        "ms": round((clock.monotonic() - begun) * 1000 / len(decisions), 4),
    }
    if scores is not None:  # a record for each would cost more than scoring it
        return [
            {
                "kind": "scores", "rows": len(ids), "id": ids[0], **shared,
                "ids": ids, "scores": scores,
            }
        ]  # fmt: skip
    return [
        {"kind": "shadow", "id": name, **shared, **said}
        for name, said in zip(ids, alone, strict=True)
    ]


def _alone(decision: Document, model: Loaded, names: Sequence[str]) -> Document:
    try:
        return {"score": _scores([decision], model, names)[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _scores(decisions: list[Document], model: Loaded, names: Sequence[str]) -> list[float]:
    place = {name: position for position, name in enumerate(names)}
    order = [place[feature.name] for feature in model.scorer.card.features]
    if order == list(range(len(names))):
        return model.score([decision["features"] for decision in decisions])
    pick = (
        itemgetter(*order) if len(order) > 1 else lambda row: [row[position] for position in order]
    )
    return model.score([pick(decision["features"]) for decision in decisions])
