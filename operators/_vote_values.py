"""This module settles votes whose answers are no classes: numbers, rankings and spans of text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from headrace.errors import DataError
from headrace.labels.schema import LabelSchema
from operators._choice_auto import Method
from operators._dawid_skene import Floats
from operators._ties import drawn_by_name
from operators._vote_choices import Outcome
from operators._votes_read import VotesRead

_USUAL = 1.4826  # from the median distance to the standard deviation, for a normal distribution
_PRIOR_ANSWERS = 4.0
_LISTED = 10


def settle_numbers(read: VotesRead, schema: LabelSchema, method: Method) -> Outcome:
    """Return the median for each item, or with "gold_weighted" the mean weighted by gold.

    How sure a number is, is the share of its votes within two of the crowd's usual distances from
    it: 1.4826 times the median distance of a vote from its item's median, over all items with
    several votes. A weight is one over a rater's mean squared error on gold, drawn towards all
    raters' as if that were known from four answers.
    """
    values: Floats = np.array([schema.value(label) for label in read.answers["label"]])
    voters = read.answers["voter"].to_numpy()
    weights = _weights_on_gold(read, values, schema) if method == "gold_weighted" else None
    items, middles, ranges = [], [], []
    distances: list[Floats] = []
    for item, part in _parts(read):
        found = (
            float(np.median(values[part]))
            if weights is None
            else float(np.average(values[part], weights=weights[voters[part]]))
        )
        items.append(item)
        middles.append(found)
        ranges.append(float(np.ptp(values[part])))
        distances.append(np.abs(values[part] - found))
    several = [each for each in distances if len(each) > 1]
    usual = _USUAL * float(np.median(np.concatenate(several))) if several else 0.0
    near = np.array([float((each <= 2 * usual + 1e-12).mean()) for each in distances])
    widest = sorted(zip(ranges, items, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return Outcome(
        item=np.array(items, dtype=np.int64),
        label=[schema.read(value) for value in middles],
        probability=near,
        method="median" if weights is None else "weighted_mean",
        findings={
            "usual_distance": usual,
            "median_range": float(np.median(ranges)),
            "widest": [
                {"entity": read.items["entity"].iloc[item], "range": width}
                for width, item in widest[:_LISTED]
                if width > 0
            ],
        },
    )


def _parts(read: VotesRead) -> Iterator[tuple[int, slice]]:
    """Yield each item with a vote of the crowd, and where its votes are."""
    numbers = read.answers["item"].to_numpy()
    items, starts = np.unique(numbers, return_index=True)
    ends = [*starts[1:].tolist(), len(numbers)]
    for item, start, end in zip(items.tolist(), starts.tolist(), ends, strict=True):
        yield item, slice(start, end)


def _weights_on_gold(read: VotesRead, values: Floats, schema: LabelSchema) -> Floats:
    gold = [None if gold is None else schema.value(gold) for gold in read.items["gold"]]
    truths = [gold[item] for item in read.answers["item"].tolist()]
    known = np.array([truth is not None for truth in truths], dtype=bool)
    if not known.any():
        raise DataError(
            "Raters cannot be weighed by gold: none of the items with a vote has a known answer.",
            remedy='Ask for items whose answer is known, or take `method="auto"`.',
        )
    truth: Floats = np.array([truth for truth in truths if truth is not None], dtype=np.float64)
    errors = (values[known] - truth) ** 2
    voters = read.answers["voter"].to_numpy()[known]
    sums = np.bincount(voters, weights=errors, minlength=len(read.voters))
    counts = np.bincount(voters, minlength=len(read.voters))
    overall = float(errors.mean())
    if overall == 0:
        return np.ones(len(read.voters))
    weights: Floats = (counts + _PRIOR_ANSWERS) / (sums + _PRIOR_ANSWERS * overall)
    return weights


def settle_rankings(read: VotesRead, schema: LabelSchema, method: Method) -> Outcome:
    """Return the ranking of each item by Borda's count: the mean place of each choice decides.

    Choices with the same mean place are put in the order that most votes give the two; where that
    is equal too, it is drawn by the item's name. How sure a ranking is, is the share of pairs of
    choices, over all votes, that stand in it as the vote has them.
    """

    def settle(entity: str, votes: Sequence[list[str]]) -> tuple[Any, float]:
        places = np.array([[vote.index(choice) for choice in schema.choices] for vote in votes])
        before = (places[:, :, None] < places[:, None, :]).mean(axis=0)
        total = places.sum(axis=0)
        order = sorted(range(len(schema.choices)), key=lambda at: int(total[at]))
        ranked = _untied(entity, order, total, before, schema.choices)
        pairs = [before[a, b] for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
        return [schema.choices[at] for at in ranked], float(np.mean(pairs))

    return _each(read, schema, settle, "borda")


def _untied(
    entity: str, order: Sequence[int], total: Any, before: Any, choices: Sequence[str]
) -> list[int]:
    ranked: list[int] = []
    left = list(order)
    while left:
        first = [at for at in left if total[at] == total[left[0]]]
        wins = {at: sum(before[at, other] > 0.5 for other in first) for at in first}
        best = [at for at in first if wins[at] == max(wins.values())]
        names = sorted(choices[at] for at in best)
        chosen = choices.index(names[drawn_by_name(entity, names)])
        ranked.append(chosen)
        left.remove(chosen)
    return ranked


def settle_spans(read: VotesRead, schema: LabelSchema, method: Method) -> Outcome:
    """Return the spans of each item that more than half of its votes mark, exactly alike.

    How sure they are, is the mean over all spans that anybody marked of the share of votes that
    agree with what became of it; 1 where nobody marked any.
    """

    def settle(entity: str, votes: Sequence[list[dict[str, Any]]]) -> tuple[Any, float]:
        marked = Counter(json.dumps(span, sort_keys=True) for vote in votes for span in vote)
        support = {span: count / len(votes) for span, count in marked.items()}
        kept = [json.loads(span) for span, share in support.items() if share > 0.5]
        sure = [max(share, 1 - share) for share in support.values()]
        return kept, float(np.mean(sure)) if sure else 1.0

    return _each(read, schema, settle, "span_majority")


def _each(
    read: VotesRead,
    schema: LabelSchema,
    settle: Callable[[str, Sequence[Any]], tuple[Any, float]],
    method: str,
) -> Outcome:
    values = {label: schema.value(label) for label in read.answers["label"].unique()}
    items, labels, sure = [], [], []
    answers = [values[label] for label in read.answers["label"]]
    entities = list(read.items["entity"])
    for item, part in _parts(read):
        label, probability = settle(entities[item], answers[part])
        items.append(item)
        labels.append(schema.read(label))
        sure.append(probability)
    return Outcome(
        item=np.array(items, dtype=np.int64),
        label=labels,
        probability=np.array(sure),
        method=method,
        findings={},
    )
