"""This module adds up what the machine worked for a labeling loop, by lineage."""

from __future__ import annotations

from flows._labeling.standing import batches_of
from headrace.labels.queue import LabelQueue

FLOWS = ("label_round", "label_collect")
_MOST_RUNS = 1_000


def machine_seconds(loop: str) -> float:
    """Return the seconds that operators worked in all runs of a loop's flows; cached ones none."""
    from headrace.execution import Session

    lineage = Session.of_settings().lineage
    batches = {batch.id for batch in batches_of(loop, LabelQueue())}
    worked = 0.0
    for flow in FLOWS:
        for run in lineage.runs(limit=_MOST_RUNS, flow=flow):
            asked = run.parameters
            named = str(asked.get("batch") or "")
            if asked.get("loop") == loop or any(named and b.startswith(named) for b in batches):
                worked += sum(
                    i.seconds for i in lineage.invocations(run.id) if i.state == "executed"
                )
    return round(worked, 3)
