"""These operators decide how a labeling loop goes on, and say so to whoever waits for it."""

from __future__ import annotations

from typing import Any

from flows._labeling.verdict import STOPPED, WANTED, summary, verdict
from headrace import Report, operator
from headrace.recording import announce, say


@operator(effect=True, cpu=0.0)
def asked_before(*, batch: str) -> Report:
    """Report the batch that people were asked for already; nothing new is asked.

    Args:
        batch: Its id.

    Returns:
        As of `request_labels`.
    """
    from headrace.labels.queue import LabelQueue
    from operators._label_requests import request_report

    queue = LabelQueue()
    found = queue.batch(batch)
    say(
        f"batch {found.number} of '{found.task}' was asked for before and is {found.status}: "
        f"{found.done:,} of {found.items:,} items are done"
    )
    return request_report(queue, found)


@operator(effect=True, cpu=0.0)
def leave_alone(*, task: str, batch: str) -> Report:
    """Report a batch that no loop asked for: who did, collects it.

    Args:
        task: Its task.
        batch: Its id.

    Returns:
        `task` and `batch`; `passed`.
    """
    say(f"task '{task}' has no labeling loop; batch {batch} is left to whoever asked")
    return Report.of({"passed": True, "task": task, "batch": batch})


@operator(effect=True, cpu=0.0)
def decide_round(
    collected: Report,
    costs: Report,
    left: Report,
    *,
    judged: list[Report],
    compared: list[Report],
    audits: list[Report],
    loop: str,
    number: int,
    batch: str,
) -> Report:
    """Decide whether people are asked again, and announce it.

    Args:
        collected: What `collect_labels` said.
        costs: What `labeling_costs` said; it knows of target, budget and gain.
        left: Whether there is anything left to ask.
        judged: How good the model of each round is.
        compared: The last model against the one before it; empty while there is one or none.
        audits: How many labels are in doubt; empty without a model.
        loop: Name of the loop.
        number: Number of the batch.
        batch: Its id.

    Returns:
        `decision` ("next" or "stop"), `reason` and `why`; `round`, `next_round`; `accuracy` and
        `gain` with intervals, `model`; `human` and `machine_seconds`, `cost`, `next`, `quality`,
        `suspects`; of several choices and of numbers also `metric`, `unit`, `lower_is_better`,
        `score` with its interval, and what is `proven`; `passed` is whether the next round was
        announced.
    """
    from flows._labeling.working import machine_seconds

    decided = verdict(collected.document, costs.document, left.document)
    document = summary(
        costs.document,
        [each.document for each in judged],
        [each.document for each in compared],
        [each.document for each in audits],
    )
    going_on = decided.decision == "next"
    document |= {
        "passed": going_on,
        "loop": loop,
        "batch": batch,
        "round": number,
        "next_round": number + 1 if going_on else None,
        "decision": decided.decision,
        "reason": decided.reason,
        "why": decided.why,
        "machine_seconds": machine_seconds(loop),
    }
    say(decided.why)
    payload: dict[str, Any] = {"loop": loop, "batch": batch}
    if going_on:
        announce(WANTED, resource=f"headrace.label_task.{loop}", round=number + 1, **payload)
    else:
        announce(STOPPED, resource=f"headrace.label_task.{loop}", reason=decided.reason, **payload)
    return Report.of(document)


@operator(effect=True, cpu=0.0)
def remind() -> Report:
    """Announce again what should have followed and did not, because an event was lost.

    Returns:
        `due`: for each loop, what was announced; `passed`.
    """
    from flows._labeling.catalog import find_loops
    from flows._labeling.overdue import overdue
    from headrace.clock import current_clock
    from headrace.labels.queue import LabelQueue

    queue = LabelQueue()
    queue.expire(current_clock().now())
    due: dict[str, Any] = {}
    for name, loop in find_loops().items():
        found = overdue(loop, queue)
        if found is None:
            continue
        due[name] = {"event": found.event, **found.payload}
        announce(found.event, resource=f"headrace.label_task.{name}", **found.payload)
        say(f"{found.event} of '{name}' is announced again")
    return Report.of({"passed": True, "due": due})
