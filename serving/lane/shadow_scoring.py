"""This module makes shadow records of decisions: pure, but for the time that scoring took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from operator import itemgetter
from typing import Any

from headrace.clock import current_clock
from serving.lane.loaded import Loaded
from serving.lane.shadow_reading import Alike

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """This is what a model said of decisions.

    Args:
        records: For the log; one may hold many scores.
        scored: Of how many decisions.
        failed: On how many of these the model failed, or said what is no number.
        seconds: What each took, on average.
        is_new: Whether the model was not asked for these before, when they were decided.
    """

    records: list[Document]
    scored: int
    failed: int
    seconds: float
    is_new: bool = True


def shadow_records(alike: Alike, model: Loaded, *, experiment: str, names: Sequence[str]) -> Said:
    """Return what a model says of decisions, as records for the log.

    Args:
        alike: The decisions, at least one.
        model: The model; a decision on which it fails gets a record that says why.
        experiment: Id of the comparison, for the records.
        names: Of the features.
    """
    clock = current_clock()
    begun = clock.monotonic()
    scores: list[float] | None = None
    failed = 0
    alone: list[Document] = []
    try:
        scores = _scores(alike.rows, model, names)
    except Exception:
        alone = [_alone(row, model, names) for row in alike.rows]
    ids = alike.ids
    seconds = (clock.monotonic() - begun) / len(ids)
    shared = {
        "logged": clock.now_us(),
        "model": model.ref,
        "experiment": experiment,
        "ms": round(seconds * 1000, 4),
    }
    if scores is not None:  # a record for each would cost more than scoring it
        together = {"kind": "scores", "rows": len(ids), "id": ids[0], **shared}
        together |= {"ids": ids, "scores": scores}
        if not all(map(isfinite, scores)):
            failed = sum(not isfinite(score) for score in scores)
        return Said(records=[together], scored=len(ids), failed=failed, seconds=seconds)
    records = [
        {"kind": "shadow", "id": name, **shared, **said}
        for name, said in zip(ids, alone, strict=True)
    ]
    failed = sum("error" in said or not isfinite(said["score"]) for said in alone)
    return Said(records=records, scored=len(ids), failed=failed, seconds=seconds)


def _alone(row: Sequence[Any], model: Loaded, names: Sequence[str]) -> Document:
    try:
        return {"score": _scores([row], model, names)[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _scores(rows: Sequence[Sequence[Any]], model: Loaded, names: Sequence[str]) -> list[float]:
    place = {name: position for position, name in enumerate(names)}
    order = [place[feature.name] for feature in model.scorer.card.features]
    if order == list(range(len(names))):
        return model.score(rows)
    pick = (
        itemgetter(*order) if len(order) > 1 else lambda row: [row[position] for position in order]
    )
    return model.score([pick(row) for row in rows])
