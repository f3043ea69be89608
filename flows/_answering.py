"""This module records the answer that somebody gives from the command line, and tells Prefect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.execution.abandoned import is_lost
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.lineage import Approval, Lineage, RunRecord


def give_answer(
    lineage: Lineage, run: RunRecord, question: Approval, *, approved: bool, note: str
) -> tuple[Approval, bool]:
    """Record an answer, and let a run that waits in Prefect go on.

    Args:
        lineage: Where it is recorded.
        run: The run that asks.
        question: What it asks.
        approved: The answer.
        note: Why.

    Returns:
        The answer as recorded, and whether the run goes on by itself.

    Raises:
        ParameterError: The question has another answer already.
    """
    given = replace(
        question,
        approved=approved,
        actor=settings().actor,
        note=note,
        decided_at=current_clock().now(),
        origin="command line",
    )
    answered = lineage.answer(given)
    if run.prefect_run_id is None:
        return answered, False
    from flows.runtime import resume_waiting

    return answered, resume_waiting(run.prefect_run_id, answered, has_process=not is_lost(run))
