"""This module finds labels of several choices, and numbers, that are probably wrong.

Several choices: each is a question of its own, judged as single choices are; a set is as doubtful
as the most doubtful of its choices. Numbers: how far a label is from what was estimated without it,
in units of the usual distance. That is 1.4826 times the median, which a few wrong labels do not
move; beyond 3.5 of them a label is a suspect (Iglewicz and Hoaglin, "How to detect and handle
outliers", 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model
from headrace.labels.schema import LabelSchema
from headrace.schemas import Column
from operators._audit_rows import Labelled
from operators._label_errors import certainty, confident_joint, likelier, self_confidence
from operators._labeler_estimators import Settings, fit_answers
from operators._labeler_fit import counted_rows
from operators._labeler_folds import folds_of
from operators._labeler_kinds import candidates_of, tags_of
from operators._labeler_numbers import chosen_by_folds, out_of_fold_estimates, require_numbers
from operators._labeler_tags import require_tags, varies
from operators._model_answers import (
    choice_probabilities,
    estimates,
    written_numbers,
    written_sets,
)

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
_USUAL = 1.4826
_FAR = 3.5
_PASSES = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class KindAudit:
    """This is what was found of each labelled row.

    Attributes:
        suggested: What it seems to be, as the schema writes it.
        confidence: How probable that is; None for numbers.
        own: How probable the label is, by what was learnt without it.
        sure: The same with the votes taken into account.
        flagged: Whether something else is believed.
        judged: Whether anybody could say.
        findings: What there is to say of all, JSON-like.
    """

    suggested: Sequence[str]
    confidence: Sequence[float | None]
    own: Floats
    sure: Floats
    flagged: Booleans
    judged: Booleans
    findings: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judging:
    """This is how rows are judged by others.

    Attributes:
        inputs: The columns to look at.
        text: Those of them whose words are read.
        folds: In how many parts.
        groups: What each row belongs to; None for itself.
        settings: Of the fits.
        by_name: Whether the estimator was given.
    """

    inputs: Sequence[Column]
    text: tuple[str, ...]
    folds: int
    groups: Sequence[Any] | None
    settings: Settings
    by_name: bool


def audit_numbers(
    rows: Labelled, schema: LabelSchema, judging: Judging, model: Model | None
) -> KindAudit:
    """Return which numbers are further off than noise makes them.

    Raises:
        DataError: A label is no answer of the schema, or all are the same.
    """
    values: Floats = np.array([schema.value(schema.read(each)) for each in rows.given])
    require_numbers(values)
    low = -np.inf if schema.low is None else schema.low
    high = np.inf if schema.high is None else schema.high
    if model is None:
        expected = np.clip(_estimated(rows, values, judging), low, high)
    else:
        expected = estimates(model, rows.frame).value
    off = np.abs(values - expected)
    noise, far = _distances(off)
    likely = _beyond(far)
    return KindAudit(
        suggested=written_numbers(expected, schema, noise or None),
        confidence=[None] * len(values),
        own=likely,
        sure=likely,
        flagged=far > _FAR,
        judged=np.ones(len(values), dtype=bool),
        findings={
            "mae": float(off.mean()),
            "noise": noise,
            "unit": schema.unit,
            "further_than": _FAR * noise,
        },
    )


def audit_tags(
    rows: Labelled, schema: LabelSchema, judging: Judging, model: Model | None
) -> KindAudit:
    """Return which sets of choices have one too many, or lack one.

    Raises:
        DataError: A label is no answer of the schema, or all rows have the same choices.
    """
    applies = tags_of(list(rows.given), schema, what="labels")
    require_tags(applies, schema.choices)
    told = varies(applies)
    probable = (
        _tag_probabilities(rows, applies, judging)
        if model is None
        else choice_probabilities(model, rows.frame)
    )
    # how sure votes are of a set is a product over its choices; each has its share of it
    supported = rows.supported ** (1 / len(schema.choices))
    own, sure = np.ones(applies.shape), np.ones(applies.shape)
    wrong = np.zeros(applies.shape, dtype=bool)
    for at in np.flatnonzero(told).tolist():
        given = applies[:, at].astype(np.int64)
        two = np.column_stack([1 - probable[:, at], probable[:, at]])
        believed = confident_joint(two, given).believed
        instead = likelier(two, given, supported)
        wrong[:, at] = ((believed >= 0) & (believed != given)) | (instead >= 0)
        own[:, at] = self_confidence(two, given)
        sure[:, at] = certainty(own[:, at], supported, classes=2)
    seems = np.where(wrong, ~applies, applies)
    agreeing = np.where(seems, probable, 1 - probable)[:, told].min(axis=1)
    names = zip(schema.choices, wrong.sum(axis=0).tolist(), strict=True)
    return KindAudit(
        suggested=written_sets(seems.astype(np.float64), schema),
        confidence=[float(each) for each in agreeing],
        own=own.min(axis=1),
        sure=sure.min(axis=1),
        flagged=np.asarray(wrong.any(axis=1)),
        judged=np.ones(len(applies), dtype=bool),
        findings={
            "by_choice": {name: count for name, count in names if count},
            "not_judged_choices": [
                c for c, some in zip(schema.choices, told.tolist(), strict=True) if not some
            ],
        },
    )


def _estimated(rows: Labelled, values: Floats, judging: Judging) -> Floats:
    """Return estimates by fits on other rows, of which what is far off in a first pass is none."""
    matrix = counted_rows(rows.frame, judging.inputs, judging.text).matrix
    named = np.asarray(
        [str(g) for g in judging.groups] if judging.groups is not None else range(len(values))
    )
    groups = np.unique(named, return_inverse=True)[1]
    settings, _ = chosen_by_folds(
        matrix,
        values,
        candidates_of(judging.settings, (judging.by_name, False), judging.text),
        None,
        groups=groups,
    )
    weight: Floats | None = None
    for _ in range(_PASSES):
        found = out_of_fold_estimates(
            matrix, values, settings, weight, groups=groups, folds=judging.folds
        )
        _, far = _distances(np.abs(values - found[:, 0]))
        weight = (far <= _FAR).astype(np.float64)
    return np.asarray(found[:, 0], dtype=np.float64)


def _distances(off: Floats) -> tuple[float, Floats]:
    """Return the usual distance, and each in units of it."""
    usual = _USUAL * float(np.median(off))
    far: Floats = off / usual if usual > 0 else np.where(off > 0, np.inf, 0.0)
    return usual, far


def _tag_probabilities(rows: Labelled, applies: Booleans, judging: Judging) -> Floats:
    matrix = counted_rows(rows.frame, judging.inputs, judging.text).matrix
    found: Floats = np.ones(applies.shape) * applies.mean(axis=0)
    for at in np.flatnonzero(varies(applies)).tolist():
        said = np.where(applies[:, at], "yes", "no").astype(str)
        part = folds_of(
            said, folds=judging.folds, groups=judging.groups, seed=judging.settings.seed
        )
        for fold in range(judging.folds):
            held, rest = np.flatnonzero(part == fold), np.flatnonzero(part != fold)
            if len(set(said[rest])) < 2:
                found[held, at] = float(said[rest][0] == "yes")
                continue
            fitted = fit_answers(matrix[rest], said[rest], judging.settings, None)
            yes = list(fitted.classes_).index("yes")
            found[held, at] = fitted.predict_proba(matrix[held])[:, yes]
    return found


def _beyond(far: Floats) -> Floats:
    """Return how likely normal noise goes so far in either direction."""
    from scipy.special import erfc  # type: ignore[import-untyped]

    likely: Floats = np.asarray(erfc(far / np.sqrt(2)), dtype=np.float64)
    return likely
