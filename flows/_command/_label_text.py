"""This module puts tasks, batches and raters of labeling into words and tables."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.labels.items import Batch
    from headrace.labels.queue import LabelQueue
    from headrace.labels.task import LabelTask

_WIDTH = 90


def summary_of(queue: LabelQueue, task: LabelTask) -> dict[str, Any]:
    """Return how a task stands, as JSON-like data."""
    from headrace.labels.addresses import task_url
    from headrace.settings import settings

    batches = queue.batches(task.name)
    waiting = [batch for batch in batches if batch.status == "open"]
    return {
        "task": task.name,
        "title": task.heading,
        "kind": task.labels.kind,
        "schema_version": task.labels.version,
        "batches": len(batches),
        "open_batches": len(waiting),
        "items_left": sum(batch.items - batch.done for batch in waiting),
        "votes": sum(batch.votes for batch in batches),
        "url": task_url(settings(), task.name),
    }


def batch_document(queue: LabelQueue, batch: Batch) -> dict[str, Any]:
    """Return a batch as JSON-like data, with what nobody is left to answer."""
    moments = ("created_at", "deadline", "ended_at")
    waits = queue.stranded(batch.id)
    told = None if waits is None else asdict(waits) | {"problem": waits.problem}
    return (
        asdict(batch)
        | {
            name: None if (at := getattr(batch, name)) is None else at.isoformat()
            for name in moments
        }
        | {"stranded": told}
    )


def task_document(queue: LabelQueue, name: str) -> dict[str, Any]:
    """Return a task with its schema, versions, batches and raters, as JSON-like data."""
    task = queue.task(name)
    votes = queue.votes(task=name)
    given = Counter(vote.rater for vote in votes if vote.label is not None)
    skipped = Counter(vote.rater for vote in votes if vote.label is None)
    spent = dict.fromkeys(given | skipped, 0.0)
    for vote in votes:
        spent[vote.rater] += vote.seconds or 0.0
    return summary_of(queue, task) | {
        "declared": task.document(),
        "versions": [
            {"number": each.number, "version": each.version, "at": each.at.isoformat()}
            for each in queue.versions(name)
        ],
        "batches": [batch_document(queue, batch) for batch in queue.batches(name)],
        "raters": [
            {
                "rater": rater,
                "votes": given[rater],
                "skips": skipped[rater],
                "minutes": round(spent[rater] / 60, 1),
            }
            for rater in sorted(given | skipped)
        ],
    }


def write_task(document: Mapping[str, Any]) -> None:
    """Write what `task_document` returns."""
    declared = document["declared"]
    labels = declared["labels"]
    _screen.write(f"{document['title']}  ({document['task']}), label at {document['url']}")
    _screen.write(f"  {_answers(labels)}; {declared['overlap']} raters an item")
    _screen.write(f"  Raters see: {', '.join(declared['show'])}")
    newest = document["versions"][-1]
    _screen.write(f"  Version {newest['number']} of the labels: {newest['version']}")
    for line in labels["guideline"].splitlines():
        filled = textwrap.wrap(line, _WIDTH, initial_indent="  | ", subsequent_indent="  | ")
        for part in filled or ["  |"]:
            _screen.write(part)
    _screen.write("")
    write_batch_rows(document["batches"])
    if document["raters"]:
        _screen.write("")
        heads = ["rater", "votes", "skips", "minutes"]
        _screen.write_table(heads, [[each[name] for name in heads] for each in document["raters"]])


def write_batch_rows(batches: Sequence[Mapping[str, Any]]) -> None:
    """Write documents of batches as a table with what waits in vain, or that there is none."""
    if not batches:
        _screen.write("Nobody was asked for anything yet.")
        return
    heads = ["batch", "task", "number", "status", "items done", "votes", "skips", "asked at (UTC)"]
    rows = [
        [
            each["id"],
            each["task"],
            each["number"],
            each["status"] if not each["why"] else f"{each['status']}: {each['why']}",
            f"{each['done']:,} of {each['items']:,}",
            f"{each['votes']:,} of {each['wanted']:,}",
            each["skips"],
            each["created_at"][:16].replace("T", " "),
        ]
        for each in batches
    ]
    _screen.write_table(heads, rows)
    for each in batches:
        if each["stranded"] is not None:
            _screen.write("")
            _screen.write(f"Batch {each['id']} waits in vain: {each['stranded']['problem']}.")
            _screen.write(f"  Fix: {each['stranded']['remedy']}")


def write_agreement(task: str, document: Mapping[str, Any]) -> None:
    """Write what `agreement_of` says of the votes on a task."""
    alpha = document["alpha"]
    said = (
        f"no alpha: {alpha['why']}"
        if alpha["value"] is None
        else f"Krippendorff's alpha {_figure(alpha)} ({alpha['metric']})"
    )
    _screen.write(f"{task}: {document['votes']:,} votes on {document['items']:,} items; {said}.")
    are_numbers = alpha["metric"] == "interval"
    if document["pairs"]:
        _screen.write("")
        _screen.write_table(
            ["raters", "items", "agree", "apart" if are_numbers else "kappa"],
            [
                [
                    f"{p['a']}, {p['b']}",
                    p["items"],
                    _share(p["agreement"]),
                    _number(p.get("apart", p["kappa"])),
                ]
                for p in document["pairs"]
            ],
        )
    _screen.write("")
    numbers = any(each.get("gold_error") is not None for each in document["raters"])
    _screen.write_table(
        [
            *("rater", "votes", "skips", "right on gold", "accuracy", "95 % interval"),
            *(["off on gold"] if numbers else []),
            "seconds a vote",
        ],
        [
            [
                each["rater"],
                each["votes"],
                each["skips"],
                f"{each['gold_right']} of {each['gold_answers']}",
                _share(each["accuracy"]),
                "" if each["low"] is None else f"{_share(each['low'])} to {_share(each['high'])}",
                *([_number(each.get("gold_error"))] if numbers else []),
                _number(each["median_seconds"], 1),
            ]
            for each in document["raters"]
        ],
    )
    swayed = document["suggestions"]
    if swayed is not None:
        _screen.write("")
        _screen.write(
            f"Votes equal to the suggestion: {_share(swayed['shown']['share'])} of "
            f"{swayed['shown']['votes']:,} where it was shown, "
            f"{_share(swayed['hidden']['share'])} of {swayed['hidden']['votes']:,} where it was "
            "hidden."
        )


def _answers(labels: Mapping[str, Any]) -> str:
    if labels["kind"] != "number":
        return f"{labels['kind']}: {', '.join(labels['choices'])}"
    bounds = [f"from {labels['low']:g}" if labels["low"] is not None else ""]
    bounds += [f"to {labels['high']:g}" if labels["high"] is not None else "", labels["unit"]]
    if labels.get("tolerance") is not None:
        bounds.append(f"(right within {labels['tolerance']:g})")
    return " ".join(["number", *filter(None, bounds)])


def _figure(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
