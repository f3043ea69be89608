"""This module says what rules are worth: what they cover, where they clash, and how often right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.labels.schema import LabelSchema
from operators._label_rules_asked import Said
from operators._labeling_rule import LabelingRule
from operators._proportions import wilson

_CONFIDENCE = 0.95


def rules_report(
    rules: Sequence[LabelingRule],
    said: Sequence[Said],
    known: Sequence[str | None],
    schema: LabelSchema,
) -> dict[str, Any]:
    """Return the report of rules on rows.

    Args:
        rules: The rules.
        said: What each said, in their order.
        known: The true answer of each row, None where nobody knows.
        schema: By which was answered.

    Returns:
        rows, votes, schema_version; coverage, overlap and conflicts as shares of the rows that one
        rule or more, two or more, and two or more with different answers vote on; unipolar, the
        rules that give one answer only; gold, the rows whose answer is known; and `rules`.
    """
    by_row = list(zip(*(each.answers for each in said), strict=True))
    voters = [sum(answer is not None for answer in row) for row in by_row]
    differ = [len({answer for answer in row if answer is not None}) > 1 for row in by_row]
    entries = [
        _entry(rule, each, voters, by_row, known) for rule, each in zip(rules, said, strict=True)
    ]
    votes = sum(voters)
    return {
        "passed": votes > 0,
        "schema_version": schema.version,
        "rows": len(by_row),
        "votes": votes,
        "coverage": _share(sum(n > 0 for n in voters), len(by_row)),
        "overlap": _share(sum(n > 1 for n in voters), len(by_row)),
        "conflicts": _share(sum(differ), len(by_row)),
        "unipolar": [entry["name"] for entry in entries if entry["unipolar"]],
        "errors": sum(each.errors for each in said),
        "gold": sum(answer is not None for answer in known),
        "rules": entries,
    }


def _entry(
    rule: LabelingRule,
    said: Said,
    voters: Sequence[int],
    by_row: Sequence[tuple[str | None, ...]],
    known: Sequence[str | None],
) -> dict[str, Any]:
    given = [number for number, answer in enumerate(said.answers) if answer is not None]
    clashes = [
        number
        for number in given
        if any(other not in (None, said.answers[number]) for other in by_row[number])
    ]
    answers = Counter(answer for answer in said.answers if answer is not None)
    one = rule.choices is not None and len(rule.choices) == 1
    judged = [number for number in given if known[number] is not None]
    right = sum(said.answers[number] == known[number] for number in judged)
    return {
        "name": rule.name,
        "votes": len(given),
        "coverage": _share(len(given), len(by_row)),
        "overlap": _share(sum(voters[number] > 1 for number in given), len(by_row)),
        "conflicts": _share(len(clashes), len(by_row)),
        "answers": dict(sorted(answers.items())),
        "unipolar": one or len(answers) == 1,
        "errors": said.errors,
        "first_error": said.first_error,
        "gold": _accuracy(right, len(judged)),
    }


def _accuracy(right: int, judged: int) -> Mapping[str, Any] | None:
    if not judged:
        return None
    found = wilson(right, judged, confidence=_CONFIDENCE)
    return {
        "rows": judged,
        "right": right,
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
        "confidence": _CONFIDENCE,
    }


def _share(count: int, of: int) -> float:
    return count / of if of else 0.0
