"""This module holds the evidence that a rule is judged on, as values that a trace can keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from headrace.errors import DataError

FORMAT = "headrace evidence 1"
# what the first evidence did not have is left out at its default: old traces stay as they are
_LATER = {"later": True}
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Block:
    """This is the evidence of one closed block: all its decisions are mature.

    Args:
        start: Its first moment, aware, in UTC.
        decisions: How many decisions were made.
        labelled: How many have an outcome with a value, known within the label window.
        censored: How many have an outcome that is known to be null.
        paired: How many are labelled and have both scores: these count. Of a randomised design,
            how many are labelled and of a unit that was first dealt in this block.
        shadow_errors: How many the challenger answered with an error or no usable number.
        shadow_missing: How many the challenger was not asked for, or did not score.
        champion_loss: The champion's figure of the metric over the decisions that count: its mean
            loss, its AUC, its mean NDCG, or the mean of its arm; None without any.
        challenger_loss: The same of the challenger.
        z: The challenger's advantage beyond what the rule asks, see `serving._blocks.advantage`;
            above 0 where it is better by more than that.
        filled: How many of those labelled had no outcome, which the rule takes for 0.
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
    filled: int = field(default=0, metadata=_LATER)


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
        filled: How many of those labelled had no outcome, which the rule takes for 0.
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
    filled: int = field(default=0, metadata=_LATER)


@dataclass(frozen=True, kw_only=True)
class DesignEffect:
    """This says what counting requests instead of blocks would pretend.

    Args:
        requests: Decisions that count; of "ndcg", lists.
        effective: How many independent requests would tell as much as the blocks do, about.
        request_z: z score of the mean difference as if requests were independent.
        block_z: z score of the mean over blocks.
    """

    requests: int
    effective: float | None
    request_z: float | None
    block_z: float | None


@dataclass(frozen=True, kw_only=True)
class Arm:
    """This is one arm of a randomised design: what was dealt to a model, whoever then answered.

    Args:
        model: The model, such as "flight_delay/3".
        decisions: Decisions in closed blocks that were dealt to it.
        units: Units whose first deal, in a closed block, was to it.
        known: Those of the decisions that have an outcome, null or not, known in time.
        counted: Units that have an outcome that counts.
        covariates: Those of them of which the covariate of the rule is known.
    """

    model: str
    decisions: int
    units: int
    known: int
    counted: int
    covariates: int = 0


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
        arms: Of a randomised design, the champion's arm and the challenger's.
        removed: Share of the variance within blocks that the rule's covariate removed; None without
            a covariate, or before anything is known of it.
        odd: How many mature decisions do not count, or are not what they should be, by what is odd
            about them; what there is none of is left out.
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
    arms: tuple[Arm, ...] = field(default=(), metadata=_LATER)
    removed: float | None = field(default=None, metadata=_LATER)
    odd: Mapping[str, int] = field(default_factory=dict, metadata=_LATER)

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
        blocks, arms = fields.get("blocks", ()), fields.get("arms", ())
        for name, listed in (("blocks", blocks), ("arms", arms)):
            if not isinstance(listed, list | tuple):
                raise _damaged(f"'{name}' is no list")
        made = _made(cls, fields, "evidence")
        return dataclasses.replace(
            made,
            as_of=_moment(made.as_of, "as_of"),
            newest=None if made.newest is None else _moment(made.newest, "newest"),
            totals=_made(Totals, fields["totals"], "totals"),
            design=_made(DesignEffect, fields["design"], "design"),
            blocks=tuple(_block(each) for each in blocks),
            arms=tuple(_made(Arm, each, "an arm") for each in arms),
        )


def _block(fields: Any) -> Block:
    made = _made(Block, fields, "a block")
    return dataclasses.replace(made, start=_moment(made.start, "start"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value):
        told = {f: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {f.name: _plain(each) for f, each in told.items() if not _is_default(f, each)}
    return value


def _is_default(of: dataclasses.Field[Any], value: Any) -> bool:
    """Return whether a field that came later is as it is where it is not given."""
    if "later" not in of.metadata:
        return False
    return not value if of.default is dataclasses.MISSING else bool(value == of.default)


def _made(kind: Callable[..., T], fields: Any, what: str) -> T:
    known = {f.name: "later" in f.metadata for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    given = set(fields) if isinstance(fields, Mapping) else set()
    odd = (given - set(known)) | ({name for name, later in known.items() if not later} - given)
    if odd or not isinstance(fields, Mapping):
        said = ", ".join(sorted(map(str, odd)))
        raise _damaged(f"{what} lacks, or has unknown, fields: {said}")
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
