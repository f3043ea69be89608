"""This module says which kinds of answers a labeling loop can learn, and by what it judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop

MetricName = Literal["accuracy", "jaccard", "subset_accuracy", "hamming_loss", "mae", "mse"]
Strategy = Literal["margin", "entropy", "disagreement", "diversity", "random"]

USUAL_METRICS: dict[str, MetricName] = {"single": "accuracy", "multi": "jaccard", "number": "mae"}
_METRICS: dict[str, tuple[MetricName, ...]] = {
    "single": ("accuracy",),
    "multi": ("jaccard", "subset_accuracy", "hamming_loss"),
    "number": ("mae", "mse"),
}
_STRATEGIES: dict[str, tuple[Strategy, ...]] = {
    "single": ("margin", "entropy", "diversity", "random"),
    "multi": ("margin", "entropy", "diversity", "random"),
    "number": ("random", "disagreement", "diversity"),
}


def kind_problems(loop: LabelLoop) -> list[tuple[str, str]]:
    """Return what of a loop does not go with the kind of its answers, each with what to do."""
    kind = loop.task.labels.kind
    if kind not in USUAL_METRICS:
        page = "Label Studio" if kind == "span" else "the labeling page, or Label Studio"
        return [
            (
                f"answers are of the kind '{kind}', of which no model is trained or compared here, "
                "so there is nothing to choose items by and no round to stop at.",
                f"Ask with `request_labels` ({page}), read with `collect_labels` and settle with "
                "`aggregate_votes` in a flow of your own: all three take this kind.",
            )
        ]
    found = []
    if loop.metric is not None and loop.metric not in _METRICS[kind]:
        found.append(
            (
                f"`metric` is '{loop.metric}', which does not judge answers of the kind '{kind}'.",
                f"Take one of: {', '.join(_METRICS[kind])}; or none, for the first.",
            )
        )
    if loop.strategy is not None and loop.strategy not in _STRATEGIES[kind]:
        found.append(
            (
                f"`strategy` is '{loop.strategy}', by which answers of the kind '{kind}' are not "
                "chosen in a loop.",
                f"Take one of: {', '.join(_STRATEGIES[kind])}.",
            )
        )
    return found


def target_figures(loop: LabelLoop) -> list[tuple[str, float, bool, str]]:
    """Return the target, whether it can be one of the metric, and what it has to be."""
    target, labels = loop.target, loop.task.labels
    if target is None:
        return []
    if labels.kind != "number":
        return [("target", target, 0 < target < 1, "between 0 and 1")]
    unit = f" {labels.unit}" if labels.unit else ""
    if labels.low is None or labels.high is None:
        return [("target", target, target > 0, "more than zero")]
    width = labels.high - labels.low
    if loop.judged_by == "mse":
        width, unit = width**2, f"{unit}²" if unit else ""
    said = f"between 0 and {width:g}{unit}: no answer can be further off"
    return [("target", target, 0 < target < width, said)]


def reason_not_to_route(kind: str) -> tuple[str, str] | None:
    """Return why machines cannot be given the rest of a pool, and what to do; None if so."""
    if kind != "number":
        return None
    return (
        "its answers are numbers, which are not right or wrong but near or far: how much error a "
        "second of people mends, by which the rest is given to rules, model and people, is not "
        "defined for them.",
        "Let the model vote with `label_by_model`, read the error to expect in the round's report "
        "(`score`), and ask people for what matters with `request_labels`.",
    )
