"""This module reads tables of votes: which answers count, for which items, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError, did_you_mean
from headrace.labels.schema import LabelSchema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SOURCES = ("person", "adjudicator", "rule", "model")
# An item that was ever drawn at random stays in the random sample, or the sample would lose just
# those items that were asked for again.
_SLICES = ("random", "gold", "audit", "chosen")
_WHO = ["entity", "rater", "source"]
_ORDER = [*_WHO, "voted_at", "batch", "label"]
# what tells apart votes that are otherwise the same, as when a table is given twice
_THEN = ["slice", "confidence", "seconds", "skipped", "gold", "as_of", "suggested", "suggested_by"]


@dataclass(frozen=True, kw_only=True, eq=False)
class VotesRead:
    """These are the answers that count, in an order that does not depend on that of the rows.

    Args:
        rows: All votes, skips and abstentions among them, by entity, rater and time; as `Vote`.
        answers: One row an item and voter, adjudicators left out: `item` and `voter`, from 0, with
            `label`, `source`, `confidence` and the rest; by item and voter.
        items: One row an item that has an answer, by entity: as_of, known_at, slice, votes,
            conflict, source, gold and adjudicated (both may be None).
        voters: Names of the raters whose answers count.
        sources: What each of them is.
        left_out: Items without an answer.
        superseded: Answers that the same rater replaced by a later one.
    """

    rows: pd.DataFrame
    answers: pd.DataFrame
    items: pd.DataFrame
    voters: tuple[str, ...]
    sources: tuple[str, ...]
    left_out: int
    superseded: int


def read_votes(tables: Sequence[pa.Table], schema: LabelSchema) -> VotesRead:
    """Return the answers that count.

    Of a rater's answers about one item, which were given in several batches, the last one counts.
    Skips and abstentions are nobody's opinion.

    Args:
        tables: Votes of people, rules and models, as `Vote`.
        schema: What may be answered.

    Raises:
        DataError: Votes belong to other versions of the schema, an answer or a known answer is
            none of the schema, known answers contradict each other, or there is no answer.
    """
    import pandas as pd

    rows = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    _require_version(rows, schema)
    _require_names(rows)
    _require_confidence(rows)
    rows = _in_order(
        rows.assign(
            label=_written(rows, "label", schema, "answer of"),
            gold=_written(rows, "gold", schema, "known answer that was given to"),
        )
    )
    given = rows[rows["label"].notna()]
    if given.empty:
        raise DataError(
            f"None of the {len(rows):,} votes has an answer; all are skips or abstentions.",
            remedy="Wait for answers, or let other rules, models or people vote.",
        )
    standing = given.drop_duplicates(_WHO, keep="last")
    by_crowd = standing[standing["source"] != "adjudicator"]
    items = _items(standing, _gold(rows), _slices(rows), schema)
    numbers = {entity: at for at, entity in enumerate(items["entity"])}
    voters = by_crowd[["rater", "source"]].drop_duplicates().sort_values(["rater", "source"])
    voter_numbers = {pair: at for at, pair in enumerate(voters.itertuples(index=False, name=None))}
    pairs = zip(by_crowd["rater"], by_crowd["source"], strict=True)
    answers = by_crowd.assign(
        item=by_crowd["entity"].map(numbers).to_numpy(dtype=np.int64),
        voter=np.fromiter((voter_numbers[p] for p in pairs), dtype=np.int64, count=len(by_crowd)),
    )
    return VotesRead(
        rows=rows,
        answers=answers.reset_index(drop=True),
        items=items,
        voters=tuple(voters["rater"]),
        sources=tuple(voters["source"]),
        left_out=int(rows["entity"].nunique() - len(items)),
        superseded=len(given) - len(standing),
    )


def _require_version(rows: pd.DataFrame, schema: LabelSchema) -> None:
    found = rows["schema_version"].value_counts()
    if not len(found):
        raise DataError("There are no votes.", remedy="Collect votes first.")
    if list(found.index) == [schema.version]:
        return
    counted = ", ".join(f"'{name}' ({found[name]:,} votes)" for name in sorted(found.index))
    raise DataError(
        f"Votes of different versions of a label schema never mix: the schema that was given is "
        f"version '{schema.version}', the votes are of {counted}.",
        remedy="Aggregate each version by itself, with the schema that was answered; label items "
        "again whose question has changed.",
    )


def _require_names(rows: pd.DataFrame) -> None:
    for what, known in (("source", _SOURCES), ("slice", _SLICES)):
        for name in sorted(set(rows[what])):
            if name not in known:
                raise DataError(
                    f"Votes are of the {what} '{name}'.{did_you_mean(name, known)}",
                    remedy=f"Give each vote one of the {what}s {', '.join(known)}.",
                )


def _require_confidence(rows: pd.DataFrame) -> None:
    sure = rows["confidence"].astype(float)
    wrong = sure.notna() & ~sure.between(0, 1)
    if wrong.any():
        first = rows[wrong].sort_values(_WHO).iloc[0]
        raise DataError(
            f"The vote of '{first['rater']}' about '{first['entity']}' has the confidence "
            f"{first['confidence']:g}, which is not within 0 and 1.",
            remedy="Give probabilities, or null where nobody knows.",
        )


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in an order that their own does not matter to."""
    order = [*_ORDER, *_THEN] if rows.duplicated(_ORDER).any() else _ORDER
    return rows.sort_values(order, kind="stable", ignore_index=True, na_position="first")


def _slices(rows: pd.DataFrame) -> dict[str, int]:
    """Return the slice of each entity: of all that it was ever asked for, skips included."""
    ranks = {name: at for at, name in enumerate(_SLICES)}
    least = rows["slice"].map(ranks).groupby(rows["entity"]).min()
    return dict(zip(least.index, least.tolist(), strict=True))


def _written(rows: pd.DataFrame, column: str, schema: LabelSchema, whose: str) -> list[str | None]:
    """Return answers in their one written form; None where there is none."""
    forms: dict[str, str] = {}
    for given in sorted(rows[column].dropna().unique()):
        try:
            forms[given] = schema.read(given)
        except DataError as error:
            first = rows[rows[column] == given].sort_values(_WHO).iloc[0]
            raise DataError(
                f"The {whose} '{first['rater']}' about '{first['entity']}' cannot be read. "
                f"{error.problem}",
                remedy=error.remedy,
            ) from None
    return [None if value is None else forms[value] for value in rows[column]]


def _gold(rows: pd.DataFrame) -> dict[str, str]:
    known = rows[rows["gold"].notna()][["entity", "gold"]].drop_duplicates()
    twice = known[known["entity"].duplicated(keep=False)].sort_values(["entity", "gold"])
    if len(twice):
        entity = twice["entity"].iloc[0]
        answers = " and ".join(f"'{gold}'" for gold in twice[twice["entity"] == entity]["gold"])
        raise DataError(
            f"The gold item '{entity}' has more than one known answer: {answers}.",
            remedy="Correct the gold labels; an item has one.",
        )
    return dict(zip(known["entity"], known["gold"], strict=True))


def _items(
    standing: pd.DataFrame, gold: dict[str, str], slices: dict[str, int], schema: LabelSchema
) -> pd.DataFrame:
    order = {"person": 0, "adjudicator": 0, "model": 1, "rule": 2}
    facts = standing.assign(source_rank=standing["source"].map(order))
    grouped = facts.groupby("entity", sort=True)
    items = grouped.agg(
        as_of=("as_of", "max"),
        known_at=("voted_at", "max"),
        source_rank=("source_rank", "min"),
        votes=("label", "size"),
        answers=("label", "nunique"),
    ).reset_index()
    differ = (items["answers"] > 1).to_numpy(dtype=bool)
    if schema.kind == "number":  # a call for each item, which the other kinds do without
        differ = grouped["label"].agg(schema.differ).to_numpy(dtype=bool)
    decided = standing[standing["source"] == "adjudicator"].sort_values(
        ["entity", "voted_at", "rater", "label"], kind="stable"
    )
    last = decided.drop_duplicates("entity", keep="last")
    adjudicated = dict(zip(last["entity"], last["label"], strict=True))
    entities = list(items["entity"])
    return items.assign(
        slice=[_SLICES[slices[entity]] for entity in entities],
        source=[("person", "model", "rule")[rank] for rank in items["source_rank"]],
        conflict=differ,
        gold=_objects([gold.get(entity) for entity in entities]),
        adjudicated=_objects([adjudicated.get(entity) for entity in entities]),
    )


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    made = np.empty(len(values), dtype=object)  # a list of texts and None would turn into NaN
    made[:] = values
    return made
