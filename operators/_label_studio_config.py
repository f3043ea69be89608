"""This module turns a task into a labeling config of Label Studio, and a guideline into HTML.

Everything that comes from outside is escaped twice over: as XML, and against Label Studio's own
reading of "$name" in any attribute, which would put a task's data there.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from headrace.errors import DefinitionError

if TYPE_CHECKING:
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

ANSWER = "answer"
"""Name of the control that raters answer by."""

ORDERED = "headrace_choices"
"""Key of a task's data that holds the choices of a ranking."""

ITEM = "headrace_item"
"""Key of a task's data that holds the number of our item."""

_HOTKEYS = "1234567890"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSEEN = "\u2060"  # a word joiner: after it, Label Studio takes "$" for the sign that it is


def labeling_config(task: LabelTask) -> str:
    """Return the XML by which Label Studio shows the items of a task and takes the answers.

    Args:
        task: The task; columns of its `media` are shown as pictures and recordings.

    Raises:
        DefinitionError: Pieces of text are to be marked, and no text is shown.
    """
    target = answered_column(task)
    shown = [_shown(task, column, key) for column, key in data_keys(task).items()]
    control = _control(task.labels, f"shown_{list(task.show).index(target)}")
    # what is marked in the text is chosen above it, what is answered about it below
    parts = [control, *shown] if task.labels.kind == "span" else [*shown, control]
    return f"<View>{''.join(parts)}</View>"


def data_keys(task: LabelTask) -> dict[str, str]:
    """Return under which key of a task's data each shown column is sent."""
    return {
        column: column
        if _PLAIN.fullmatch(column) and not column.startswith("headrace_")
        else f"headrace_column_{number}"
        for number, column in enumerate(task.show)
    }


def answered_column(task: LabelTask) -> str:
    """Return the shown column that the answer is about.

    Pieces of text are marked in the last column that is no medium: a title comes before its text.

    Raises:
        DefinitionError: Pieces of text are to be marked, and no text is shown.
    """
    if task.labels.kind != "span":
        return task.show[0]
    texts = [column for column in task.show if column not in task.media]
    if not texts:
        raise DefinitionError(
            f"Task '{task.name}' marks pieces of text, but it shows none: "
            f"{', '.join(task.media)} are pictures or recordings.",
            remedy="Add the column with the text to `show`.",
        )
    return texts[-1]


def takes_empty_answers(schema: LabelSchema) -> bool:
    """Say whether nothing chosen, or nothing marked, is an answer."""
    return schema.kind in ("multi", "span")


def instruction(guideline: str) -> str:
    """Return a guideline as HTML: its lines, with points of lists marked as such."""
    # Label Studio's own style takes the marks off lists, and the space from around paragraphs
    lines = guideline.strip().splitlines()
    marked = ["\u2022 " + line[2:] if line.startswith("- ") else line for line in lines]
    return "<br>".join(html.escape(line) for line in marked)


def _shown(task: LabelTask, column: str, key: str) -> str:
    number = list(task.show).index(column)
    header = _tag("Header", value=_literal(column), size="5")
    tag = {"image": "Image", "audio": "Audio"}.get(task.media.get(column, ""), "Text")
    more = {"granularity": "symbol"} if tag == "Text" else {}
    return header + _tag(tag, name=f"shown_{number}", value=f"${key}", **more)


def _control(schema: LabelSchema, target: str) -> str:
    about = {"name": ANSWER, "toName": target}
    if schema.kind == "number":
        bounds = {"min": _number(schema.low), "max": _number(schema.high)}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        header = _tag("Header", value=_literal(_asked_number(schema)), size="5")
        return header + _tag("Number", **about, **given, required="true")
    if schema.kind == "ranking":
        listed = _tag("List", name="ordered", value=f"${ORDERED}", title="Best first")
        return listed + _tag("Ranker", name=ANSWER, toName="ordered")
    if schema.kind == "span":
        return _tag("Labels", _choices("Label", schema), **about, choice="single")
    several = {"choice": "multiple" if schema.kind == "multi" else "single-radio"}
    required = {} if takes_empty_answers(schema) else {"required": "true"}
    return _tag("Choices", _choices("Choice", schema), **about, **several, **required)


def _choices(tag: str, schema: LabelSchema) -> str:
    parts = []
    for number, choice in enumerate(schema.choices):
        attributes = {"value": _literal(choice)}
        if "$" in choice:
            attributes["alias"] = choice  # what the answer says; it is not read for "$"
        if number < len(_HOTKEYS):
            attributes["hotkey"] = _HOTKEYS[number]
        parts.append(_tag(tag, **attributes))
    return "".join(parts)


def _asked_number(schema: LabelSchema) -> str:
    low, high = _number(schema.low), _number(schema.high)
    bounds = [*([f"at least {low}"] if low else []), *([f"at most {high}"] if high else [])]
    unit = f" in {schema.unit}" if schema.unit else ""
    return f"A number{unit}{', ' if bounds else ''}{' and '.join(bounds)}"


def _number(bound: float | None) -> str | None:
    return None if bound is None else repr(bound).removesuffix(".0")


def _literal(text: str) -> str:
    return text.replace("$", f"${_UNSEEN}")


def _tag(name: str, inside: str = "", /, **attributes: Any) -> str:
    said = "".join(f' {key}="{_escaped(value)}"' for key, value in attributes.items())
    return f"<{name}{said}>{inside}</{name}>" if inside else f"<{name}{said}/>"


def _escaped(value: str) -> str:
    # a line break inside an attribute would be read as a blank; characters that XML cannot hold,
    # not even escaped, are shown as one that says so
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", value)
    return re.sub(r"[\t\n\r]", lambda found: f"&#{ord(found[0])};", html.escape(text))
