"""This module declares labeling rules: functions that answer for a row, or abstain."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, overload

from pydantic import BaseModel, ConfigDict, field_serializer, model_validator

from headrace.errors import DefinitionError

RuleFunction = Callable[[Mapping[str, Any]], Any]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Row(Mapping[str, Any]):
    """This is a row as a rule sees it: values by column, null as None, nothing to change."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Row({self._values!r})"


class LabelingRule(BaseModel):
    """This is a rule that answers for a row, or abstains.

    Attributes:
        name: Its name; votes carry it as "rule:<name>".
        fn: From a row (values by column, null as None) to an answer, or None to abstain. It looks
            at nothing else, so that the same rows always get the same votes.
        choices: The answers that it may give; None for all of the schema. A rule with one is told
            apart in aggregation: what it abstains from says nothing.
        columns: The columns that it sees; None for all of the table's, but the label.

    Raises:
        DefinitionError: The name is none, or there is nothing to call, choose or see.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fn: RuleFunction
    choices: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"{self.name!r} is no name of a rule.",
                remedy="Take lower-case letters, digits and '_', such as 'mentions_goal'; a lambda "
                "needs `name=`.",
            )
        for what, listed in (("choices", self.choices), ("columns", self.columns)):
            if listed is not None and not listed:
                raise DefinitionError(
                    f"Rule '{self.name}' has no {what}: they are ().",
                    remedy=f"Name some in `{what}`, or leave it out.",
                )
        return self

    @field_serializer("fn")
    def _where_it_is(self, fn: RuleFunction) -> str:
        """Return what people read of a function: where it is defined."""
        named = getattr(fn, "__qualname__", type(fn).__qualname__)
        return f"{getattr(fn, '__module__', None) or type(fn).__module__}.{named}"

    def __call__(self, row: Mapping[str, Any]) -> Any:
        """Return the rule's answer for a row, None where it abstains."""
        return self.fn(row)


@overload
def labeling_rule(fn: RuleFunction, /) -> LabelingRule: ...


@overload
def labeling_rule(
    *,
    name: str | None = None,
    choices: tuple[str, ...] | None = None,
    columns: tuple[str, ...] | None = None,
) -> Callable[[RuleFunction], LabelingRule]: ...


def labeling_rule(
    fn: RuleFunction | None = None,
    /,
    *,
    name: str | None = None,
    choices: tuple[str, ...] | None = None,
    columns: tuple[str, ...] | None = None,
) -> LabelingRule | Callable[[RuleFunction], LabelingRule]:
    """Make a function a labeling rule.

        @labeling_rule(choices=("sport",), columns=("title",))
        def mentions_goal(row):
            return "sport" if "goal" in (row["title"] or "") else None

    Args:
        fn: The function, for `@labeling_rule` without brackets.
        name: The rule's name; the function's by default.
        choices: The answers that it may give; None for all of the schema.
        columns: The columns that it sees; None for all.
    """

    def decorate(fn: RuleFunction) -> LabelingRule:
        named = getattr(fn, "__name__", "") if name is None else name
        if isinstance(fn, types.FunctionType):
            # its name is the rule's from now on; pickle finds it as the rule's `fn`
            fn.__qualname__ = f"{fn.__qualname__}.fn"
        return LabelingRule(name=named, fn=fn, choices=choices, columns=columns)

    return decorate if fn is None else decorate(fn)
