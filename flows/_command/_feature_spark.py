"""This module draws a row of figures in one line: blocks on a terminal, digits in a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_DIGITS = "0123456789"
_NOTHING = {_BLOCKS: " ", _DIGITS: "."}


def spark(figures: Sequence[float | None], *, zero: bool = True, most: float | None = None) -> str:
    """Return a line with one character a figure; what does not exist is a gap.

    Args:
        figures: The figures.
        zero: Whether the lowest character stands for zero, as for counts; else for the least.
        most: What the highest character stands for; None for the greatest figure.
    """
    levels = _BLOCKS if _draws() else _DIGITS
    there = [figure for figure in figures if figure is not None and math.isfinite(figure)]
    low = min([*there, 0.0] if zero else there, default=0.0)
    span = (max(there, default=0.0) if most is None else most) - low
    return "".join(
        _NOTHING[levels]
        if figure is None or not math.isfinite(figure)
        else levels[0 if span <= 0 else math.ceil((figure - low) / span * (len(levels) - 1))]
        for figure in figures
    )


def _draws() -> bool:
    """Return whether a person looks, through something that shows blocks."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and encoding.startswith("utf")
