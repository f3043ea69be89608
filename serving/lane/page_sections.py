"""This module writes the sections of an endpoint's page from its figures; it is pure."""

from __future__ import annotations

from collections.abc import Mapping

from serving.lane.page_chart import traffic_chart
from serving.lane.page_evidence import evidence
from serving.lane.page_standing import Figures, answers, changes, compared
from serving.lane.page_text import Markup, element, facts, section, size, table

_REASONS = {
    "error": "it failed",
    "timeout": "it was too slow",
    "busy": "too many were under way",
    "out": "its breaker is open",
}


def sections(figures: Figures) -> dict[str, Markup]:
    """Return the sections of the page, by the id of each.

    Args:
        figures: What `stats_of` returned.
    """
    written = {
        "answers": answers(figures),
        "compared": compared(figures),
        "evidence": evidence(figures),
        "traffic": _traffic(figures),
        "latency": _latency(figures),
        "trouble": _trouble(figures),
        "decisions": _decisions(figures),
        "changes": changes(figures),
    }
    return {name: piece for name, piece in written.items() if piece}


def _traffic(figures: Figures) -> Markup:
    recent = figures["recent"]
    answered, refused, failed = recent["answered"], recent["refused"], recent["failed"]
    total = sum(answered) + sum(refused) + sum(failed)
    now = sum(sum(series[-11:-1]) for series in (answered, refused, failed)) / 10
    minutes = recent["seconds"] // 60
    return section(
        "traffic",
        "Requests for decisions",
        traffic_chart(answered, refused, failed),
        facts(
            [
                ("Per second, now", f"{now:,.1f}"),
                (f"In {minutes} minutes", f"{total:,}"),
                ("Refused (4xx)", f"{sum(refused):,}"),
                ("Failed (5xx)", _count(sum(failed))),
                ("Under way", f"{figures['in_flight']:,}"),
            ]
        ),
    )


def _count(count: int) -> Markup | str:
    """Return a count of what should not be, told apart where it is not zero."""
    return element("span", f"{count:,}", class_="bad") if count else "0"


def _latency(figures: Figures) -> Markup:
    rows = [
        (_short(path), f"{took['count']:,}", *map(_ms, _quantiles(took)))
        for path, took in figures["latency"].items()
    ]
    content = (
        table(
            "From the whole request to the answer, last 5 minutes",
            ("Path", "Answers", "p50", "p95", "p99"),
            rows,
            numbers=4,
        )
        if rows
        else element("p", "Nothing was decided in the last 5 minutes.", class_="quiet")
    )
    return section("latency", "Latency", content)


def _quantiles(took: Mapping[str, float]) -> list[float]:
    return [took["p50_ms"], took["p95_ms"], took["p99_ms"]]


def _ms(value: float) -> str:
    return f"{value:.2f} ms" if value < 10 else f"{value:,.0f} ms"


def _short(path: str) -> Markup:
    """Return what is asked for, without the beginning that all paths have."""
    return element("code", path.removeprefix("/v1/{endpoint}/"))


def _trouble(figures: Figures) -> Markup:
    refusals = sorted(figures["refusals"].items(), key=lambda each: -each[1])
    fallbacks = [
        (each["model"], _REASONS.get(each["reason"], each["reason"]), f"{each['count']:,}")
        for each in figures["fallbacks"]
    ]
    parts: list[Markup] = []
    if refusals:
        rows = [(element("code", code), f"{count:,}") for code, count in refusals]
        parts.append(table("Refused requests by code", ("Code", "Requests"), rows, numbers=1))
    if fallbacks:
        columns = ("Challenger", "Why", "Decisions")
        caption = "Decisions of a challenger that the champion answered"
        parts.append(table(caption, columns, fallbacks, numbers=1))
    if not parts:
        parts.append(element("p", "No request was refused.", class_="quiet"))
    return section("trouble", "Refusals and fallbacks", *parts)


def _decisions(figures: Figures) -> Markup:
    rows = [(model, f"{count:,}") for model, count in figures["decisions"].items()]
    outcomes, log = figures["outcomes"], figures["log"]
    told = [(kind.capitalize(), f"{count:,}") for kind, count in outcomes.items()]
    return section(
        "decisions",
        "Decisions and outcomes",
        table("Decisions by who answered", ("Model", "Decisions"), rows, numbers=1)
        if rows
        else element("p", "Nothing was decided yet.", class_="quiet"),
        facts(
            [
                ("Answered again, from the log", f"{figures['repeated']:,}"),
                *((f"Outcomes: {kind.lower()}", count) for kind, count in told),
                (
                    "In the log, not compacted yet",
                    f"{log['decisions']:,} decisions, {log['outcomes']:,} outcomes, "
                    f"{size(log['bytes'])}",
                ),
            ]
        ),
    )
