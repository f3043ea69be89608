"""This module writes small pieces of HTML; whatever it is given is text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape


class Markup(str):
    """This text is HTML already, made here of pieces that were escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as text in HTML; what is markup already stays so."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def joined(pieces: Iterable[object], between: str = "") -> Markup:
    """Return pieces one after the other."""
    return Markup(between.join(text(piece) for piece in pieces))


def element(name: str, *content: object, **attributes: object) -> Markup:
    """Return an element; an attribute's `_` stands for `-`, one at its end for nothing.

    Args:
        name: Of the element, and of attributes: ours, never somebody else's text.
        *content: What is in it.
        **attributes: Their values; one that is None is left out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{told}>{joined(content)}</{name}>")


def section(identity: str, title: str, *content: object) -> Markup:
    """Return a section of the page, with a heading that names it."""
    return element(
        "section",
        element("h2", title, id=f"{identity}-title"),
        *content,
        id=identity,
        aria_labelledby=f"{identity}-title",
    )


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: int = 0
) -> Markup:
    """Return a table whose first column names the rows.

    Args:
        caption: What it shows.
        columns: Their headings.
        rows: As many cells each.
        numbers: How many of the last columns are numbers.
    """
    first_number = len(columns) - numbers

    def kind(place: int) -> str | None:
        return "number" if place >= first_number else None

    heads = [
        element("th", name, scope="col", class_=kind(place)) for place, name in enumerate(columns)
    ]
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(element("td", cell, class_=kind(place)) for place, cell in enumerate(cells) if place),
        )
        for cells in rows
    ]
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    # what is wider than the screen scrolls by itself, also with the keyboard
    return element("div", content, class_="wide", role="group", tabindex="0", aria_label=caption)


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Return a list of names and what they are."""
    rows = (element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    return element("dl", *rows)


def moment(iso: str | None) -> Markup:
    """Return a moment for people, in UTC; it says so."""
    if iso is None:
        return text("not known")
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return text(iso)
    return element("time", f"{at:%Y-%m-%d %H:%M:%S} UTC", datetime=iso)


def size(count: float) -> str:
    """Return bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""  # never reached: GB is the last
