"""This module reads the annotations of an item as what its raters say now; it is pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from headrace.labels.foreign import ForeignVote
from operators._label_studio_config import answered_column
from operators._label_studio_results import answer_of
from operators._label_studio_synced import Unused

if TYPE_CHECKING:
    from headrace.labels.items import VoteRecord
    from headrace.labels.task import LabelTask

SKIPPED = "skipped in Label Studio"
_LONGEST_RATER = 64


@dataclass(frozen=True, kw_only=True)
class Place:
    """This is where annotations were made: an item of a batch, and what stands of it with us.

    Attributes:
        batch: Id of the batch.
        item: Number of the item.
        entity: What it is.
        shown: What raters see of it.
        task: The task, as it was when the batch was asked for.
        standing: The votes of people that stand, by rater.
    """

    batch: str
    item: int
    entity: str
    shown: Mapping[str, Any]
    task: LabelTask
    standing: Mapping[str, VoteRecord]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """This is what the annotations of an item say.

    Attributes:
        votes: What differs from what stands, in the order in which it is to be recorded: what was
            taken back, what raters changed, then what is new, the oldest first.
        unused: Annotations that are no votes.
        same: Annotations that say what stands already.
        edited: Annotations that somebody else than their annotator changed last.
    """

    votes: tuple[ForeignVote, ...] = ()
    unused: tuple[Unused, ...] = ()
    same: int = 0
    edited: int = 0


@dataclass(frozen=True, kw_only=True)
class _Answer:
    annotation: Mapping[str, Any]
    rater: str
    label: str | None

    @property
    def skipped(self) -> str | None:
        return SKIPPED if self.annotation["was_cancelled"] else None


def read_annotations(
    tasks: Sequence[Mapping[str, Any]], place: Place, *, people: Mapping[int, str]
) -> Reading:
    """Return what the annotations of an item say, against what stands.

    Args:
        tasks: The task of the item, as Label Studio tells it; more than one if it was imported
            twice.
        place: The item.
        people: E-mail addresses, by number of the user in Label Studio.
    """
    annotations = [each for task in tasks for each in task["annotations"]]
    shown = any(task["predictions"] for task in tasks)
    latest, unused = _latest(annotations, place, people)
    answers: dict[str, _Answer] = {}
    for rater, annotation in latest.items():
        try:
            answers[rater] = _Answer(
                annotation=annotation, rater=rater, label=_label(annotation, place)
            )
        except DataError as refusal:
            unused.append(_unused(annotation, place, rater, refusal.problem))
    ownerless = any(each["completed_by"] not in people for each in annotations)
    # a task that was deleted and sent again knows nothing of what was answered before
    born = min(_moment(task["created_at"]) for task in tasks)
    stood = [rater for rater, vote in place.standing.items() if vote.at >= born]
    gone = [] if ownerless else sorted(set(stood) - answers.keys())
    at = max(_moment(task["updated_at"]) for task in tasks)
    withdrawn = [_withdrawal(place, place.standing[rater], at) for rater in gone]
    ordered = sorted(answers.values(), key=lambda a: (a.annotation["created_at"], a.rater))
    new = [a for a in ordered if a.rater not in place.standing]
    known = [a for a in ordered if a.rater in place.standing]
    changed = [a for a in known if not _stands(a, place.standing[a.rater])]
    return Reading(
        votes=(*withdrawn, *(_vote(a, place, shown=shown) for a in (*changed, *new))),
        unused=tuple(unused),
        same=len(known) - len(changed),
        edited=sum(_edited(a.annotation) for a in answers.values()),
    )


def _latest(
    annotations: Sequence[Mapping[str, Any]], place: Place, people: Mapping[int, str]
) -> tuple[dict[str, Mapping[str, Any]], list[Unused]]:
    """Return the last annotation of each rater who may answer, and the others with the reason."""
    latest: dict[str, Mapping[str, Any]] = {}
    unused = []
    raters = place.task.raters
    for annotation in sorted(annotations, key=lambda a: (a["updated_at"], a["id"])):
        rater = rater_of(annotation, people)
        if rater is None:
            unused.append(_unused(annotation, place, "", "its annotator is no user any more"))
        elif raters is not None and rater not in raters:
            unused.append(_unused(annotation, place, rater, "not among the raters of the task"))
        else:
            if rater in latest:
                why = "the annotator gave a later one"
                unused.append(_unused(latest[rater], place, rater, why))
            latest[rater] = annotation
    return latest, unused


def rater_of(annotation: Mapping[str, Any], people: Mapping[int, str]) -> str | None:
    """Return the name of an annotator: the e-mail address; None for a user who was removed."""
    user = annotation["completed_by"]
    if user not in people:
        return None
    email = "".join(each for each in people[user] if each.isprintable()).strip()
    name = email or f"user {user}"
    return name if len(name) <= _LONGEST_RATER else f"{name[:47]}~{_digest(name)}"


def _label(annotation: Mapping[str, Any], place: Place) -> str | None:
    if annotation["was_cancelled"]:
        return None
    marked = place.task.labels.kind == "span"
    text = str(place.shown.get(answered_column(place.task))) if marked else ""
    try:
        return answer_of(annotation["result"] or [], place.task, text)
    except (KeyError, TypeError, AttributeError, IndexError) as problem:
        said = json.dumps(annotation["result"])[:200]
        raise DataError(
            f"Its result cannot be read ({type(problem).__name__}): {said}.",
            remedy="Ask the annotator to answer again.",
        ) from None


def _stands(answer: _Answer, vote: VoteRecord) -> bool:
    return answer.label == vote.label and answer.skipped == vote.skipped


def _vote(answer: _Answer, place: Place, *, shown: bool) -> ForeignVote:
    annotation = answer.annotation
    standing = place.standing.get(answer.rater)
    seconds = annotation["lead_time"]
    # the rater and what stood are part of the name: the same annotation may become a vote again
    about = f"{answer.rater}:{0 if standing is None else standing.number}"
    version = f"{annotation['id']}:{annotation['updated_at']}:{_digest(about)}"
    return ForeignVote(
        item=place.item,
        rater=answer.rater,
        label=answer.label,
        skipped=answer.skipped,
        seconds=None if seconds is None or seconds < 0 else float(seconds),
        at=_moment(annotation["updated_at"]),
        suggestion_shown=shown,
        request=f"labelstudio:{place.batch}:{version}",
    )


def _withdrawal(place: Place, vote: VoteRecord, at: datetime) -> ForeignVote:
    return ForeignVote(
        item=place.item,
        rater=vote.rater,
        label=None,
        skipped=None,
        seconds=None,
        at=at,
        suggestion_shown=vote.suggestion_shown,
        request=f"labelstudio:{place.batch}:withdrawn:{vote.number}",
    )


def _edited(annotation: Mapping[str, Any]) -> bool:
    created, updated = _moment(annotation["created_at"]), _moment(annotation["updated_at"])
    others = annotation.get("updated_by") not in (None, annotation["completed_by"])
    return others and (updated - created).total_seconds() > 1  # saving takes a moment


def _unused(annotation: Mapping[str, Any], place: Place, rater: str, why: str) -> Unused:
    return Unused(
        annotation=annotation["id"], item=place.item, entity=place.entity, rater=rater, why=why
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
