"""This module declares labeling loops, which `label_round` and `label_collect` find by name.

    NEWS = LabelLoop(
        task=LabelTask(
            name="news_topic",
            labels=LabelSchema(choices=("business", "politics", "sport")),
            entity="document",
            show=("title", "text"),
        ),
        pool=read_news,  # a function that calls operators and returns a Table
    )

`headrace run label_round -p loop=news_topic` then asks people for the first batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flows._labeling.loop import LabelLoop
from flows._labeling.simulated import SimulatedEstimator, SimulatedRater, SimulatedTagger
from headrace import Report
from headrace.errors import DefinitionError

if TYPE_CHECKING:
    from flows._labeling.answering import Rater
    from headrace.execution import FlowRun
    from headrace.labels.items import Batch

__all__ = [
    "LabelLoop",
    "LoopRound",
    "SimulatedEstimator",
    "SimulatedRater",
    "SimulatedTagger",
    "run_loop",
]


@dataclass(frozen=True, kw_only=True)
class LoopRound:
    """This is what a round came to.

    Attributes:
        number: Number of its batch.
        batch: Id of the batch.
        collected: The run of `label_collect`; its artifacts are at "run:<id>/<node>".
        decision: "next" or "stop".
        reason: Why it stopped, in a word; empty to go on.
        why: Why, in a sentence.
        accuracy: On the random slice, or None while there is no model, or of other answers than a
            single choice.
        metric: By what models are judged.
        score: The metric on the random slice, or None while there is no model.
        report: All that was reported.
    """

    number: int
    batch: str
    collected: str
    decision: str
    reason: str
    why: str
    accuracy: float | None
    metric: str
    score: float | None
    report: Mapping[str, Any]


def run_loop(loop: LabelLoop, raters: Mapping[str, Rater], *, rounds: int = 10) -> list[LoopRound]:
    """Run a loop in this process, without servers, with functions as raters.

        history = run_loop(NEWS, {"ada": answer, "bob": answer}, rounds=5)

    Batches, votes and labels are the same as with people: they go through the queue, and the flows
    `label_round` and `label_collect` run in turn. Nobody is asked to approve. A loop that was begun
    goes on where it is.

    Args:
        loop: The loop; no module of the roots needs to declare it.
        raters: Name to a function of what is shown (column to value) that returns the answer, or
            None to skip. A rater with an attribute `seconds` counts as having needed that long for
            each answer; any other is timed.
        rounds: Most rounds.

    Returns:
        What each round came to, until the loop stopped or nothing was left to ask.

    Raises:
        DefinitionError: There are fewer raters than are to answer each item.
        RunError: A round failed; the message says which operator, and why.
    """
    from flows._labeling.answering import answer_batch
    from flows._labeling.catalog import at_hand
    from flows._labeling.standing import standing_of
    from flows.label_collect import label_collect
    from flows.label_round import label_round
    from headrace.labels.queue import LabelQueue

    if len(raters) < loop.task.overlap:
        raise DefinitionError(
            f"{loop.task.overlap} raters are to answer each item, but {len(raters)} are given.",
            remedy="Give more raters, or a task with a smaller `overlap`.",
        )
    queue, history = LabelQueue(), []
    with at_hand(replace(loop, approve=False)):
        for _ in range(rounds):
            label_round.run(loop=loop.name).require_completed()
            batch = standing_of(loop, queue).open
            if batch is None:
                break  # nothing was left to ask
            answer_batch(queue, batch, raters)
            run = label_collect.run(loop=loop.name, batch=batch.id).require_completed()
            history.append(_round(run, batch, loop.judged_by))
            if history[-1].decision == "stop":
                break
    return history


def _round(run: FlowRun, batch: Batch, metric: str) -> LoopRound:
    decided = run["decide_round"]
    document = decided.document if isinstance(decided, Report) else {}
    accuracy = document["accuracy"]
    score = document.get("score") or accuracy
    return LoopRound(
        number=batch.number,
        batch=batch.id,
        collected=run.id,
        decision=document["decision"],
        reason=document["reason"],
        why=document["why"],
        accuracy=None if accuracy is None else accuracy["value"],
        metric=metric,
        score=None if score is None else score["value"],
        report=document,
    )
