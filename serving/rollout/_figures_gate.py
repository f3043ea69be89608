"""This module estimates, from logged decisions, what a challenger in shadow would have achieved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from serving._block_spans import Flags, Vector
from serving.rollout._guard_rows import Look, Rows, numbers, rows_of
from serving.rule_stages import Gate

if TYPE_CHECKING:
    import pyarrow as pa

_OTHERS = """
SELECT s.id, s.model, min(s.score) AS score FROM shadows s
WHERE s.score IS NOT NULL GROUP BY ALL
"""
_MORE = (
    ", d.id AS id, d.features AS features, d.fallback IS NOT NULL AS fell_back, "
    "d.candidates AS candidates, d.propensities AS propensities"
)
_MOST_FEATURES = 50
_FEWEST = 20


def gate_figures(look: Look, gate: Gate) -> dict[str, Any]:
    """Return the off-policy value of deciding by the challenger's scores.

    A decision is whether a score reaches the gate's threshold. Its propensity is the chance of all
    candidates together whose scores would have decided the same: of the one that answered as it
    did, of the others as they said in shadow. A decision of which a score is missing is left out,
    and so is one that the champion answered because another model failed.

    Args:
        look: The look; the reward is the rule's outcome, of which more, or less, is better.
        gate: How it is estimated.
    """
    from serving.statistics.off_policy import off_policy_value

    rows = rows_of(look, more=_MORE, whole=True)
    answered = numbers(rows.table, "answered")
    propensity, tried = _propensities(look, rows, answered, gate.threshold)
    # what the champion answered in another's stead was not decided by the chance that was dealt
    fell_back = rows.column("fell_back").to_numpy().astype(bool)
    used = np.isfinite(rows.outcome) & np.isfinite(rows.subject) & (propensity > 0) & ~fell_back
    if not used.any():
        return {"why": "there is no mature decision with an outcome and all scores"}
    if not tried[used].any():
        return {
            "why": "nothing was dealt by chance: every logged decision was the champion's, and what"
            " follows from any other was never seen"
        }
    sign = 1.0 if look.rule.is_better == "higher" else -1.0
    found = off_policy_value(
        reward=sign * rows.outcome[used],
        action=answered[used] >= gate.threshold,
        propensity=propensity[used],
        target=rows.subject[used] >= gate.threshold,
        features=_features(rows.table.filter(used)),
        block=rows.block[used],
        estimator=gate.estimator,
        min_effective=gate.min_effective,
        alpha=gate.alpha,
        max_drop=gate.max_drop,
    )
    counts: dict[str, Any] = {"estimator": gate.estimator, "decisions": found.decisions}
    counts |= {"effective": found.effective, "matched": found.matched}
    counts |= {"mean_weight": found.mean_weight, "left_out": int((~used).sum())}
    counts |= {"value": sign * found.value, "baseline": sign * found.baseline}
    counts["lower"] = found.lower
    if found.blocks < _FEWEST:
        counts["why"] = f"{found.blocks} blocks are too few to be sure: {_FEWEST} are needed"
    elif not found.overlaps:
        counts["why"] = (
            "the challenger would decide what the log never tried: the mean weight is "
            f"{found.mean_weight:.3f}, and would be 1"
        )
    return counts


def _propensities(
    look: Look, rows: Rows, answered: Vector, threshold: float
) -> tuple[Vector, Flags]:
    """Return the chance of what was decided, and whether anything else had one.

    The chance is 0 where it is not known, because a candidate's score is not.
    """
    dealt = _dealt(rows)
    # the place of what was dealt, row by row: chances are added up in the order of the log
    places = np.arange(dealt.row.size) - dealt.first[dealt.row]
    score = _scores_of(look, rows, dealt, answered)
    counts = dealt.chance != 0
    agrees = (score >= threshold) == (answered >= threshold)[dealt.row]
    size, same = answered.size, np.zeros(answered.size)
    for place in range(int(places.max(initial=-1)) + 1):
        here = (places == place) & counts & agrees
        same[dealt.row[here]] += dealt.chance[here]
    unknown = np.bincount(dealt.row[counts & ~np.isfinite(score)], minlength=size) > 0
    same[unknown | ~np.isfinite(answered)] = 0.0
    return np.minimum(same, 1.0), (same > 0) & (same < 1)


@dataclass(frozen=True, kw_only=True)
class _Dealt:
    """These are the candidates of all decisions, one after the other.

    Args:
        row: The decision of each.
        first: Of each decision, the place of its first one.
        model: The candidate.
        chance: Its chance; 0 where none was logged.
    """

    row: npt.NDArray[np.intp]
    first: npt.NDArray[np.intp]
    model: pa.Array
    chance: Vector


def _dealt(rows: Rows) -> _Dealt:
    """Return the candidates of decisions that have as many chances as candidates."""
    import pyarrow as pa
    import pyarrow.compute as pc

    candidates = rows.column("candidates").combine_chunks()
    chances = rows.column("propensities").combine_chunks()
    many, dealt = (_lengths(each) for each in (candidates, chances))
    if ((many != dealt) & (many > 0) & (dealt > 0)).any():
        raise DataError(
            "A decision has not as many propensities as candidates.",
            remedy="Log a propensity for each candidate.",
        )
    has = (many > 0) & (dealt > 0)
    used, length = pa.array(has), np.where(has, many, 0)
    chance = pc.fill_null(pc.list_flatten(pc.filter(chances, used)).cast(pa.float64()), 0.0)
    return _Dealt(
        row=np.repeat(np.arange(has.size), length),
        first=np.cumsum(length) - length,
        model=pc.list_flatten(pc.filter(candidates, used)),
        chance=chance.to_numpy(zero_copy_only=False),
    )


def _lengths(lists: pa.Array) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    found: npt.NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _scores_of(look: Look, rows: Rows, dealt: _Dealt, answered: Vector) -> Vector:
    """Return what each candidate said: who answered in its answer, another in shadow; else NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shadows = look.log.narrow.sql(_OTHERS).to_arrow_table()
    models = pa.chunked_array([dealt.model, shadows["model"].combine_chunks()]).unique()

    def key(row: npt.NDArray[np.intp], model: pa.Array) -> npt.NDArray[np.int64]:
        number = pc.index_in(model, value_set=models).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.int64] = row.astype(np.int64) * (len(models) + 1) + number
        return found

    place = pc.index_in(shadows["id"].combine_chunks(), value_set=rows.column("id"))
    there = pc.is_valid(place)
    shadows, place = shadows.filter(there), place.filter(there).to_numpy().astype(np.intp)
    known = key(place, shadows["model"].combine_chunks())
    order = np.argsort(known)
    known, score = known[order], numbers(shadows, "score")[order]
    wanted = key(dealt.row, dealt.model)
    at = np.minimum(np.searchsorted(known, wanted), max(known.size - 1, 0))
    found = np.full(wanted.size, np.nan)
    if known.size:
        hit = known[at] == wanted
        found[hit] = score[at[hit]]
    models_of = rows.column("model").combine_chunks().take(pa.array(dealt.row))
    own = pc.fill_null(pc.equal(dealt.model, models_of), False).to_numpy(zero_copy_only=False)
    return np.where(own.astype(bool), answered[dealt.row], found)


def _features(table: pa.Table) -> Vector:
    """Return the numbers that are known of each decision, for a model of the reward."""
    import pyarrow as pa
    import pyarrow.compute as pc

    maps = table.column("features").combine_chunks()
    pairs = maps.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())])))
    row = np.repeat(np.arange(len(pairs)), _lengths(pairs))
    flat = pc.list_flatten(pairs)
    keys = flat.field("key")
    names = sorted(keys.unique().to_pylist())[:_MOST_FEATURES]
    column = pc.fill_null(pc.index_in(keys, value_set=pa.array(names, pa.string())), -1).to_numpy()
    value = np.asarray(flat.field("value").to_numpy(zero_copy_only=False), dtype=np.float64)
    found = np.full((len(pairs), len(names)), np.nan)
    used = (column >= 0) & np.isfinite(value)
    found[row[used], column[used]] = value[used]
    return found
