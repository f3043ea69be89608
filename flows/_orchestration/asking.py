"""This module puts a run's question to people as a form in the Prefect UI, and reads the answer.

A run that a deployment started is suspended: its process ends, and the runner starts it again when
there is an answer. A run of a command line has nobody to start it again, so it waits in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

from headrace.clock import current_clock
from headrace.content import document_digest

if TYPE_CHECKING:
    from headrace.lineage import Approval, Lineage

PATIENCE_SECONDS = 30 * 86_400
"""After this Prefect fails a run that nobody answered; `headrace resume` asks again."""

_POLL_SECONDS = 1
_SORTS = ("paused", "suspended")  # what Prefect calls a run that waits in place, and one that ended


def unanswered(lineage: Lineage, run_id: str) -> list[Approval]:
    """Return the questions of a run that have no answer yet, oldest first."""
    return [asked for asked in lineage.approvals(run_id) if asked.approved is None]


def collect_answers(lineage: Lineage, run_id: str, prefect_run_id: str) -> None:
    """Record the answers that forms of this run have been given since."""
    from prefect.exceptions import ObjectNotFound
    from prefect.input.actions import read_flow_run_input

    for question in unanswered(lineage, run_id):
        for sort in _SORTS:
            key = f"{sort}-{_key(question)}-response"
            try:
                given = read_flow_run_input(key, flow_run_id=UUID(prefect_run_id))
            except ObjectNotFound:
                continue
            if isinstance(given, dict):
                record_answer(lineage, question, given)


def wait_for_answer(lineage: Lineage, question: Approval, *, in_place: bool) -> None:
    """Pause the current flow run until somebody fills in the form, and record the answer.

    Args:
        lineage: Where the answer is recorded.
        question: What is asked.
        in_place: Wait here; otherwise the flow run ends and is started again by the runner.

    Raises:
        Pause: The flow run is suspended; Prefect's engine takes it from here.
    """
    from prefect.flow_runs import pause_flow_run, suspend_flow_run

    form = answer_form(question)
    waits = {"wait_for_input": form, "timeout": PATIENCE_SECONDS, "key": _key(question)}
    if in_place:
        answer = cast(Any, pause_flow_run)(**waits, poll_interval=_POLL_SECONDS)
    else:
        answer = cast(Any, suspend_flow_run)(**waits)
    record_answer(lineage, question, answer.model_dump())


def answer_form(question: Approval) -> type[Any]:
    """Return the form of a question, as the Prefect UI shows it when Resume is pressed."""
    from prefect.input import RunInput
    from pydantic import Field

    class Answer(RunInput):
        decision: Literal["approve", "refuse"] = Field(
            description="What is in the flow's `when` block runs only after approve."
        )
        approved_by: str = Field(min_length=1, description="Your name, for the record.")
        note: str = Field(default="", description="Why, in your words.")

    return Answer.with_initial_data(description=question.question)


def resume_waiting(prefect_run_id: str, answered: Approval, *, has_process: bool) -> bool:
    """Fill in the form of a run that waits in Prefect, so that it goes on.

    Args:
        prefect_run_id: The flow run.
        answered: The answer.
        has_process: Whether the process that asked still waits.

    Returns:
        Whether a process waits for it or the runner will start one; False when Prefect does not
        answer, or shows the run as not waiting.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    given = {
        "decision": "approve" if answered.approved else "refuse",
        "approved_by": answered.actor,
        "note": answered.note,
    }
    try:
        with get_client(sync_client=True) as client:
            shown = client.read_flow_run(UUID(prefect_run_id))
            if shown.deployment_id is None and not has_process:
                return False  # nobody would go on with it
            told = client.resume_flow_run(shown.id, run_input=given)
    except (PrefectException, httpx.HTTPError):
        return False
    return told.status.value == "ACCEPT"


def record_answer(lineage: Lineage, question: Approval, given: dict[str, Any]) -> None:
    """Record what a form was filled in with."""
    from dataclasses import replace

    lineage.answer(
        replace(
            question,
            approved=given["decision"] == "approve",
            actor=str(given["approved_by"]),
            note=str(given.get("note", "")),
            decided_at=current_clock().now(),
            origin="prefect",
        )
    )


def _key(question: Approval) -> str:
    """Return what names a question in Prefect; what it is about is in it."""
    named = {"node": question.node, "about": question.about}
    return document_digest(named)[:16]
