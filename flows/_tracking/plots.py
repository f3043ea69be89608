"""This module draws a model's curves, importance and slices as PNG, without a display."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving._figures import value_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (6.0, 4.5)
_DOTS_PER_INCH = 100
_BARS = 30
_FEW_ROWS = 100  # a group of fewer is mostly luck
# figures are independent, but matplotlib's caches of fonts and glyphs are not made for threads
_drawing = threading.Lock()

Draw = Callable[["Axes"], None]


@dataclass(frozen=True, kw_only=True)
class About:
    """This says what curves were measured on.

    Args:
        on: Name of the set, such as "test".
        rows: Its rows, None when unknown.
        metrics: Metrics on it by name, plain or with intervals.
    """

    on: str
    rows: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The set as a title names it."""
        return f"{self.on} set" + ("" if self.rows is None else f", {self.rows:,} rows")

    def value(self, metric: str) -> float | None:
        """Return a metric's value; None when it is undefined or was not measured."""
        return value_of(self.metrics.get(metric))


def draw_all(
    about: About,
    *,
    curves: Mapping[str, Any],
    importance: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
) -> dict[str, bytes]:
    """Draw what there is to draw.

    Args:
        about: What was measured on what.
        curves: Points by name of curve, as in a model card; empty ones are left out.
        importance: Feature name to share of the total importance.
        slices: Metrics per slice: [{column, value, rows, metrics}].

    Returns:
        File name to PNG.
    """
    return {f"{name}.png": _png(draw) for name, draw in drawings(about, curves, importance, slices)}


def drawings(
    about: About,
    curves: Mapping[str, Any],
    importance: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, Draw]]:
    """Yield the name of each plot that there is and what draws it on axes; see `draw_all`."""
    drawn = {
        "roc": _roc,
        "precision_recall": _precision_recall,
        "calibration": _calibration,
        "residuals": _residuals,
        "learning": _learning,
    }
    for name, draw in drawn.items():
        if any(curves.get(name, {}).values()):  # a set of one class has no such curve
            yield name, functools.partial(draw, curve=curves[name], about=about)
    if importance:
        yield "importance", lambda axes: _importance(axes, importance)
    large = [s for s in slices if s["rows"] >= _FEW_ROWS]
    if large:
        left_out = len(slices) - len(large)
        yield "slices", lambda axes: _slices(axes, large, about, left_out)


def _png(draw: Draw) -> bytes:
    # pyplot keeps figures in a global registry; a figure of our own is freed when we are done
    from matplotlib.figure import Figure

    with _drawing:
        figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        draw(figure.add_subplot())
        written = io.BytesIO()
        figure.savefig(written, format="png")
    return written.getvalue()


def _title(axes: Axes, text: str, about: About) -> None:
    axes.set_title(f"{text}\n{about.said}", fontsize=11)


def _with(text: str, short: str, value: float | None) -> str:
    return text if value is None else f"{text}, {short} {value:.3f}"


def _roc(axes: Axes, curve: Mapping[str, Any], about: About) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="chance")
    axes.plot(curve["false_rate"], curve["true_rate"], label="model")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    _title(axes, _with("ROC", "AUC", about.value("auc")), about)
    axes.legend(loc="lower right")


def _precision_recall(axes: Axes, curve: Mapping[str, Any], about: About) -> None:
    base = about.value("positive_rate")
    if base is not None:
        label = f"chance: base rate {base:.3f}"
        axes.axhline(base, color="0.7", linestyle="--", label=label)
    axes.plot(curve["recall"], curve["precision"], label="model")
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    precision = about.value("average_precision")
    _title(axes, _with("Precision and recall", "AP", precision), about)
    axes.legend(loc="upper right")


def _calibration(axes: Axes, curve: Mapping[str, Any], about: About) -> None:
    predicted, observed = curve["predicted"], curve["observed"]
    ends = [min(*predicted, *observed), max(*predicted, *observed)]
    axes.plot(ends, ends, color="0.7", linestyle="--", label="perfect")
    axes.plot(predicted, observed, linewidth=1, marker="o", markersize=4, label=_dots(curve))
    axes.set(xlabel="mean prediction", ylabel="mean outcome")
    _title(axes, "Calibration", about)
    axes.legend(loc="upper left")


def _dots(curve: Mapping[str, Any]) -> str:
    rows = curve.get("rows")
    if not rows:
        return "model; a dot is a group of like predictions"
    least, most = min(rows), max(rows)
    count = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"model; a dot is {count} rows of like predictions"


def _residuals(axes: Axes, curve: Mapping[str, Any], about: About) -> None:
    axes.axhline(0, color="0.7", linestyle="--")
    axes.plot(curve["quantile"], curve["residual"])
    axes.set(xlabel="share of the rows", ylabel="measured - estimated")
    _title(axes, "Residuals", about)


def _learning(axes: Axes, curve: Mapping[str, Any], about: About) -> None:
    axes.plot(curve["round"], curve["validation_loss"])
    axes.set(xlabel="round", ylabel="validation loss")
    _title(axes, "Learning", about)


def _importance(axes: Axes, importance: Mapping[str, float]) -> None:
    largest = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:_BARS]
    names = [name for name, _ in largest][::-1]
    axes.barh(names, [share for _, share in largest][::-1])
    axes.set(xlabel="share of the total importance", title="Importance")
    axes.tick_params(axis="y", labelsize=7)


def _slices(axes: Axes, slices: Sequence[Mapping[str, Any]], about: About, left_out: int) -> None:
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
    axes.set_xlabel(str(metric))
    said = f"; {left_out} under {_FEW_ROWS} rows left out" if left_out else ""
    _title(axes, f"{metric} by group{said}", about)


def _interval(metric: Any) -> list[float]:
    """Return value, low and high of a metric that may have no interval; empty when undefined."""
    described = metric if isinstance(metric, Mapping) else {"value": metric}
    value = described.get("value")
    if value is None:
        return []
    ends = [described.get(end) for end in ("low", "high")]
    return [float(value), *(float(value if end is None else end) for end in ends)]
