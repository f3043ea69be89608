"""This module plans a round: train on what there is, choose, and ask people, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows._labeling.catalog import loop_named
from flows._labeling.deciding import asked_before
from flows._labeling.learning import Learned, folder, learn, rows_of, text_of
from flows._labeling.pieces import items_left, suggest_by_votes, with_suspects
from flows._labeling.question import round_question
from flows._labeling.standing import answered, standing_of, votes_of
from headrace.artifacts import Report, Table, Votes
from headrace.control import when
from headrace.labels.columns import Vote
from headrace.labels.queue import LabelQueue
from operators._label_requests import request_report
from operators.approve import approve
from operators.audit_labels import audit_labels
from operators.collect_labels import collect_labels
from operators.label_by_model import label_by_model
from operators.label_by_rules import label_by_rules
from operators.request_labels import request_labels
from operators.select_for_labeling import select_for_labeling

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop


def plan_round(name: str, number: int | None) -> None:
    """Compose a round of a loop.

    Args:
        name: The loop.
        number: Which round; None for the next.

    Raises:
        UnknownNameError: There is no such loop.
        DataError: A batch is being answered by another schema than the loop's.
    """
    loop, queue = loop_named(name), LabelQueue()
    standing = standing_of(loop, queue)
    if standing.open is not None:
        asked_before(batch=standing.open.id)
        return
    if number is not None and number <= len(standing.batches):
        asked_before(batch=standing.batches[number - 1].id)
        return
    once = f"round {number or len(standing.batches) + 1}"
    pool = rows_of(loop, loop.pool, "pool")
    if not standing.ended:
        _ask(loop, pool, None, None, once)
        return
    requests = [request_report(queue, batch) for batch in standing.ended]
    votes, _ = collect_labels(requests, task=loop.task)
    with when(items_left(pool, votes, entity=loop.task.entity)):
        enough = answered(votes_of(standing.ended, queue)).can_train(loop)
        _ask(loop, pool, votes, learn(loop, pool, votes) if enough else None, once)


def _ask(
    loop: LabelLoop,
    pool: Table[Any],
    votes: Votes[Vote] | None,
    learned: Learned | None,
    once: str,
) -> None:
    task = loop.task
    selected, chosen = select_for_labeling(
        pool,
        None if learned is None else learned.model,
        done=votes,
        size=loop.batch,
        schema=loop.task.labels,
        strategy=loop.chosen_by,
        random_share=loop.random_share,
        reserve_share=loop.reserve_share,
        reserve_salt=loop.name,
        when_short="take",
        seed=loop.seed,
    )
    gold = None if loop.gold is None else rows_of(loop, loop.gold, "gold")
    if learned is None and loop.rules and task.suggest:
        with folder("rules"):
            said, _ = label_by_rules(selected, rules=loop.rules, task=task)
            selected = suggest_by_votes(selected, said, entity=task.entity)
            if gold is not None:
                known, _ = label_by_rules(gold, rules=loop.rules, task=task)
                gold = suggest_by_votes(gold, known, entity=task.entity)
    if learned is not None and votes is not None:
        selected = _with_doubtful(loop, pool, votes, learned, selected)
        gold = _suggested(loop, gold, learned)
    if not loop.approve:
        _request(loop, selected, gold, once)
        return
    with when(approve([chosen], question=round_question(loop, once, LabelQueue()))):
        _request(loop, selected, gold, once)


def _request(loop: LabelLoop, selected: Table[Any], gold: Table[Any] | None, once: str) -> Report:
    return request_labels(
        selected,
        gold,
        task=loop.task,
        deadline_hours=loop.deadline_hours,
        backend=loop.backend,
        once=once,
    )


def _with_doubtful(
    loop: LabelLoop,
    pool: Table[Any],
    votes: Votes[Vote],
    learned: Learned,
    selected: Table[Any],
) -> Table[Any]:
    """Return the selection with items whose label is in doubt, where the loop wants them."""
    if not loop.audit:
        return selected
    suspects, _ = audit_labels(
        pool,
        learned.labels,
        votes,  # no model: one that was fitted on these labels has learned their errors
        schema=loop.task.labels,
        text=text_of(loop, pool),
        size=loop.audit,
        seed=loop.seed,
    )
    return with_suspects(selected, suspects, votes, entity=loop.task.entity)


def _suggested(loop: LabelLoop, gold: Table[Any] | None, learned: Learned) -> Table[Any] | None:
    """Return gold with the model's suggestions, so that a missing one does not give it away."""
    if gold is None or gold.schema is None or not loop.task.suggest:
        return gold
    features = learned.train.schema
    wanted = () if features is None else features.with_role("feature")
    if not wanted or not {column.name for column in wanted} <= set(gold.schema.names):
        return gold
    with folder("gold"):
        said, _ = label_by_model(gold, learned.model, schema=loop.task.labels, min_confidence=None)
        return suggest_by_votes(gold, said, entity=loop.task.entity)
