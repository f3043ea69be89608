"""This module plans who labels what is left of a pool: rules, the model, people, or nobody yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows._labeling.catalog import loop_named
from flows._labeling.kinds import reason_not_to_route
from flows._labeling.learning import Learned, folder, learn, rows_of
from flows._labeling.pieces import part_of_pool, sent_to_people, together
from flows._labeling.standing import Standing, answered, standing_of, votes_of
from headrace.artifacts import Labels, Table, Votes
from headrace.control import when
from headrace.errors import DataError
from headrace.labels.columns import Vote, VotedLabel
from headrace.labels.queue import LabelQueue
from operators._label_requests import request_report
from operators.collect_labels import collect_labels
from operators.label_by_model import label_by_model
from operators.label_by_rules import label_by_rules
from operators.labels_of_routes import labels_of_routes
from operators.request_labels import request_labels
from operators.route_items import route_items

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop


def standing_to_rest(name: str) -> tuple[LabelLoop, Standing]:
    """Return a loop whose rest can be labelled, and how it stands.

    Raises:
        UnknownNameError: There is no such loop.
        DataError: Its answers are numbers, people are still answering, or they have not answered
            enough for a model.
    """
    loop, queue = loop_named(name), LabelQueue()
    why = reason_not_to_route(loop.task.labels.kind)
    if why is not None:
        raise DataError(f"The rest of loop '{name}' cannot be labelled: {why[0]}", remedy=why[1])
    standing = standing_of(loop, queue)
    if standing.open is not None:
        going = standing.open
        raise DataError(
            f"Batch {going.id} of loop '{loop.name}' is still being answered: {going.done:,} of "
            f"{going.items:,} items are done.",
            remedy="Wait until it is complete, or end it with `headrace label close "
            f"{going.id} --reason ...`.",
        )
    said = answered(votes_of(standing.ended, queue))
    if not said.can_train(loop):
        raise DataError(
            f"People have answered {said.train:,} items of loop '{loop.name}' to learn from and "
            f"{said.random:,} to judge by; a model needs {loop.train_from:,} and 1.",
            remedy=f"Ask on with `headrace run label_round -p loop={loop.name}`.",
        )
    return loop, standing


def plan_rest(name: str, *, required_accuracy: float, people_minutes: float) -> Labels[VotedLabel]:
    """Compose what labels the rest of a loop's pool; see `label_rest`.

    Raises:
        UnknownNameError: There is no such loop.
        DataError: Its rest cannot be labelled now.
    """
    loop, standing = standing_to_rest(name)
    queue = LabelQueue()
    requests = [request_report(queue, batch) for batch in standing.ended]
    votes, _ = collect_labels(requests, task=loop.task)
    pool = rows_of(loop, loop.pool, "pool")
    learned = learn(loop, pool, votes)
    machines = _machine_votes(loop, pool, learned)
    routed, _ = route_items(
        _part(loop, pool, votes, reserve=False),
        machines,
        learned.labels,
        votes,
        budget_seconds=people_minutes * 60,
        required_accuracy=required_accuracy,
        votes_per_item=loop.task.overlap,
    )
    # what models are judged by is drawn by chance: people are not sent where a model is unsure
    with folder("reserve"):
        kept, _ = route_items(
            _part(loop, pool, votes, reserve=True),
            machines,
            learned.labels,
            votes,
            budget_seconds=0.0,
            required_accuracy=required_accuracy,
            votes_per_item=loop.task.overlap,
        )
    labels, _ = labels_of_routes(learned.labels, together([routed, kept]), machines)
    if people_minutes > 0:
        asked, some = sent_to_people(routed)
        with when(some):
            request_labels(
                asked,
                task=loop.task,
                deadline_hours=loop.deadline_hours,
                backend=loop.backend,
                once=f"round {len(standing.batches) + 1}",
            )
    return labels


def _part(loop: LabelLoop, pool: Table[Any], votes: Votes[Vote], *, reserve: bool) -> Table[Any]:
    return part_of_pool(pool, votes, reserve=reserve, share=loop.reserve_share, salt=loop.name)


def _machine_votes(loop: LabelLoop, pool: Table[Any], learned: Learned) -> list[Votes[Vote]]:
    with folder("machines"):
        model, _ = label_by_model(pool, learned.model, schema=loop.task.labels, min_confidence=None)
        if not loop.rules:
            return [model]
        rules, _ = label_by_rules(pool, rules=loop.rules, task=loop.task)
        return [model, rules]
