"""This module chooses the items of a batch, and what is suggested for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, Table
from headrace.labels.schema import LabelSchema
from operators._selection_kinds import doubt_of_kind, suggestions_of_kind
from operators._selection_pool import Pool
from operators._selection_ranking import Setting, ranked_rows
from operators._selection_scores import (
    aligned,
    disagreement_doubt,
    entropy_doubt,
    margin_doubt,
)
from operators.class_probabilities import class_probabilities

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """This is how much labels would tell, of what is chosen and of all that could have been."""

    chosen: Floats
    pool: Floats


@dataclass(frozen=True, kw_only=True)
class Choice:
    """These are the items of a batch, as row numbers, and what is suggested for them.

    Args:
        random: Rows drawn by chance, in order.
        chosen: Rows chosen, what tells most first.
        classes: The classes that the models know; empty without one.
        suggested: Row to its likeliest answer, and how probable that is if anybody knows.
        suggested_by: Who suggests.
        doubt: How much the labels would tell; None where no model said so.
    """

    random: Rows
    chosen: Rows
    classes: tuple[str, ...]
    suggested: dict[int, tuple[str, float | None]]
    suggested_by: str | None
    doubt: Doubt | None


def choose(
    table: Table[Any],
    pool: Pool,
    random: int,
    chosen: int,
    setting: Setting,
    *,
    scoring: Sequence[Model],
    suggesting: Model | None,
    answers: LabelSchema | None = None,
) -> Choice:
    """Choose `random` rows of the reserve and `chosen` of the rest.

    Args:
        table: The whole pool.
        pool: What may become of its rows.
        random: How many are drawn from the reserve.
        chosen: How many of the rest.
        setting: How.
        scoring: The models whose doubt counts; none for a cold start.
        suggesting: The model that suggests; None for the mean of those that score.
        answers: What may be answered, where that is no single choice.
    """
    frame = table.frame()
    drawn = pool.reserve[:random]
    scores: Floats | None = None
    classes: tuple[str, ...] = ()
    if scoring and len(pool.rest) and answers is not None:
        classes = answers.choices
        scores = doubt_of_kind(scoring, frame.iloc[pool.rest], answers, setting.strategy)
    elif scoring and len(pool.rest):
        classes, members = _said(scoring, frame.iloc[pool.rest])
        scores = _doubt(members, setting.strategy)
    order = ranked_rows(
        table, frame, pool, count=chosen, setting=setting, scores=scores, scoring=scoring
    )
    picked = pool.rest[order]
    suggested: dict[int, tuple[str, float | None]] = {}
    models = [suggesting] if suggesting else list(scoring)
    if models:
        rows = np.concatenate([picked, drawn]) if setting.suggest_random else picked
        suggested = _suggestions(models, frame, rows, answers)
    return Choice(
        random=drawn,
        chosen=picked,
        classes=classes,
        suggested=suggested,
        suggested_by=_named(models),
        doubt=None if scores is None else Doubt(chosen=scores[order], pool=scores),
    )


def _said(models: Sequence[Model], frame: pd.DataFrame) -> tuple[tuple[str, ...], list[Floats]]:
    return aligned([class_probabilities(model, frame) for model in models])


def _doubt(members: Sequence[Floats], strategy: str) -> Floats | None:
    if strategy == "disagreement":
        return disagreement_doubt(members)
    if strategy == "random":
        return None
    mean = np.mean(members, axis=0)
    return entropy_doubt(mean) if strategy == "entropy" else margin_doubt(mean)


def _suggestions(
    models: Sequence[Model], frame: pd.DataFrame, rows: Rows, answers: LabelSchema | None
) -> dict[int, tuple[str, float | None]]:
    if not len(rows):
        return {}
    if answers is not None:
        said = suggestions_of_kind(models, frame.iloc[rows], answers)
        return dict(zip(map(int, rows), said, strict=True))
    classes, members = _said(models, frame.iloc[rows])
    mean = np.mean(members, axis=0)
    best = mean.argmax(axis=1)
    return {
        int(row): (classes[at], float(mean[i, at]))
        for i, (row, at) in enumerate(zip(rows, best, strict=True))
    }


def _named(models: Sequence[Model]) -> str | None:
    if not models:
        return None
    return f"model:{'+'.join(model.digest[:12] for model in models)}"
