"""This module composes how the models of all rounds are judged by the same random slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows._labeling.learning import Learned
from headrace.artifacts import Report
from operators.compare_losses import compare_losses, judge_losses
from operators.compare_models import compare_models, judge_model

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop


def judge_rounds(loop: LabelLoop, learned: Sequence[Learned]) -> tuple[list[Report], list[Report]]:
    """Compose the judgement of each round's model, and of the last against the one before it.

    Args:
        loop: The loop; the kind of its answers and its metric say how.
        learned: What was learned in each round, oldest first.

    Returns:
        A report a model, and one of the comparison; none of either where there are too few.
    """
    if not learned:
        return [], []
    slice_ = learned[-1].validation
    pairs = list(zip(learned[1:], learned, strict=False))[-1:]
    metric = loop.judged_by
    if metric == "accuracy":
        judged = [judge_model(each.model, each.train, slice_) for each in learned]
        return judged, [compare_models(new.model, old.model, slice_) for new, old in pairs]
    schema = loop.task.labels
    judged = [
        judge_losses(each.model, each.train, slice_, schema=schema, metric=metric, look=look)
        for look, each in enumerate(learned, start=1)
    ]
    return judged, [
        compare_losses(new.model, old.model, slice_, schema=schema, metric=metric)
        for new, old in pairs
    ]
