"""This module compares two models in every slice of the decisions, over blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import did_you_mean
from serving._block_spans import Flags, Vector
from serving._losses import losses
from serving._sequences import block_sequence
from serving.rollout._guard_rows import Look, Rows, names_in, numbers
from serving.rule import Rule
from serving.rule_guardrails import SliceGap

_MAPS = ("entity", "texts", "features")
_MOST_VALUES = 1_000
_FEWEST_NOW = 10  # of fewer blocks Student's t says nothing that a skew could not
_FEWEST = 20  # as of a rule: the sequence's theory holds from here on


def slice_figures(look: Look, guardrail: SliceGap) -> dict[str, Any]:
    """Return how much worse than allowed a model is in each slice.

    In pairs both models' losses of the same decisions are compared. Of a randomised design it is
    the arms' means, over units in the block in which they were first dealt.

    Args:
        look: The look.
        guardrail: Which slices, and what is allowed.
    """
    column = f"slice{look.slices.index(guardrail.by)}"
    if _is_unknown(look, column, guardrail.by):
        return {
            "why": f"the log has no column '{guardrail.by}' of the entity or the features."
            f"{did_you_mean(guardrail.by, set().union(*names_in(look, _MAPS).values()))}".rstrip(
                "."
            )
        }
    rows = look.rows
    codes, values = rows.numbered(column)
    if len(values) > _MOST_VALUES:
        return {"why": f"'{guardrail.by}' has {len(values):,} values, too many to be slices"}
    sides = _sides(rows, look)
    shape = (len(values), int(rows.block.max(initial=-1)) + 1)
    cell = codes * shape[1] + rows.block
    (other, n_other), (own, n_own) = (_means(*side, cell, shape) for side in sides)
    found: list[dict[str, Any]] = []
    for at, value in enumerate(values):
        counts = int(n_own[at].sum()), int(n_other[at].sum())
        both = (n_own[at] > 0) & (n_other[at] > 0)
        if not any(counts):
            continue
        harm = _harm(other[at][both], own[at][both], guardrail.max_drop, look.rule)
        entry = {"value": str(value), "decisions": min(counts), "blocks": harm.size}
        found.append(entry | _figures(harm, guardrail.alpha))
    found.sort(key=lambda each: (-each["decisions"], each["value"]))
    return {"slices": found}


def _is_unknown(look: Look, column: str, by: str) -> bool:
    """Return whether no decision has such a column; where one has a value, that is seen at once."""
    query = f"SELECT count(d.{column}) AS n FROM decisions d"  # noqa: S608  a name of our own
    if look.read(query + " WHERE {members} AND epoch_us(d.decided_at) <= $as_of")["n"][0].as_py():
        return False
    return all(by not in names for names in names_in(look, _MAPS).values())


Side = tuple[Vector, Flags]


def _sides(rows: Rows, look: Look) -> tuple[Side, Side]:
    """Return the losses, and which decisions count, of the other model and of the subject."""
    labelled, rule = np.isfinite(rows.outcome), look.rule
    if rule.design == "paired_shadow" or look.state.stage == "watch":
        used = labelled & np.isfinite(rows.subject) & np.isfinite(rows.other)
        theirs = losses(rows.outcome, rows.other, rule)
        return (theirs, used), (losses(rows.outcome, rows.subject, rule), used)
    answered = numbers(rows.table, "answered")
    loss = losses(rows.outcome, answered, rule)
    usable = labelled & np.isfinite(loss) & _first_dealt(rows)
    other, own = (rows.is_in("assigned", model) for model in (look.other, look.subject))
    return (loss, usable & other), (loss, usable & own)


def _first_dealt(rows: Rows) -> Flags:
    """Return which decisions are of the block in which their unit was first dealt.

    A unit that comes back brings its luck along: over blocks, that is no new evidence.
    """
    units, _ = rows.numbered("unit")
    _, first, back = np.unique(units, return_index=True, return_inverse=True)
    same: Flags = rows.block[first][back] == rows.block
    return same


def _figures(harm: Vector, alpha: float) -> dict[str, Any]:
    if harm.size < _FEWEST_NOW:
        return {"mean": None, "p": None, "p_now": None}
    return {"mean": float(harm.mean()), "p": _ever(harm, alpha), "p_now": _now(harm)}


def _harm(other: Vector, own: Vector, max_drop: float, rule: Rule) -> Vector:
    """Return by how much the model is worse than the other, beyond what is allowed."""
    sign = 1 if rule.is_better == "lower" else -1
    if rule.effect == "absolute":
        return sign * (own - other) - max_drop
    return sign * (own - other) - max_drop * np.abs(other)


def _ever(harm: Vector, alpha: float) -> float:
    """Return one over the evidence, which may be looked at after every block."""
    if harm.size < _FEWEST:
        return 1.0
    with np.errstate(all="ignore"):
        found = block_sequence(harm, alpha=alpha, planned=2 * _FEWEST, effective=True)
        log_e = float(found.log_e[-1])
    return min(1.0, math.exp(-log_e)) if math.isfinite(log_e) and log_e > 0 else 1.0


def _now(harm: Vector) -> float:
    """Return the one-sided level at which Student's t test finds harm, at this look alone."""
    from scipy.special import stdtr  # type: ignore[import-untyped]

    error = float(harm.std(ddof=1)) / math.sqrt(harm.size)
    if error <= 1e-12 * max(1e-300, float(np.abs(harm).max())):
        return 0.0 if harm.mean() > 0 else 1.0
    return float(stdtr(harm.size - 1, -harm.mean() / error))


def _means(
    values: Vector, used: Flags, cell: npt.NDArray[np.intp], shape: tuple[int, int]
) -> tuple[Vector, npt.NDArray[np.intp]]:
    """Return the mean of each slice in each block, and of how many decisions."""
    size = shape[0] * shape[1]
    n = np.bincount(cell[used], minlength=size)
    total = np.bincount(cell[used], weights=values[used], minlength=size)
    return (total / np.maximum(n, 1)).reshape(shape), n.reshape(shape)
