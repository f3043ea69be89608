"""This module names the things of a rule as people do: blocks, columns, margins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.rule import Rule


def block_name(rule: Rule, number: int = 2) -> str:
    """Return what people call a rule's block, or several of them."""
    name = "block" if rule.block == "count" else rule.block
    return name if number == 1 else f"{name}s"


def columns_named(names: Sequence[str]) -> str:
    """Return columns as "'tail'", or "'tail' and 'origin'"."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def margin(rule: Rule, by: float, *, whose: str = "the champion's") -> str:
    """Return by how much a figure differs, as "0.01 times the champion's" or "2.5"."""
    return f"{by:.6g} times {whose}" if rule.effect == "relative" else f"{by:.6g}"
