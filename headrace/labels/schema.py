"""This module says what a label may be, and reads answers: one form for each answer, and one only.

An answer is written as text, so that votes of every kind fit one column and equal answers are
equal texts: a choice as itself, a number as `1.5`, the rest as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace.errors import DataError, did_you_mean
from headrace.labels.texts import WholeText, shown

Kind = Literal["single", "multi", "number", "ranking", "span"]
KINDS_OF_PAGE: tuple[Kind, ...] = ("single", "multi", "number", "ranking")
"""The kinds that our own page can ask for; spans need Label Studio."""

_MOST_OF_CHOICE, _MOST_SPANS = 200, 10_000
_MOST_POSITION = 2**31
_Choice = Annotated[WholeText, Field(min_length=1, max_length=_MOST_OF_CHOICE)]
_Bound = Annotated[float, Field(allow_inf_nan=False)]


class LabelSchema(BaseModel):
    """This is what may be answered; any change of it is another version.

    Attributes:
        kind: "single" takes one of the choices, "multi" any number of them, "number" a number,
            "ranking" all choices in order, best first, "span" pieces of the text, each with one of
            the choices.
        choices: The choices, in the order in which they are shown.
        low: For a number: the least, inclusive; None for no limit.
        high: For a number: the most, inclusive; None for no limit.
        unit: For a number: its unit, as shown beside it.
        tolerance: For a number: how far from what is known an answer counts as right, and from
            another answer as the same, inclusive; None where nobody said, and then distances are
            told instead.
        guideline: What raters should know, shown beside every item: plain text; an empty line
            begins a paragraph, and a line that begins with "- " is a point of a list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "single"
    choices: tuple[_Choice, ...] = ()
    low: _Bound | None = None
    high: _Bound | None = None
    unit: WholeText = Field(default="", max_length=200)
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    guideline: WholeText = Field(default="", max_length=20_000)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> LabelSchema:
        if self.kind == "number":
            if self.choices:
                raise PydanticCustomError("choices", "A number has no choices")
            if self.low is not None and self.high is not None and self.low >= self.high:
                raise PydanticCustomError(
                    "bounds",
                    "The least is {low}, which is not below the most, {high}",
                    self._bounds,
                )
            return self
        least = 1 if self.kind == "span" else 2
        if len(self.choices) < least:
            raise PydanticCustomError(
                "choices",
                "A schema of the kind '{kind}' needs at least {least} choices, not {given}",
                {"kind": self.kind, "least": least, "given": len(self.choices)},
            )
        twice = sorted({c for c in self.choices if self.choices.count(c) > 1})
        if twice:
            raise PydanticCustomError(
                "choices", "The choice '{one}' is there twice", {"one": twice[0]}
            )
        blank = [c for c in self.choices if c != c.strip()]
        if blank:
            raise PydanticCustomError(
                "choices", "The choice '{one}' begins or ends with a blank", {"one": blank[0]}
            )
        if self.low is not None or self.high is not None or self.unit or self.tolerance:
            raise PydanticCustomError(
                "bounds",
                "Bounds and a unit are for the kind 'number', not '{kind}'",
                {"kind": self.kind},
            )
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write a schema without tolerance as before there was one: it is the same version."""
        document: dict[str, Any] = write(self)
        if document.get("tolerance") is None:
            document.pop("tolerance", None)
        return document

    def is_near(self, distance: float) -> bool:
        """Say whether a number so far from what is known counts as right."""
        # a tenth is no tenth to a computer: 0.3 - 0.2 is within 0.1
        return distance <= (self.tolerance or 0.0) * (1 + 1e-9) + 1e-12

    def differ(self, written: Collection[str]) -> bool:
        """Say whether answers, as they are written, differ: numbers by more than the tolerance."""
        if self.kind != "number":
            return len(set(written)) > 1
        numbers = [float(each) for each in written]
        return bool(numbers) and not self.is_near(max(numbers) - min(numbers))

    @property
    def _bounds(self) -> dict[str, Any]:
        return {"low": f"{self.low:g}", "high": f"{self.high:g}"}

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that stand for this schema; votes of others never mix."""
        from headrace.content import document_digest

        return document_digest(self.model_dump(mode="json"))[:12]

    def read(self, answer: Any) -> str:
        """Return an answer in its one written form.

        Args:
            answer: A choice; a list of choices; a number; a list of `{"start", "end", "label"}`
                with positions in characters, the end exclusive; or the written form of one.

        Raises:
            DataError: It is no answer to this schema.
        """
        if isinstance(answer, str) and self.kind not in ("single", "number"):
            try:
                answer = json.loads(answer)
            except (ValueError, RecursionError):
                raise self._refusal(answer, f"is no answer of the kind '{self.kind}'") from None
        if self.kind == "single":
            return self._choice(answer)
        if self.kind == "number":
            return self._number(answer)
        if self.kind == "span":
            return self._spans(answer)
        if not isinstance(answer, Sequence) or isinstance(answer, str):
            raise self._refusal(answer, f"is no list of choices, as the kind '{self.kind}' takes")
        chosen = [self._choice(each) for each in answer]
        twice = next((c for c in chosen if chosen.count(c) > 1), None)
        if twice is not None:
            raise self._refusal(answer, f"has '{twice}' twice")
        if self.kind == "multi":
            return _json([c for c in self.choices if c in chosen])
        missing = [c for c in self.choices if c not in chosen]
        if missing:
            raise self._refusal(answer, f"leaves out '{missing[0]}'; a ranking has every choice")
        return _json(chosen)

    def value(self, written: str) -> Any:
        """Return what a written answer says: text, a number, or a list."""
        if self.kind == "single":
            return written
        return float(written) if self.kind == "number" else json.loads(written)

    def _choice(self, answer: Any) -> str:
        if isinstance(answer, str) and answer in self.choices:
            return answer
        near = did_you_mean(
            answer[:_MOST_OF_CHOICE] if isinstance(answer, str) else "", self.choices
        )
        raise DataError(
            f"The answer {shown(answer)} is none of the choices.{near if '?' in near else ''}",
            remedy=f"Answer with one of: {', '.join(self.choices)}.",
        )

    def _number(self, answer: Any) -> str:
        try:
            # what Python reads as a number beyond what people write: True, 1_000
            odd = isinstance(answer, bool) or (isinstance(answer, str) and "_" in answer)
            number = math.nan if odd else float(answer)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._refusal(answer, "is no number")
        if self.low is not None and number < self.low:
            raise self._refusal(answer, f"is below the least, {self.low:g}")
        if self.high is not None and number > self.high:
            raise self._refusal(answer, f"is above the most, {self.high:g}")
        return repr(number + 0.0)  # -0.0 is 0.0

    def _spans(self, answer: Any) -> str:
        if not isinstance(answer, Sequence) or isinstance(answer, str):
            raise self._refusal(answer, "is no list of spans")
        if len(answer) > _MOST_SPANS:
            raise self._refusal(answer, f"has {len(answer):,} spans, more than {_MOST_SPANS:,}")
        spans = []
        for each in answer:
            if not isinstance(each, dict) or set(each) != {"start", "end", "label"}:
                raise self._refusal(each, "is no span: it needs 'start', 'end' and 'label'")
            start, end = each["start"], each["end"]
            if type(start) is not int or type(end) is not int or not 0 <= start < end:
                raise self._refusal(each, "does not end after its start")
            if end > _MOST_POSITION:
                raise self._refusal(each, "ends beyond any text")
            spans.append({"start": start, "end": end, "label": self._choice(each["label"])})
        spans.sort(key=lambda s: (s["start"], s["end"], s["label"]))
        return _json([s for i, s in enumerate(spans) if i == 0 or s != spans[i - 1]])

    def _refusal(self, answer: Any, what: str) -> DataError:
        remedies = {
            "single": f"Answer with one of: {', '.join(self.choices)}.",
            "multi": f"Answer with a list of some of: {', '.join(self.choices)}.",
            "number": f"Answer with a number{self._range()}.",
            "ranking": f"Answer with a list of all of: {', '.join(self.choices)}, best first.",
            "span": 'Answer with a list such as [{"start": 0, "end": 4, "label": '
            f'"{self.choices[0] if self.choices else "name"}"}}].',
        }
        return DataError(f"The answer {shown(answer)} {what}.", remedy=remedies[self.kind])

    def _range(self) -> str:
        bounds = [
            *([f"of at least {self.low:g}"] if self.low is not None else []),
            *([f"of at most {self.high:g}"] if self.high is not None else []),
        ]
        text = " and ".join(bounds)
        return f" {text}" if text else ", such as 1.5"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
