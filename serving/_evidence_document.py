"""This module holds the evidence that a rule is judged on, as values that a trace can keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from headrace.errors import DataError

FORMAT = "headrace evidence 1"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Block:
    """This is the evidence of one closed block: all its decisions are mature.

    Args:
        start: Its first moment, aware, in UTC.
        decisions: How many decisions were made.
        labelled: How many have an outcome with a value, known within the label window.
        censored: How many have an outcome that is known to be null.
        paired: How many are labelled and have both scores: these count.
        shadow_errors: How many the challenger answered with an error or no usable number.
        shadow_missing: How many have no shadow score at all.
        champion_loss: Mean loss over the paired decisions; None without any.
        challenger_loss: The same of the challenger.
        z: Mean of (1 - min_effect) * champion's loss - challenger's loss; above 0 where the
            challenger is better by more than the rule asks.
    """

    start: datetime
    decisions: int
    labelled: int
    censored: int
    paired: int
    shadow_errors: int
    shadow_missing: int
    champion_loss: float | None
    challenger_loss: float | None
    z: float | None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """These are the counts over all closed blocks, and of what is not in one.

    Args:
        decisions: In closed blocks, as are the next five.
        labelled: Decisions with an outcome that has a value.
        censored: Decisions with an outcome that is known to be null.
        paired: Decisions that count.
        shadow_errors: Shadow scores that are errors or no usable numbers.
        shadow_missing: Decisions without any shadow score.
        unusable: Labelled decisions in closed blocks whose outcome or champion's score is not a
            number that the metric can take; they are not paired.
        waiting: Decisions made by then whose block is not closed.
        shadow_tried: Shadow scores of all decisions made by then, closed block or not.
        shadow_failed: Those of them that are errors or no usable numbers.
        mixed: Decisions and shadow scores of the experiment by models other than its pair.
    """

    decisions: int
    labelled: int
    censored: int
    paired: int
    shadow_errors: int
    shadow_missing: int
    unusable: int
    waiting: int
    shadow_tried: int
    shadow_failed: int
    mixed: int


@dataclass(frozen=True, kw_only=True)
class DesignEffect:
    """This says what counting requests instead of blocks would pretend.

    Args:
        requests: Paired decisions.
        effective: How many independent requests would tell as much as the blocks do, about.
        request_z: z score of the mean difference as if requests were independent.
        block_z: z score of the mean over blocks.
    """

    requests: int
    effective: float | None
    request_z: float | None
    block_z: float | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """This is everything that a verdict depends on beside the rule.

    Args:
        experiment: Its id.
        endpoint: Where.
        champion: The model that answered, such as "flight_delay/3"; None without decisions.
        challenger: The model in shadow; None without shadow scores.
        rule: Hash of the rule that the evidence was collected for; losses depend on it.
        as_of: What was known at this moment, aware, in UTC.
        newest: When the newest decision of a closed block was made; None without blocks.
        blocks: Closed blocks with decisions, in order.
        totals: The counts.
        design: What counting requests would pretend.
    """

    experiment: str
    endpoint: str
    champion: str | None
    challenger: str | None
    rule: str
    as_of: datetime
    newest: datetime | None
    totals: Totals
    design: DesignEffect
    blocks: tuple[Block, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON-like data; `from_json` gives back exactly the same."""
        document: dict[str, Any] = _plain(self)
        return {"format": FORMAT} | document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evidence:
        """Return the evidence that `to_json` wrote.

        Figures are taken as they are, whatever their type: to doubt them is for the judge.

        Raises:
            DataError: The document has another format, or its fields are not the known ones.
        """
        found = document.get("format") if isinstance(document, Mapping) else None
        if found != FORMAT:
            raise DataError(
                f"The evidence has the format {found!r}, not '{FORMAT}'.",
                remedy="Give the document that `Evidence.to_json()` returned.",
            )
        fields = {key: value for key, value in document.items() if key != "format"}
        blocks = fields.get("blocks", ())
        if not isinstance(blocks, list | tuple):
            raise _damaged("'blocks' is no list")
        made = _made(cls, fields, "evidence")
        return dataclasses.replace(
            made,
            as_of=_moment(made.as_of, "as_of"),
            newest=None if made.newest is None else _moment(made.newest, "newest"),
            totals=_made(Totals, fields["totals"], "totals"),
            design=_made(DesignEffect, fields["design"], "design"),
            blocks=tuple(_block(each) for each in blocks),
        )


def _block(fields: Any) -> Block:
    made = _made(Block, fields, "a block")
    return dataclasses.replace(made, start=_moment(made.start, "start"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def _made(kind: Callable[..., T], fields: Any, what: str) -> T:
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(fields, Mapping) or set(fields) != known:
        given = set(fields) if isinstance(fields, Mapping) else set()
        odd = sorted(map(str, given ^ known))
        raise _damaged(f"{what} lacks, or has unknown, fields: {', '.join(odd)}")
    return kind(**fields)


def _moment(value: Any, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise _damaged(f"'{name}' is {value!r}, no time") from error
    if moment.tzinfo is None:
        raise _damaged(f"'{name}' is {value!r}, a time without a zone")
    return moment


def _damaged(what: str) -> DataError:
    return DataError(
        f"The evidence is damaged: {what}.",
        remedy="Collect the evidence again from the decision log.",
    )
