"""This module plans what follows a batch: labels, a model of each round, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows._labeling.catalog import find_loops, loop_named
from flows._labeling.deciding import decide_round, leave_alone, remind
from flows._labeling.judging import judge_rounds
from flows._labeling.learning import Learned, folder, learn, rows_of, text_of
from flows._labeling.pieces import items_left
from flows._labeling.standing import (
    answered,
    batch_named,
    batches_of,
    has_ended,
    standing_of,
    votes_of,
)
from headrace.artifacts import Report, Table, Votes
from headrace.errors import DataError, UnknownNameError
from headrace.labels.columns import Vote
from headrace.labels.queue import LabelQueue
from operators._label_requests import request_report
from operators.audit_labels import audit_labels
from operators.collect_labels import collect_labels
from operators.labeling_costs import labeling_costs

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop
    from headrace.labels.items import Batch


def plan_collect(name: str | None, batch: str | None) -> None:
    """Compose what follows a batch; see `label_collect`.

    Raises:
        UnknownNameError: There is no such loop or batch.
        DataError: No batch has ended, or the one that is meant is still being answered.
    """
    if name is None and batch is None:
        remind()
        return
    meant = None if batch is None else batch_named(batch)
    loop = loop_to_follow(name, meant)
    if loop is not None:
        _follow(loop, LabelQueue(), meant)
    elif meant is not None:
        leave_alone(task=meant.task, batch=meant.id)


def loop_to_follow(name: str | None, meant: Batch | None) -> LabelLoop | None:
    """Return the loop that goes on after a batch; None where nobody asked for it by a loop.

    Raises:
        UnknownNameError: There is no such loop, or none any more.
    """
    if name is not None or meant is None:
        return None if name is None else loop_named(name)
    loops = find_loops()
    if meant.task not in loops and _asked_by_loop(meant):
        raise UnknownNameError.of(
            "labeling loop",
            meant.task,
            loops,
            remedy=f"It asked for batch {meant.id}. Start the runner where `headrace.toml` names "
            "its root, or declare it again, then `headrace run label_collect -p "
            f"batch={meant.id}`.",
        )
    return loops.get(meant.task)


def _asked_by_loop(batch: Batch) -> bool:
    from headrace.execution import Session

    if batch.run_id is None:
        return False
    try:
        return Session.of_settings().lineage.run(batch.run_id).flow == "label_round"
    except UnknownNameError:  # the queue was brought here without its runs
        return False


def _follow(loop: LabelLoop, queue: LabelQueue, meant: Batch | None) -> None:
    batches = ended_until(loop, queue, meant)
    requests = [request_report(queue, each) for each in batches]
    votes, collected = collect_labels(requests, task=loop.task)
    pool = rows_of(loop, loop.pool, "pool")
    left = items_left(pool, votes, entity=loop.task.entity)
    learned = list(_rounds(loop, pool, votes, list(zip(batches, requests, strict=True))))
    judged, compared = judge_rounds(loop, learned)
    costs = labeling_costs(
        votes,
        judged,
        next_labels=max(1, round(loop.batch * (1 - loop.random_share))),
        next_items=loop.batch,
        metric=loop.judged_by,
        schema=None if loop.task.labels.kind == "single" else loop.task.labels,
        target=loop.target,
        budget_seconds=None if loop.budget_hours is None else loop.budget_hours * 3600,
        least_gain=loop.least_gain_of_metric,
        patience=loop.patience,
        rate_per_hour=loop.rate_per_hour,
        currency=loop.currency,
    )
    decide_round(
        collected,
        costs,
        left,
        judged=judged,
        compared=compared,
        audits=[_audited(loop, pool, votes, learned[-1])] if learned else [],
        loop=loop.name,
        number=batches[-1].number,
        batch=batches[-1].id,
    )


def ended_until(loop: LabelLoop, queue: LabelQueue, meant: Batch | None) -> list[Batch]:
    """Return the batches of a loop that have ended, up to the one that is meant.

    Raises:
        DataError: There is none, or the one that is meant is still being answered, or was asked
            by another schema.
    """
    if meant is not None and not has_ended(meant):
        raise DataError(
            f"Batch {meant.id} of task '{meant.task}' is still being answered: {meant.done:,} of "
            f"{meant.items:,} items are done.",
            remedy="Wait until it is complete, or end it with `headrace label close "
            f"{meant.id} --reason ...`.",
        )
    version = loop.task.labels.version
    if meant is not None and (meant.task, meant.schema_version) != (loop.name, version):
        raise DataError(
            f"Batch {meant.id} is of task '{meant.task}' and version {meant.schema_version} of its "
            f"schema, not of '{loop.name}' and {version}.",
            remedy="Name a batch that the loop asked with the schema that it has.",
        )
    known = [each for each in batches_of(loop.name, queue) if each.schema_version == version]
    ended = [
        each for each in known if has_ended(each) and (meant is None or each.number <= meant.number)
    ]
    if not ended:
        going = standing_of(loop, queue).open
        said = (
            "nobody was asked yet"
            if going is None
            else f"batch {going.id} is still being answered: {going.done:,} of {going.items:,} "
            "items are done"
        )
        raise DataError(
            f"No batch of loop '{loop.name}' has ended: {said}.",
            remedy=f"Ask with `headrace run label_round -p loop={loop.name}`, and answer at the "
            "address that it reports.",
        )
    return ended


def _rounds(
    loop: LabelLoop,
    pool: Table[Any],
    votes: Votes[Vote],
    asked: list[tuple[Batch, Report]],
) -> list[Learned]:
    """Compose the model of each round, of the votes that there were when it ended.

    Models of earlier rounds are known to the cache: they are the ones that chose what was asked.
    """
    queue, found = LabelQueue(), []
    for count, (last, _) in enumerate(asked, start=1):
        until = asked[:count]
        if not answered(votes_of([batch for batch, _ in until], queue)).can_train(loop):
            continue
        with folder(f"round_{last.number}"):
            part = votes
            if count < len(asked):
                # read anew, of these batches alone: filtered out of all votes, an earlier model
                # would seem to descend from what was asked later
                part, _ = collect_labels([request for _, request in until], task=loop.task)
            found.append(learn(loop, pool, part))
    return found


def _audited(loop: LabelLoop, pool: Table[Any], votes: Votes[Vote], learned: Learned) -> Report:
    _, report = audit_labels(
        pool,
        learned.labels,
        votes,  # no model: one that was fitted on these labels has learned their errors
        schema=loop.task.labels,
        text=text_of(loop, pool),
        size=loop.audit or 100,
        seed=loop.seed,
    )
    return report
