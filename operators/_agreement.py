"""This module says how well raters agree: with each other, with gold, and with suggestions.

Krippendorff's alpha over all raters, Cohen's kappa (A Coefficient of Agreement for Nominal Scales,
1960) for each pair, the share of gold items that each rater got right with Wilson's interval, and
how often raters answer what was suggested when they see it and when it is hidden from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from headrace.labels.items import VoteRecord
from headrace.labels.schema import LabelSchema
from operators._alpha import Alpha, Floats, Integers, Metric, alpha_with_interval
from operators._proportions import wilson

_CONFIDENCE = 0.95
_MOST_IN_PAIRS = 30  # raters whose pairs are listed, those with the most answers
_METRICS: dict[str, Metric] = {
    "single": "nominal",
    "multi": "nominal",
    "number": "interval",
    "ranking": "ordinal",
    "span": "nominal",
}


class Opinion(NamedTuple):
    """This is what agreement looks at of a vote.

    Args:
        entity: What the item is.
        rater: Who voted.
        source: What they are.
        label: The answer; None for a skip or an abstention.
        seconds: How long it took; None where nobody measured it.
        gold: The known answer; None for items that are none of gold.
        suggested: What was suggested; None for nothing.
        suggestion_shown: Whether the rater saw it.
    """

    entity: str
    rater: str
    source: str
    label: str | None
    seconds: float | None
    gold: str | None
    suggested: str | None
    suggestion_shown: bool


@dataclass(frozen=True, kw_only=True)
class Pair:
    """These are two raters on the items that both answered.

    Args:
        a: One rater.
        b: The other.
        items: Items that both answered.
        agreement: The share of them with the same answer; of numbers, with answers at most the
            schema's tolerance apart.
        kappa: Cohen's kappa; None of numbers, and where both gave one and the same answer only.
        apart: Of numbers: how far answers are apart, on average; else None.
    """

    a: str
    b: str
    items: int
    agreement: float
    kappa: float | None
    apart: float | None = None


@dataclass(frozen=True, kw_only=True)
class RaterRecord:
    """This is one rater's record.

    Args:
        rater: Who it is.
        source: What they are: person, adjudicator, rule or model.
        votes: Answers.
        skips: Skips and abstentions.
        gold_answers: Answers to items whose answer is known.
        gold_right: How many of them were right.
        accuracy: The share that was right; None without gold.
        low: Lower end of its 95 % interval.
        high: Upper end.
        median_seconds: Of an answer; None where nobody measured it.
        gold_error: Of numbers: how far answers are from what is known, on average; else None.
    """

    rater: str
    source: str
    votes: int
    skips: int
    gold_answers: int
    gold_right: int
    accuracy: float | None
    low: float | None
    high: float | None
    median_seconds: float | None
    gold_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """These are people's answers to items with a suggestion.

    Args:
        votes: How many there are.
        agreed: How many of them are what was suggested; numbers, within the tolerance.
        share: That, as a share; None of nothing.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    votes: int
    agreed: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """These are answers where the suggestion was shown and where it was hidden.

    Args:
        shown: Where raters saw it.
        hidden: Where they did not.
        difference: How much more often they agree when they see it; None where either is missing.
        low: Lower end of its 95 % interval (R. G. Newcombe 1998, method 10).
        high: Upper end.
    """

    shown: Shown
    hidden: Shown
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """This is how well raters agree.

    Args:
        items: Items with an answer.
        raters_count: Raters with an answer or a skip.
        votes: Answers.
        alpha: Krippendorff's alpha of all but adjudicators, who see what others could not settle.
            Of several choices each is a unit of its own, and so is each rank of a ranking.
        pairs: Pairs of raters, those with the most items in common first.
        pairs_left_out: Pairs that are not listed, as one of them is not among the most active.
        raters: Raters by name.
        suggestions: None where nothing was suggested.
    """

    items: int
    raters_count: int
    votes: int
    alpha: Alpha
    pairs: tuple[Pair, ...]
    pairs_left_out: int
    raters: tuple[RaterRecord, ...]
    suggestions: Suggestions | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        document = asdict(self)
        return document | {
            "pairs": [_told(each, "apart") for each in document["pairs"]],
            "raters": [_told(each, "gold_error") for each in document["raters"]],
        }


def agreement_of(votes: Sequence[VoteRecord], schema: LabelSchema) -> Agreement:
    """Return how well raters agree.

    Args:
        votes: Votes that stand, of one version of the schema. Of a rater's several answers about
            an entity, which were given in several batches, the last one counts.
        schema: What may be answered.
    """
    ordered = sorted(votes, key=_order)
    return agreement_of_opinions(
        [Opinion(*(getattr(vote, name) for name in Opinion._fields)) for vote in ordered], schema
    )


def agreement_of_opinions(votes: Sequence[Opinion], schema: LabelSchema) -> Agreement:
    """Return how well raters agree, by opinions in the order in which they were given."""
    answers = _standing(votes)
    records = _records(votes, answers, schema)
    by_crowd = [vote for vote in answers if vote.source != "adjudicator"]
    entities = _codes([vote.entity for vote in by_crowd])
    pairs, left_out = _pairs(by_crowd, entities, schema)
    return Agreement(
        items=len({vote.entity for vote in answers}),
        raters_count=len(records),
        votes=len(answers),
        alpha=_alpha(by_crowd, entities, schema),
        pairs=pairs,
        pairs_left_out=left_out,
        raters=records,
        suggestions=_suggestions(answers, schema),
    )


def _order(vote: VoteRecord) -> tuple[Any, ...]:
    return vote.at, vote.number, vote.batch, vote.label or ""


def _standing(votes: Sequence[Opinion]) -> list[Opinion]:
    last = {(v.entity, v.rater, v.source): v for v in votes if v.label is not None}
    return [last[key] for key in sorted(last)]


def _codes(names: Sequence[str]) -> Integers:
    numbers = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.fromiter((numbers[name] for name in names), dtype=np.int64, count=len(names))


def _alpha(answers: Sequence[Opinion], entities: Integers, schema: LabelSchema) -> Alpha:
    labels = [str(vote.label) for vote in answers]
    metric, numbers = _METRICS[schema.kind], _numbers(labels, schema)
    if numbers is not None:
        return alpha_with_interval(entities, numbers, metric=metric)
    if schema.kind in ("single", "span"):
        return alpha_with_interval(entities, _codes(labels).astype(np.float64), metric=metric)
    # a unit is an item and a choice: whether it was chosen, or its rank
    wide = _per_choice(labels, schema)
    count = len(schema.choices)
    units = (entities[:, None] * count + np.arange(count)).ravel()
    items = np.repeat(entities, count)
    return alpha_with_interval(units, wide.ravel(), metric=metric, item=items)


def _numbers(labels: Sequence[str], schema: LabelSchema) -> Floats | None:
    """Return what numbers say; None of other kinds."""
    if schema.kind != "number":
        return None
    return np.array([schema.value(label) for label in labels], dtype=np.float64)


def _per_choice(labels: Sequence[str], schema: LabelSchema) -> Floats:
    wide = np.zeros((len(labels), len(schema.choices)))
    read = {label: schema.value(label) for label in set(labels)}
    for row, label in enumerate(labels):
        for rank, choice in enumerate(read[label]):
            wide[row, schema.choices.index(choice)] = 1 if schema.kind == "multi" else rank + 1
    return wide


def _pairs(
    answers: Sequence[Opinion], entities: Integers, schema: LabelSchema
) -> tuple[tuple[Pair, ...], int]:
    raters = _codes([vote.rater for vote in answers])
    names = list(dict.fromkeys(vote.rater for vote in answers))
    if len(names) < 2:
        return (), 0
    labels = [str(vote.label) for vote in answers]
    label_codes, numbers = _codes(labels), _numbers(list(dict.fromkeys(labels)), schema)
    counts = np.bincount(raters, minlength=len(names))
    busiest = sorted(range(len(names)), key=lambda at: (-counts[at], names[at]))[:_MOST_IN_PAIRS]
    busiest.sort(key=lambda at: names[at])
    said = np.full((len(busiest), int(entities.max()) + 1), -1, dtype=np.int64)
    for row, at in enumerate(busiest):
        mine = raters == at
        said[row, entities[mine]] = label_codes[mine]
    found = []
    for row, at in enumerate(busiest):
        for other in range(row + 1, len(busiest)):
            both = (said[row] >= 0) & (said[other] >= 0)
            if both.any():
                of = names[at], names[busiest[other]]
                one, two = said[row, both], said[other, both]
                found.append(
                    _pair(of, one, two)
                    if numbers is None
                    else _pair_of_numbers(of, numbers[one], numbers[two], schema)
                )
    found.sort(key=lambda pair: (-pair.items, pair.a, pair.b))
    total, listed = len(names) * (len(names) - 1), len(busiest) * (len(busiest) - 1)
    return tuple(found), (total - listed) // 2


def _pair_of_numbers(of: tuple[str, str], one: Floats, two: Floats, schema: LabelSchema) -> Pair:
    far = np.abs(one - two)  # hardly two estimates are equal, however good they are
    near = float(np.mean([schema.is_near(float(each)) for each in far]))
    apart = float(far.mean())
    return Pair(a=of[0], b=of[1], items=len(far), agreement=near, kappa=None, apart=apart)


def _pair(of: tuple[str, str], one: Integers, two: Integers) -> Pair:
    agreement = float((one == two).mean())
    width = int(max(one.max(), two.max())) + 1
    shares = [np.bincount(each, minlength=width) / len(each) for each in (one, two)]
    by_chance = float(shares[0] @ shares[1])
    kappa = None if by_chance >= 1 - 1e-12 else (agreement - by_chance) / (1 - by_chance)
    return Pair(a=of[0], b=of[1], items=len(one), agreement=agreement, kappa=kappa)


def _told(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a record without what only numbers have."""
    return {k: v for k, v in record.items() if k != name or v is not None}


def _records(
    votes: Sequence[Opinion], answers: Sequence[Opinion], schema: LabelSchema
) -> tuple[RaterRecord, ...]:
    known = {vote.entity: vote.gold for vote in votes if vote.gold is not None}
    by_rater: dict[tuple[str, str], list[Opinion]] = {}
    for vote in answers:
        by_rater.setdefault((vote.rater, vote.source), []).append(vote)
    skips: dict[tuple[str, str], int] = {}
    for vote in votes:
        if vote.label is None:
            skips[vote.rater, vote.source] = skips.get((vote.rater, vote.source), 0) + 1
    return tuple(
        _record(
            (rater, source), by_rater.get((rater, source), []), skips, known=known, schema=schema
        )
        for rater, source in sorted({*by_rater, *skips})
    )


def _record(
    who: tuple[str, str],
    answers: Sequence[Opinion],
    skips: dict[tuple[str, str], int],
    *,
    known: dict[str, str],
    schema: LabelSchema,
) -> RaterRecord:
    rater, source = who
    on_gold = [vote for vote in answers if vote.entity in known]
    right, error = sum(vote.label == known[vote.entity] for vote in on_gold), None
    if schema.kind == "number" and on_gold:
        far = [abs(float(str(vote.label)) - float(known[vote.entity])) for vote in on_gold]
        error = float(np.mean(far))
        right = sum(schema.is_near(each) for each in far)
    found = wilson(right, len(on_gold), confidence=_CONFIDENCE) if on_gold else None
    seconds = [vote.seconds for vote in answers if vote.seconds is not None]
    return RaterRecord(
        rater=rater,
        source=source,
        votes=len(answers),
        skips=skips.get((rater, source), 0),
        gold_answers=len(on_gold),
        gold_right=right,
        accuracy=None if found is None else found.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        median_seconds=float(np.median(seconds)) if seconds else None,
        gold_error=error,
    )


def _suggestions(answers: Sequence[Opinion], schema: LabelSchema) -> Suggestions | None:
    people = [vote for vote in answers if vote.source == "person" and vote.suggested is not None]
    if not people:
        return None
    shown, hidden = (
        _shown([vote for vote in people if vote.suggestion_shown is seen], schema)
        for seen in (True, False)
    )
    difference = low = high = None
    if shown.share is not None and hidden.share is not None:
        difference = shown.share - hidden.share
        low = difference - np.hypot(shown.share - shown.low, hidden.high - hidden.share)
        high = difference + np.hypot(shown.high - shown.share, hidden.share - hidden.low)
    return Suggestions(
        shown=shown,
        hidden=hidden,
        difference=difference,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
    )


def _shown(votes: Sequence[Opinion], schema: LabelSchema) -> Shown:
    agreed = sum(not schema.differ([str(vote.label), str(vote.suggested)]) for vote in votes)
    found = wilson(agreed, len(votes), confidence=_CONFIDENCE)
    return Shown(
        votes=len(votes),
        agreed=agreed,
        share=found.value if votes else None,
        low=found.low,
        high=found.high,
    )
