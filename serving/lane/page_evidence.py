"""This module writes the section of a page that says how a challenger's evidence stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.lane.page_sequence import number_of, sequence_chart
from serving.lane.page_text import Markup, element, facts, joined, moment, section, table

_HEADLINES = {
    "promote": ("{model} may be promoted", "good"),
    "ramp": ("{model} may answer more", "good"),
    "hold": ("{model} is held", None),
    "invalidate": ("The evidence on {model} is thrown away", "bad"),
    "rollback": ("{model} is to go", "bad"),
}
_OF_A_WATCH = {
    "promote": ("{champion} has proved itself against {model}", "good"),
    "hold": ("{champion} is watched; {model} is ready to take over again", None),
    "rollback": ("{champion} is to go: {model} takes over again", "bad"),
}
_STATES = {"passed": ("yes", "good"), "failed": ("no", "bad"), "unknown": ("not known", "quiet")}


def evidence(figures: Mapping[str, Any]) -> Markup:
    """Return what the rule said last of each challenger, and why; empty where it said nothing.

    Args:
        figures: What `stats_of` returned.
    """
    told = [_verdict(each) for each in figures["verdicts"]]
    return section("evidence", "Evidence", *told) if told else Markup("")


def _verdict(each: Mapping[str, Any]) -> Markup:
    headlines = _OF_A_WATCH if each.get("stage") == "watch" else _HEADLINES
    words, kind = headlines.get(str(each.get("action")), ("{model}", None))
    block = str(each.get("block") or "block")
    chart = sequence_chart(each.get("blocks") or [], each.get("bounds") or [], block=block)
    parts = [
        element(
            "h3", words.format(model=each.get("model"), champion=each.get("champion")), class_=kind
        ),
        element(
            "p",
            joined(
                [
                    f"Rule '{each.get('rule')}', verdict {each.get('number')} of ",
                    moment(each.get("at")),
                    f" for {each.get('actor')}.",
                ]
            ),
            class_="quiet",
        ),
    ]
    if chart is not None:
        parts += [chart, element("p", _key(each, block), class_="quiet")]
    parts.append(facts(_figures(each, block)))
    if each.get("expected"):
        parts.append(element("p", str(each["expected"]), class_="expected"))
    parts.append(_checks(each))
    return element("div", *parts, class_="verdict")


def _key(each: Mapping[str, Any], block: str) -> str:
    """Say what the chart shows; in a watch it is the old champion that would have to win."""
    is_watch = each.get("stage") == "watch"
    whose = f", above 0 where {each.get('model')} was better" if is_watch else ""
    if not each.get("bounds"):
        return f"Dots: {block}s{whose}. There are too few for a bound."
    line = "Line: their mean. Shaded down to the lower confidence bound"
    if is_watch:
        return f"Dots: {block}s{whose}. {line}: above the line at 0, the promotion is undone."
    return f"Dots: {block}s. {line}, which has to be above the line at 0."


def _figures(each: Mapping[str, Any], block: str) -> list[tuple[str, object]]:
    bounds = each.get("bounds") or [{}]
    shown: list[tuple[str, object]] = [
        (f"{block.capitalize()}s", sum(b.get("z") is not None for b in each.get("blocks") or []))
    ]
    names = {"mean": "Mean advantage", "lower": "Lower bound"}
    for name, heading in names.items():
        value = number_of(bounds[-1].get(name))
        if value is not None:
            shown.append((heading, f"{value:.4g}"))
    log_e, needed = number_of(bounds[-1].get("log_e")), number_of(each.get("needed"))
    if log_e is not None and needed is not None:
        shown.append(("Evidence (log)", f"{log_e:.2f} of {needed:.2f}"))
    requests, effective = each.get("requests"), number_of(each.get("effective"))
    if isinstance(requests, int):
        shown.append(("Decisions", f"{requests:,}"))
    if effective is not None and isinstance(requests, int):
        # blocks that differ less than chance would have them do not make more decisions of them
        shown.append(("Worth, independent", f"about {min(effective, requests):,.0f}"))
    alpha = number_of(each.get("alpha"))
    if alpha is not None:
        shown.append(("Level", f"{alpha:.4g}"))
    return shown


def _checks(each: Mapping[str, Any]) -> Markup:
    rows = []
    for check in each.get("checks") or []:
        word, kind = _STATES.get(str(check.get("state")), ("not known", "quiet"))
        rows.append((check.get("name"), element("span", word, class_=kind), check.get("sentence")))
    return table(f"What the rule asks of {each.get('model')}", ("Check", "Passed", "Why"), rows)
