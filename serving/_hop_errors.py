"""This module says what is wrong with scoring processes: not reached, crowded, or too few."""

from __future__ import annotations

from serving._request_errors import RequestError


def model_unreachable(model: str, why: str) -> RequestError:
    """Build the error for a model in a process of its own which could not be asked.

    Args:
        model: The model, as "name/3".
        why: What came of the last attempt.
    """
    return RequestError(
        "model_unreachable",
        f"The process that scores with '{model}' could not be asked: {why}. Nothing was decided.",
        remedy="send the request again in a second, with the same id; if it lasts, run "
        "`headrace endpoint show` and give the endpoint more `scorers`.",
    )


def crowded(model: str, rows: int) -> RequestError:
    """Build the error for a model that is asked for more than it scores.

    Args:
        model: The model, as "name/3".
        rows: How many rows wait for it.
    """
    return model_unreachable(model, f"{rows:,} rows wait for it already")
