"""This operator takes the second best candidate, to challenge the one that was selected."""

from __future__ import annotations

from headrace import Model, Report, operator
from headrace.errors import DataError


@operator()
def runner_up(candidates: list[Model], selection: Report) -> Model:
    """Take the candidate that came second on the validation set.

    It has not met the test set and is not to: what it is worth it shows in shadow, on decisions
    that were made after everything it was trained on.

    Args:
        candidates: The models that `select` chose from.
        selection: What `select` reported of them.

    Returns:
        The best by the metric of those that were not chosen; of equal ones the first.

    Raises:
        DataError: There is no second one, or the report is of other models.
    """
    rows = selection.document["candidates"]
    if {row["digest"] for row in rows} != {model.digest for model in candidates}:
        raise DataError(
            "The report is not of these candidates.",
            remedy="Give the candidates and the report of one `select`.",
        )
    metric = selection.document["metric"]
    sign = 1 if metric in ("log_loss", "brier", "rmse", "mae") else -1
    chosen = {row["digest"] for row in rows if row["chosen"]}
    others = [row for row in rows if row["digest"] not in chosen]
    if not others:
        raise DataError(
            "There is one candidate only, so none came second.",
            remedy="Train another candidate, or deploy without a challenger.",
        )
    best = min(others, key=lambda row: sign * row["metrics"][metric]["value"])
    return next(model for model in candidates if model.digest == best["digest"])
