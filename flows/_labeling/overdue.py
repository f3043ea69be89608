"""This module finds what should have followed in a labeling loop and did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows._labeling.standing import batches_of, has_ended
from flows._labeling.verdict import DUE, WANTED

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop
    from headrace.labels.queue import LabelQueue
    from headrace.lineage import Lineage

_MOST_RUNS = 200


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """This is an event that is to be announced again."""

    event: str
    payload: Mapping[str, Any]


def overdue(loop: LabelLoop, queue: LabelQueue) -> Overdue | None:
    """Return what is overdue: a last batch never collected, or a next round never asked for.

    A loop that stopped, whose round was refused or found nothing left, or that was asked by another
    schema, waits for a person and not for an event.
    """
    from headrace.execution import Session

    batches = batches_of(loop.name, queue)
    if not batches or not has_ended(batches[-1]):
        return None
    last = batches[-1]
    if last.schema_version != loop.task.labels.version:
        return None
    lineage = Session.of_settings().lineage
    decided = _decided(lineage, last.id)
    if decided is None:
        return Overdue(event=DUE, payload={"loop": loop.name, "batch": last.id})
    if decided["decision"] != "next" or _was_tried(lineage, loop.name, decided["next_round"]):
        return None
    return Overdue(
        event=WANTED,
        payload={"loop": loop.name, "batch": last.id, "round": decided["next_round"]},
    )


def _decided(lineage: Lineage, batch: str) -> dict[str, Any] | None:
    """Return what the newest run decided after a batch; None when none did."""
    from headrace.loading import load

    for run in lineage.runs(limit=_MOST_RUNS, flow="label_collect"):
        for each in lineage.invocations(run.id):
            named = each.operator.endswith(".decide_round") and each.parameters["batch"] == batch
            if named and each.state == "executed":
                document: dict[str, Any] = load(f"artifact:{each.outputs[0].digest}").document  # type: ignore[attr-defined]
                return document
    return None


def _was_tried(lineage: Lineage, loop: str, number: int) -> bool:
    """Say whether a run for a round is under way, or came to its end without a batch."""
    return any(
        run.parameters.get("loop") == loop
        and run.parameters.get("number") == number
        and run.state in ("running", "paused", "completed")
        for run in lineage.runs(limit=_MOST_RUNS, flow="label_round")
    )
