"""This module draws the traffic of the last minutes as SVG, which says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from serving.lane.page_text import Markup, element

_WIDTH, _HEIGHT = 600, 90
_STEP_SECONDS = 5  # one bar; single seconds are noise


def rates(series: Sequence[int], step: int = _STEP_SECONDS) -> list[float]:
    """Return the requests a second of each few seconds, the oldest first."""
    return [sum(series[at : at + step]) / step for at in range(0, len(series), step)]


def traffic_chart(answered: Sequence[int], refused: Sequence[int], failed: Sequence[int]) -> Markup:
    """Return a chart of requests a second: an area of all, and marks where some failed.

    Args:
        answered: Requests of each second, the oldest first, that were answered.
        refused: With 4xx.
        failed: With 5xx.
    """
    every = rates([a + b + c for a, b, c in zip(answered, refused, failed, strict=True)])
    top = _round_up(max(every))
    wide = _WIDTH / (len(every) - 1)

    def height(value: float) -> float:
        return round(_HEIGHT - value / top * (_HEIGHT - 4), 1)

    points = [f"{round(place * wide, 1)},{height(value)}" for place, value in enumerate(every)]
    area = f"0,{_HEIGHT} {' '.join(points)} {_WIDTH},{_HEIGHT}"
    marks = [
        element(
            "rect",
            class_="failed",
            x=round(max(0.0, place * wide - wide / 2), 1),
            width=round(wide, 1),
            y=min(height(value), _HEIGHT - 3),
            height=round(_HEIGHT - min(height(value), _HEIGHT - 3), 1),
        )
        for place, value in enumerate(rates(failed))
        if value
    ]
    minutes = len(answered) // 60
    said = (
        f"Requests a second over {minutes} minutes: {every[-1]:.1f} now, at most "
        f"{max(every):.1f}; {sum(failed):,} failed."
    )
    drawing = element(
        "svg",
        element("title", said),
        element("line", class_="grid", x1=0, x2=_WIDTH, y1=height(top), y2=height(top)),
        element("line", class_="grid", x1=0, x2=_WIDTH, y1=height(top / 2), y2=height(top / 2)),
        element("polygon", class_="area", points=area),
        element("polyline", class_="line", points=" ".join(points)),
        *marks,
        element("line", class_="axis", x1=0, x2=_WIDTH, y1=_HEIGHT, y2=_HEIGHT),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=said,
    )
    scale = element("div", element("span", f"{top:g}/s"), element("span", "0"), class_="scale")
    ages = [
        element("span", f"{age} min ago" if age == minutes else f"{age} min")
        for age in range(minutes, 0, -1)
    ]
    times = element("div", *ages, element("span", "now"), class_="times")
    return element("div", scale, drawing, times, class_="chart")


def _round_up(value: float) -> float:
    """Return a round number that is no smaller: 1, 2 or 5 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value)
