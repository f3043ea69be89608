"""This module asks a person before a flow goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from headrace import Evaluation, Model, Report, operator
from headrace.recording import ask_person


@operator(effect=True, cpu=0.0)
def approve(
    about: Sequence[Evaluation | Report | Model],
    *,
    question: Annotated[str, Field(min_length=1)],
) -> Report:
    """This asks a person, and lets the flow wait until there is an answer.

    The run pauses when everything that does not need the answer is done; nothing stays busy while
    it waits. It goes on when somebody presses Resume in the Prefect UI and fills in the form, or
    answers with `headrace approve RUN`. Use the report with `when`: what is in the block runs only
    after "approve". An answer counts for what it was given about: when a resumed run comes with
    another evaluation or model, it asks again.

    Args:
        about: What the answer is about; its key figures are shown with the question.
        question: What is asked, in Markdown; the first line is shown in lists.

    Returns:
        A report: `passed` is whether it was approved; `decision`, `approved_by`, `note`,
        `asked_at`, `decided_at` (RFC 3339) and `about` (input to digest) say the rest.

    Raises:
        DefinitionError: It is called outside a flow run, where nobody can be asked.
    """
    digests = {f"about[{i}]": artifact.digest for i, artifact in enumerate(about)}
    facts = [f"- {line}" for artifact in about for line in _facts(artifact)]
    answer = ask_person("\n".join([question, "", *facts]).rstrip(), about=digests)
    return Report.of(
        {
            "passed": bool(answer.approved),
            "decision": "approved" if answer.approved else "refused",
            "approved_by": answer.actor,
            "note": answer.note,
            "asked_at": answer.asked_at.isoformat(),
            "decided_at": answer.decided_at.isoformat() if answer.decided_at else "",
            "answered_in": answer.origin,
            "about": digests,
        }
    )


def _facts(artifact: Evaluation | Report | Model) -> list[str]:
    """Return what a person wants to know of an artifact before they answer."""
    name = f"{artifact.kind} `{artifact.digest[:12]}`"
    if isinstance(artifact, Model):
        card = artifact.card
        return [f"{name}: {card.task} of {card.label}, {len(card.features)} features"]
    document = artifact.document
    facts = [name]
    metrics = document.get("metrics")
    if isinstance(metrics, dict):
        shown = [f"{k} {v['value']:.4g}" for k, v in metrics.items() if _measured(v)]
        facts = [f"{name}: " + ", ".join(shown)]
    if isinstance(document.get("passed"), bool):
        facts.append(f"passed: {'yes' if document['passed'] else 'no'}")
    return facts


def _measured(metric: object) -> bool:
    return isinstance(metric, dict) and isinstance(metric.get("value"), int | float)
