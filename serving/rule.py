"""This module holds the rule by which a challenger is promoted, held or withdrawn: typed data.

A rule is written down before the experiment, in Python or YAML, and has no expressions: every
comparison is a field, so each can be checked, shown and compared. `serving.judge` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from headrace.content import document_digest
from headrace.errors import ParameterError
from serving._rule_errors import unfit, wrong_fields
from serving._rule_fits import misfits
from serving._rule_part import PART_CONFIG, Names, forget_spelling, only_a_list, told_schema
from serving.rule_guardrails import Guardrail
from serving.rule_stages import Approval, Gate, Ramp, Watch

Metric = Literal["log_loss", "brier", "mae", "mse", "pinball", "auc", "ndcg", "outcome"]

# a probability of one in a million for what then happened; beyond it a single row decides all
_LOG_LOSS_CLIP = 13.815510557964274

_LATER: Mapping[str, Any] = {
    "outcome": "",
    "design": "paired_shadow",
    "direction": None,
    "effect": "relative",
    "quantile": None,
    "unit": [],
    "covariate": None,
    "block_size": None,
    "tries": "champion",
    "test": "sequence",
    "looks": None,
    "max_blocks": None,
    "min_days": 0.0,
    "max_days": None,
    "on_expiry": "hold",
    "guardrails": [],
    "ramp": None,
    "approval": None,
    "watch": None,
    "gate": None,
}
_LOSSES = ("log_loss", "brier", "mae", "mse", "pinball")


def _says(expected: str, **limits: Any) -> Any:
    """Return a field whose description is what is expected of it, for errors and forms."""
    return Field(description=expected, **limits)


class Rule(BaseModel):
    """This rule says when a challenger replaces its champion, and when it is withdrawn.

    Losses are better when smaller; "auc" and "ndcg" when larger; of an outcome, `direction` says.
    Units and ranges stand in the fields' descriptions.

    Args:
        name: What people call it.
        metric: What is compared: "log_loss", "brier" or "auc" of probabilities of a 0/1 outcome,
            "mae", "mse" or "pinball" of estimates, "ndcg" of rankings by graded outcomes, or the
            "outcome" itself, which the answer may change.
        min_effect: By how much the challenger must be better, whichever direction that is; see
            `effect`. A share is below 1.
        alpha: How likely an equal challenger may be promoted, however often one looks.
        block: The unit of evidence: decisions of one block share their luck, blocks do not.
            "count" closes one after `block_size` decisions; of "auc", after as many of either
            outcome; of "ndcg", after as many lists.
        timezone: Whose midnight parts days, and weeks, which begin on Monday; hours are parted in
            UTC.
        label_window_hours: How long an outcome may take. A decision counts once it is that old,
            and outcomes that are known later count as missing.
        missing_outcomes: "exclude" decisions without an outcome, "hold" while there are any, or
            take it for "zero": what has not happened within the window does not count as missing
            then. Outcomes that are known to be null (censored) are excluded in any case.
        min_coverage: Share of the mature decisions that must have an outcome, null or not.
        min_shadow_coverage: Share of the mature decisions that the challenger must have scored.
        min_blocks: How many closed blocks there must be before anything is promoted.
        min_decisions: How many decisions with both scores and an outcome there must be.
        max_error_rate: Share of the challenger's shadow scores that may be errors or no numbers.
        error_alpha: How likely a challenger within `max_error_rate` may be withdrawn.
        max_age_hours: How old the newest mature decision may be, beyond the label window and the
            length of a block.
        clip: The largest loss, or "outcome", that one decision may count with, in the unit of the
            metric and said before anything is seen; null for the default, 13.8 (a probability of
            1e-6) for log_loss and none for the others.
        outcome: Name of the outcome that is the label, where an endpoint takes several; "" for the
            one without a name.
        design: "paired_shadow" compares both models on every decision, for outcomes that the answer
            cannot change; "randomised" compares those that each model answered.
        direction: Of "outcome": whether "higher" or "lower" is better; null for other metrics.
        effect: Whether `min_effect` is "relative", a share of the champion's figure, or "absolute",
            in the unit of the metric.
        quantile: Of "pinball": which quantile is estimated; null for other metrics.
        unit: Columns of the entity that make a unit of a randomised design, as traffic is dealt.
        covariate: Of a randomised design: what was known of a unit before and takes luck out of its
            outcome (CUPED): a feature's name, or "before", the mean outcome of the unit in the
            four weeks before the experiment.
        block_size: Of blocks by "count": how many decisions.
        tries: "champion": the chance that a champion is ever replaced by an equal challenger is at
            most `alpha`, however many are tried: the j-th is judged at alpha / (j * (j + 1));
            "each": the chance for each of them is.
        test: "sequence" may be looked at after every block; "group_sequential" at `looks` moments
            up to `max_blocks`, which have been fixed beforehand (O'Brien and Fleming).
        looks: Of "group_sequential": how many, spread evenly over `max_blocks`.
        max_blocks: Of "group_sequential": with how many blocks the last look is.
        min_days: How long an experiment lasts at least.
        max_days: How long at most; null for as long as it takes.
        on_expiry: What happens to a challenger that has not won by then.
        guardrails: What it must not break; see `serving.rule_guardrails`.
        ramp: How its share grows; null promotes it from shadow, or from the shares it was given.
        approval: Who is asked; null asks nobody.
        watch: How a promotion is watched; null does not.
        gate: What the log must say before anybody is answered; null asks nothing of it.

    Raises:
        ParameterError: Names every unknown, missing and wrong field.
    """

    model_config = PART_CONFIG

    name: str = _says("a text of 1 to 100 characters", min_length=1, max_length=100)
    metric: Metric = _says("one of " + ", ".join(f"'{name}'" for name in get_args(Metric)))
    label_window_hours: float = _says("a number of hours from 0 to 8760", ge=0, le=8760)
    min_effect: float = _says("a number of at least 0", default=0.0, ge=0)
    alpha: float = _says("a probability from 0.0001 to 0.2", default=0.05, ge=1e-4, le=0.2)
    block: Literal["day", "hour", "week", "count"] = _says(
        "'day', 'hour', 'week' or 'count'", default="day"
    )
    timezone: str = _says("the IANA name of a time zone, such as 'Europe/Paris'", default="UTC")
    missing_outcomes: Literal["exclude", "hold", "zero"] = _says(
        "'exclude', 'hold' or 'zero'", default="exclude"
    )
    min_coverage: float = _says("a share from 0 to 1", default=0.9, ge=0, le=1)
    min_shadow_coverage: float = _says("a share from 0 to 1", default=0.95, ge=0, le=1)
    min_blocks: int = _says("a whole number from 20 to 10000", default=20, ge=20, le=10_000)
    min_decisions: int = _says("a whole number of at least 1", default=1000, ge=1)
    max_error_rate: float = _says("a share from 0 to below 1", default=0.01, ge=0, lt=1)
    error_alpha: float = _says("a probability from 1e-9 to 0.2", default=0.001, ge=1e-9, le=0.2)
    max_age_hours: float = _says("a number of hours above 0", default=168.0, gt=0)
    clip: Annotated[float, Field(gt=0)] | None = _says("a number above 0, or null", default=None)
    outcome: str = _says("the name of an outcome, or '' for the one without", default="")
    design: Literal["paired_shadow", "randomised"] = _says(
        "'paired_shadow' or 'randomised'", default="paired_shadow"
    )
    direction: Literal["lower", "higher"] | None = _says("'lower', 'higher' or null", default=None)
    effect: Literal["relative", "absolute"] = _says("'relative' or 'absolute'", default="relative")
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = _says(
        "a share above 0 and below 1, or null", default=None
    )
    unit: Names = _says("a list of different names of columns", default=())
    covariate: Annotated[str, Field(min_length=1)] | None = _says(
        "'before', the name of a feature, or null", default=None
    )
    block_size: Annotated[int, Field(ge=10)] | None = _says(
        "a whole number of at least 10, or null", default=None
    )
    tries: Literal["champion", "each"] = _says("'champion' or 'each'", default="champion")
    test: Literal["sequence", "group_sequential"] = _says(
        "'sequence' or 'group_sequential'", default="sequence"
    )
    looks: Annotated[int, Field(ge=1, le=50)] | None = _says(
        "a whole number from 1 to 50, or null", default=None
    )
    max_blocks: Annotated[int, Field(ge=20, le=10_000)] | None = _says(
        "a whole number from 20 to 10000, or null", default=None
    )
    min_days: float = _says("days from 0 to 3650", default=0.0, ge=0, le=3650)
    max_days: Annotated[float, Field(gt=0, le=3650)] | None = _says(
        "days above 0, at most 3650, or null", default=None
    )
    on_expiry: Literal["hold", "withdraw"] = _says("'hold' or 'withdraw'", default="hold")
    guardrails: Annotated[
        tuple[Guardrail, ...], Field(strict=False), BeforeValidator(only_a_list)
    ] = _says("a list of guardrails", default=())
    ramp: Ramp | None = _says("a ramp with its `steps`, or null", default=None)
    approval: Approval | None = _says("an approval, such as {}, or null", default=None)
    watch: Watch | None = _says("a watch, such as {}, or null", default=None)
    gate: Gate | None = _says("a gate, such as {}, or null", default=None)

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                name = fields.get("name")
                called = f" '{name}'" if isinstance(name, str) and name else ""
                raise wrong_fields(type(self), f"The rule{called}", error) from None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return told_schema(cls, core_schema, handler)

    def model_post_init(self, context: Any, /) -> None:
        """Forget which fields were given: equal rules are one value, also to the cache."""
        forget_spelling(self)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # what zoneinfo raises depends on the name's form
            raise ValueError(name) from None
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = list(misfits(self))
        if found:
            raise unfit(found)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Rule:
        """Return the rule with other fields, checked as any rule is; `deep` changes nothing.

        Raises:
            ParameterError: A field is unknown or wrong.
        """
        return type(self)(**(self.document() | dict(update or {})))

    @property
    def hash(self) -> str:
        """The sha256, in hex, of the canonical JSON of `document()`."""
        return document_digest(self.document())

    @property
    def largest_loss(self) -> float | None:
        """The largest loss that one decision may count with; None when there is none."""
        if self.clip is not None:
            return self.clip
        return _LOG_LOSS_CLIP if self.metric == "log_loss" else None

    @property
    def is_classification(self) -> bool:
        """Whether scores are probabilities and outcomes 0 or 1."""
        return self.metric in ("log_loss", "brier", "auc")

    @property
    def is_better(self) -> Literal["lower", "higher"]:
        """Which figures of the metric are better."""
        if self.direction is not None:
            return self.direction
        return "lower" if self.metric in _LOSSES else "higher"

    def document(self) -> dict[str, Any]:
        """Return all fields as JSON-like data; `Rule(**document)` is the same rule.

        Fields that the first rules did not have are left out at their default: so what was judged
        then has the same hash, and is judged again to the same byte.
        """
        document = self.model_dump(mode="json")
        return {k: v for k, v in document.items() if k not in _LATER or v != _LATER[k]}

    def english(self) -> str:
        """Return the rule as sentences."""
        from serving._rule_text import rule_text

        return rule_text(self)


def read_rule(source: Path | str) -> Rule:
    """Return the rule of a YAML file, or of YAML text.

    Args:
        source: The file's path, or the text itself: what has a line break or a colon is text.

    Raises:
        ParameterError: The file cannot be read, is no YAML mapping, or has a wrong field.
    """
    from serving._rule_yaml import yaml_fields

    is_text = isinstance(source, str) and ("\n" in source or ":" in source)
    if is_text:
        return Rule(**yaml_fields(str(source), where="The rule"))
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ParameterError(
            f"The rule '{path}' cannot be read: {why}.",
            remedy="Give the path of a YAML file with a rule.",
        ) from error
    return Rule(**yaml_fields(text, where=f"The rule '{path}'"))
