"""This module draws a confidence sequence as SVG, which says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from serving.lane.page_text import Markup, element

_WIDTH, _HEIGHT = 600, 150
_SPREAD = 0.9  # of the blocks; what is farther out is drawn at the edge


def sequence_chart(
    blocks: Sequence[Mapping[str, Any]], bounds: Sequence[Mapping[str, Any]], *, block: str
) -> Markup | None:
    """Return a chart of the advantage after each block; None where there is nothing to draw.

    Dots are the blocks' own advantages, the thick line their mean so far, the lower edge of the
    area its lower bound. Where the edge is above the zero line, the challenger has won.

    Args:
        blocks: start and z of each block, in order.
        bounds: start, mean and lower of each block from the rule's fewest on.
        block: What a block is called: "day".
    """
    drawn = [(each.get("start"), number_of(each.get("z"))) for each in blocks]
    starts = [start for start, z in drawn if z is not None]
    values = [z for _, z in drawn if z is not None]
    if not values:
        return None
    known = {
        each.get("start"): each
        for each in bounds
        if None not in (number_of(each.get("mean")), number_of(each.get("lower")))
    }
    line = [(place, known[start]) for place, start in enumerate(starts) if start in known]
    low, high = _range(values, [each for _, each in line])
    wide = _WIDTH / max(1, len(values) - 1)

    def at(place: int, value: float) -> tuple[float, float]:
        within = min(high, max(low, value))
        return round(place * wide, 1), round(_HEIGHT * (high - within) / (high - low), 1)

    dots = [
        element("circle", class_="block", cx=at(place, value)[0], cy=at(place, value)[1], r=2.5)
        for place, value in enumerate(values)
    ]
    means = [at(place, each["mean"]) for place, each in line]
    lowers = [at(place, each["lower"]) for place, each in line]
    zero = at(0, 0.0)[1]
    said = _said(values, line[-1][1] if line else None, block)
    drawing = element(
        "svg",
        element("title", said),
        *([_area(means, lowers)] if len(line) > 1 else []),
        *dots,
        element("line", class_="boundary", x1=0, x2=_WIDTH, y1=zero, y2=zero),
        element("polyline", class_="line", points=_points(means)),
        element("polyline", class_="lower", points=_points(lowers)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=said,
    )
    scale = element(
        "div", element("span", f"{high:.2g}"), element("span", f"{low:.2g}"), class_="scale"
    )
    times = element(
        "div", element("span", _day(starts[0])), element("span", _day(starts[-1])), class_="times"
    )
    return element("div", scale, drawing, times, class_="chart sequence")


def number_of(value: Any) -> float | None:
    """Return a finite number as it is; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _range(values: Sequence[float], bounds: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return what the chart spans: zero, all bounds, and most of the blocks."""
    ordered = sorted(values)
    cut = int(len(ordered) * (1 - _SPREAD) / 2)
    shown = [0.0, ordered[cut], ordered[-1 - cut]]
    for each in bounds:
        shown += [each["mean"], each["lower"]]
    low, high = min(shown), max(shown)
    room = (high - low or 1.0) * 0.06
    return low - room, high + room


def _area(means: Sequence[tuple[float, float]], lowers: Sequence[tuple[float, float]]) -> Markup:
    return element("polygon", class_="area", points=_points([*means, *reversed(lowers)]))


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _said(values: Sequence[float], last: Mapping[str, Any] | None, block: str) -> str:
    said = f"Advantage of the challenger over {len(values)} {block}s"
    if last is None:
        return f"{said}: too few for a bound."
    proof = "above" if last["lower"] > 0 else "not above"
    return (
        f"{said}: its mean is {last['mean']:.3g}, and the lower confidence bound "
        f"{last['lower']:.3g} is {proof} 0."
    )


def _day(iso: Any) -> str:
    try:
        return f"{datetime.fromisoformat(iso):%Y-%m-%d}"
    except (TypeError, ValueError):
        return str(iso)
