"""This module draws a model's curves, importance and slices as PNG, without a display."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (6.0, 4.5)
_DOTS_PER_INCH = 100
_BARS = 30
# figures are independent, but matplotlib's caches of fonts and glyphs are not made for threads
_drawing = threading.Lock()

Draw = Callable[["Axes"], None]


def draw_all(
    *,
    curves: Mapping[str, Any],
    importance: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
) -> dict[str, bytes]:
    """Draw what there is to draw.

    Args:
        curves: Points by name of curve, as in a model card; empty ones are left out.
        importance: Feature name to share of the total importance.
        slices: Metrics per slice: [{column, value, rows, metrics}].

    Returns:
        File name to PNG.
    """
    return {f"{name}.png": _png(draw) for name, draw in _drawings(curves, importance, slices)}


def _drawings(
    curves: Mapping[str, Any],
    importance: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, Draw]]:
    drawn = {
        "roc": _roc,
        "precision_recall": _precision_recall,
        "calibration": _calibration,
        "residuals": _residuals,
        "learning": _learning,
    }
    for name, draw in drawn.items():
        if any(curves.get(name, {}).values()):  # a set of one class has no such curve
            yield name, functools.partial(draw, curve=curves[name])
    if importance:
        yield "importance", lambda axes: _importance(axes, importance)
    if slices:
        yield "slices", lambda axes: _slices(axes, slices)


def _png(draw: Draw) -> bytes:
    # pyplot keeps figures in a global registry; a figure of our own is freed when we are done
    from matplotlib.figure import Figure

    with _drawing:
        figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        draw(figure.add_subplot())
        written = io.BytesIO()
        figure.savefig(written, format="png")
    return written.getvalue()


def _roc(axes: Axes, curve: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="chance")
    axes.plot(curve["false_rate"], curve["true_rate"], label="model")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    axes.legend(loc="lower right")


def _precision_recall(axes: Axes, curve: Mapping[str, Any]) -> None:
    axes.plot(curve["recall"], curve["precision"])
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))


def _calibration(axes: Axes, curve: Mapping[str, Any]) -> None:
    predicted, observed = curve["predicted"], curve["observed"]
    ends = [min(*predicted, *observed), max(*predicted, *observed)]
    axes.plot(ends, ends, color="0.7", linestyle="--", label="perfect")
    rows = curve.get("rows") or [1] * len(predicted)
    sizes = [20 + 180 * n / max(*rows, 1) for n in rows]
    axes.plot(predicted, observed, linewidth=1)
    axes.scatter(predicted, observed, s=sizes, label="model (area: rows)")
    axes.set(xlabel="predicted", ylabel="observed", title="Calibration")
    axes.legend(loc="upper left")


def _residuals(axes: Axes, curve: Mapping[str, Any]) -> None:
    axes.axhline(0, color="0.7", linestyle="--")
    axes.plot(curve["quantile"], curve["residual"])
    axes.set(xlabel="share of the rows", ylabel="measured - estimated", title="Residuals")


def _learning(axes: Axes, curve: Mapping[str, Any]) -> None:
    axes.plot(curve["round"], curve["validation_loss"])
    axes.set(xlabel="round", ylabel="validation loss", title="Learning")


def _importance(axes: Axes, importance: Mapping[str, float]) -> None:
    largest = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:_BARS]
    names = [name for name, _ in largest][::-1]
    axes.barh(names, [share for _, share in largest][::-1])
    axes.set(xlabel="share of the total importance", title="Importance")
    axes.tick_params(axis="y", labelsize=7)


def _slices(axes: Axes, slices: Sequence[Mapping[str, Any]]) -> None:
    metric = next(iter(slices[0]["metrics"]), None)
    shown = [s for s in slices if _interval(s["metrics"].get(metric))]
    # the slices with most rows say most; they keep their order
    large = sorted(shown, key=lambda s: -s["rows"])[:_BARS]
    shown = [s for s in shown if s in large][::-1]
    for position, entry in enumerate(shown):
        value, *ends = _interval(entry["metrics"][metric])
        axes.plot(ends, [position, position], color="0.6", zorder=1)
        axes.scatter([value], [position], color="C0", zorder=2)
    labels = [f"{s['column']}={s['value']} ({s['rows']:,})" for s in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.set(xlabel=metric, title=f"Slices by {metric}")


def _interval(metric: Any) -> list[float]:
    """Return value, low and high of a metric that may have no interval; empty when undefined."""
    described = metric if isinstance(metric, Mapping) else {"value": metric}
    value = described.get("value")
    if value is None:
        return []
    ends = [described.get(end) for end in ("low", "high")]
    return [float(value), *(float(value if end is None else end) for end in ends)]
