"""This module writes the sections of a page that say who answers, who challenges and since when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.lane.page_text import Markup, element, facts, joined, moment, section, size, table

Figures = Mapping[str, Any]
"""What `stats_of` returned."""

_NOTHING = "-"


def answers(figures: Figures) -> Markup:
    """Return who answers, since when and in what."""
    champion = figures["champion"]
    if champion is None:
        return section(
            "answers", "Who answers", element("p", "The endpoint is starting; no model is loaded.")
        )
    return section(
        "answers",
        "Who answers",
        element("p", champion["model"], class_="champion"),
        facts(
            [
                ("Champion since", moment(champion["since"])),
                ("Runtime", champion["runtime"]),
                ("Generation", figures["generation"]),
                ("Clock", figures["clock"]),
                ("Counted since", moment(figures["began"])),
                ("Replicas", _replicas(figures)),
            ]
        ),
    )


def _replicas(figures: Figures) -> str:
    """Return how many replicas there are, and which one was asked."""
    count = len(figures["replicas"])
    own = f"process {figures['pid']}"
    return f"{count}, summed; {own} was asked" if count > 1 else f"1, {own}"


def compared(figures: Figures) -> Markup:
    """Return who is compared with the champion, and how far each has come."""
    rows = [_challenger(each) for each in figures["compared"]]
    if not rows:
        return section("compared", "Who challenges", element("p", "Nobody.", class_="quiet"))
    columns = ("Model", "How", "Breaker", "Scored", "Failed", "Left out", "Behind")
    return section(
        "compared",
        "Who challenges",
        element("p", _dealt(figures["traffic"]), class_="quiet"),
        table("Challengers, and what they scored in shadow", columns, rows, numbers=4),
    )


def _challenger(each: Figures) -> tuple[object, ...]:
    share, shadow = each["share"], each["shadow"]
    model: object = each["model"]
    if shadow is None:
        scored: tuple[str, ...] = (_NOTHING,) * 4
    else:
        scored = (
            *(f"{shadow[n]:,}" for n in ("scored", "failed", "dropped")),
            size(shadow["behind"]),
        )
        if shadow["message"]:
            model = joined([each["model"], element("p", shadow["message"], class_="bad")])
    how = f"{share:.2%} of the traffic" if share else "in shadow"
    return (model, how, _breaker(each["breaker"]) if share else _NOTHING, *scored)


def _dealt(traffic: Figures | None) -> str:
    """Return how traffic is dealt, in words."""
    if traffic is None:
        return "All traffic is the champion's."
    unit = " and ".join(traffic["unit"])
    by = f"by {unit}" if unit else "each decision by itself"
    return f"Traffic is dealt by design {traffic['design']}, {by}."


def _breaker(state: str) -> Markup:
    kind = "good" if state == "closed" else "bad"
    return element("span", state, class_=kind)


def changes(figures: Figures) -> Markup:
    """Return what was changed, by whom and why."""
    rows = [
        (
            moment(change.get("at")),
            change.get("generation", ""),
            change.get("action", ""),
            change.get("champion", ""),
            change.get("challenger") or _NOTHING,
            change.get("actor", ""),
            change.get("reason", ""),
        )
        for change in figures["changes"]
    ]
    columns = ("When", "Generation", "What", "Champion", "Challenger", "Who", "Why")
    content = (
        table("Changes, the newest first", columns, rows)
        if rows
        else element("p", "No change is known here yet.", class_="quiet")
    )
    return section("changes", "History", content)
