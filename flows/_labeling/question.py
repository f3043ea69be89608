"""This module puts in words what a round takes of people, for whoever has to approve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows._labeling.standing import batches_of

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop
    from headrace.labels.queue import LabelQueue

_IDLE_SECONDS = 180.0  # as `labeling_costs` has it: whoever took longer was away


def round_question(loop: LabelLoop, once: str, queue: LabelQueue) -> str:
    """Return the question whether people are to be asked, with what that takes of them at most.

    Args:
        loop: The loop.
        once: Which round it is, in words.
        queue: Where earlier answers tell how long one takes.
    """
    task, items = loop.task, loop.batch + loop.audit
    parts = [f"{loop.batch} items"]
    if loop.audit:
        parts.append(f"{loop.audit} of doubtful label")
    if loop.gold is not None and task.gold_share:
        known = max(1, round(items * task.gold_share / (1 - task.gold_share)))
        parts.append(f"{known} whose answer is known")
        items += known
    return "\n".join(
        [
            f"Ask people to label '{task.heading}', {once}?",
            "",
            f"- at most {', '.join(parts)}; {items * task.overlap:,} answers in all",
            f"- {_effort(loop, queue, items * task.overlap)}",
        ]
    )


def _effort(loop: LabelLoop, queue: LabelQueue, answers: int) -> str:
    took = queue.seconds(loop.name) if batches_of(loop.name, queue) else []
    if not took:
        return "how long an answer takes is not known yet"
    seconds = [min(each, _IDLE_SECONDS) for each in took]
    mean = sum(seconds) / len(seconds)
    said = f"about {answers * mean / 60:,.0f} minutes, at {mean:.1f} s an answer so far"
    if loop.rate_per_hour is not None:
        said += f", or {answers * mean / 3600 * loop.rate_per_hour:,.2f} {loop.currency}".rstrip()
    if loop.budget_hours is not None:
        said += f"; {sum(seconds) / 3600:.2f} of {loop.budget_hours:g} hours are spent"
    return said
