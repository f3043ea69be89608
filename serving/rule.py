"""This module holds the rule by which a challenger is promoted, held or withdrawn: typed data.

A rule is written down before the experiment, in Python or YAML, and has no expressions: every
comparison is a field, so each can be checked, shown and compared. `serving.judge` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from headrace.content import document_digest
from headrace.errors import ParameterError

Metric = Literal["log_loss", "brier", "mae", "mse"]

# a probability of one in a million for what then happened; beyond it a single row decides all
_LOG_LOSS_CLIP = 13.815510557964274

_LATER: Mapping[str, Any] = {"outcome": ""}


def _says(expected: str, **limits: Any) -> Any:
    """Return a field whose description is what is expected of it, for errors and forms."""
    return Field(description=expected, **limits)


class Rule(BaseModel):
    """This rule says when a challenger replaces its champion, and when it is withdrawn.

    All losses are better when smaller. Units and ranges stand in the fields' descriptions; no field
    may be null except `clip`.

    Args:
        name: What people call it.
        metric: The loss that is compared: "log_loss" or "brier" of probabilities of a 0/1 outcome,
            "mae" or "mse" of estimates.
        min_effect: By how much the challenger's loss must be smaller, as a share of the champion's.
        alpha: How likely an equal challenger may be promoted, however often one looks.
        block: The unit of evidence: decisions of one block share their luck, blocks do not.
        timezone: Whose midnight parts days; hours are parted in UTC.
        label_window_hours: How long an outcome may take. A decision counts once it is that old,
            and outcomes that are known later count as missing.
        missing_outcomes: "exclude" decisions without an outcome, or "hold" while there are any.
            Outcomes that are known to be null (censored) are excluded either way.
        min_coverage: Share of the mature decisions that must have an outcome, null or not.
        min_shadow_coverage: Share of the mature decisions that the challenger must have scored.
        min_blocks: How many closed blocks there must be before anything is promoted.
        min_decisions: How many decisions with both scores and an outcome there must be.
        max_error_rate: Share of the challenger's shadow scores that may be errors or no numbers.
        error_alpha: How likely a challenger within `max_error_rate` may be withdrawn.
        max_age_hours: How old the newest mature decision may be, beyond the label window and the
            length of a block.
        clip: The largest loss that one decision may count with, in the unit of the metric; null for
            the default, 13.8 (a probability of 1e-6) for log_loss and none for the others.
        outcome: Name of the outcome that is the label, where an endpoint takes several; "" for the
            one without a name.

    Raises:
        ParameterError: Names every unknown, missing and wrong field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = _says("a text of 1 to 100 characters", min_length=1, max_length=100)
    metric: Metric = _says("'log_loss', 'brier', 'mae' or 'mse'")
    label_window_hours: float = _says("a number of hours from 0 to 8760", ge=0, le=8760)
    min_effect: float = _says("a share from 0 to below 1", default=0.0, ge=0, lt=1)
    alpha: float = _says("a probability from 0.0001 to 0.2", default=0.05, ge=1e-4, le=0.2)
    block: Literal["day", "hour"] = _says("'day' or 'hour'", default="day")
    timezone: str = _says("the IANA name of a time zone, such as 'Europe/Paris'", default="UTC")
    missing_outcomes: Literal["exclude", "hold"] = _says("'exclude' or 'hold'", default="exclude")
    min_coverage: float = _says("a share from 0 to 1", default=0.9, ge=0, le=1)
    min_shadow_coverage: float = _says("a share from 0 to 1", default=0.95, ge=0, le=1)
    min_blocks: int = _says("a whole number from 20 to 10000", default=20, ge=20, le=10_000)
    min_decisions: int = _says("a whole number of at least 1", default=1000, ge=1)
    max_error_rate: float = _says("a share from 0 to below 1", default=0.01, ge=0, lt=1)
    error_alpha: float = _says("a probability from 1e-9 to 0.2", default=0.001, ge=1e-9, le=0.2)
    max_age_hours: float = _says("a number of hours above 0", default=168.0, gt=0)
    clip: Annotated[float, Field(gt=0)] | None = _says("a number above 0, or null", default=None)
    outcome: str = _says("the name of an outcome, or '' for the one without", default="")

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _explained(error, fields) from None

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # what zoneinfo raises depends on the name's form
            raise ValueError(name) from None
        return name

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
        return self.metric in ("log_loss", "brier")

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


def _explained(error: ValidationError, fields: dict[str, Any]) -> ParameterError:
    from serving._rule_text import wrong_fields

    name = fields.get("name")
    expected = {key: field.description or "" for key, field in Rule.model_fields.items()}
    found = [(str(e["loc"][0]), e["type"], e["input"]) for e in error.errors(include_url=False)]
    return wrong_fields(name if isinstance(name, str) and name else None, found, expected)
