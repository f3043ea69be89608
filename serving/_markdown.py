"""This module writes Markdown for MLflow's pages, for runs and for versions; it is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def row(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)])


def link(text: str, url: str) -> str:
    """Return a link."""
    return f"[{text}]({url})"


def figure(value: float | None) -> str:
    """Return a figure as people read it; empty when there is none."""
    return "" if value is None else f"{value:.4g}"


def interval(metric: Any) -> str:
    """Return the ends of a metric's interval, or a dash where it has none."""
    described = metric if isinstance(metric, Mapping) else {}
    low, high = described.get("low"), described.get("high")
    return "-" if low is None or high is None else f"{figure(low)} to {figure(high)}"
