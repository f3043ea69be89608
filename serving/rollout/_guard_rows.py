"""This module reads an experiment's decisions for its guardrails: scores, outcomes, blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving._block_spans import Flags, Times, Vector, block_spans
from serving._losses import takes_outcome, takes_score
from serving.rollout._log_copy import LogCopy
from serving.rollout.guardrails import subject
from serving.rollout.state import RolloutState
from serving.rule import Rule

if TYPE_CHECKING:
    import pyarrow as pa

MEMBERS = "(d.experiment = $experiment OR list_contains(d.experiments, $experiment))"
"""Whether a decision `d` belongs to an experiment, the first one or another beside it."""
NONE = "(none)"
"""The slice of decisions that have no value."""
_US_PER_HOUR = 3_600_000_000

# What was known before a decision is known, and no outcome of it: it says nothing of a model.
# A model's score of a decision is the same in every comparison that it is in, so that of any will
# do. Rows come in order so that sums are the same to the last bit every time.
_ROWS = """
WITH known AS ({known}), scored AS (
    SELECT id, min(score) FILTER (model = $subject) AS subject,
        min(score) FILTER (model = $other) AS other
    FROM shadows WHERE model IN ($subject, $other) GROUP BY id
)
SELECT
    epoch_us(d.decided_at) AS at_us,
    d.model AS model,
    d.assigned AS assigned,
    coalesce(d.unit, d.id) AS unit,
    CASE WHEN d.model = $subject THEN d.score ELSE s.subject END AS subject,
    CASE WHEN d.model = $other THEN d.score ELSE s.other END AS other,
    d.score AS answered,
    k.id IS NOT NULL AS known,
    k.id IS NOT NULL AND (k.value IS NULL OR NOT {in_time}) AS censored,
    CASE WHEN {in_time} AND k.first_us >= epoch_us(d.decided_at) THEN k.value END AS outcome
    {more}
FROM decisions d
LEFT JOIN scored s ON s.id = d.id
LEFT JOIN known k
    ON k.id = d.id AND k.name = $outcome AND k.first_us <= epoch_us(d.decided_at) + $window
WHERE {members} AND epoch_us(d.decided_at) <= $as_of
ORDER BY d.decided_at, d.id
"""
_IN_TIME = "coalesce(k.value_us <= epoch_us(d.decided_at) + $window, FALSE)"


@dataclass(frozen=True, kw_only=True)
class Look:
    """This is one look at an experiment.

    Args:
        log: What is read of the log.
        rule: What an outcome and a block are.
        state: Whose experiment it is, and where the challenger stands.
        as_of_us: The moment whose knowledge is used, in microseconds since 1970.
    """

    log: LogCopy
    rule: Rule
    state: RolloutState
    as_of_us: int

    @property
    def subject(self) -> str:
        """Whose guardrails they are."""
        return subject(self.state)

    @property
    def other(self) -> str:
        """The model that it is compared with."""
        is_champion = self.subject == self.state.champion
        return self.state.challenger if is_champion else self.state.champion

    @cached_property
    def rows(self) -> Rows:
        """The decisions of closed blocks, with a column for each slice, read once."""
        more = [f", coalesce(d.slice{n}, '{NONE}') AS slice{n}" for n in range(len(self.slices))]
        return rows_of(self, more="".join(more))

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns of the entity or of the features by which `rows` has slices, in order."""
        return self.log.slices

    def read(self, query: str, *, whole: bool = False, **asked: Any) -> pa.Table:
        """Return what a query gives; `$experiment` and `$as_of` are filled in.

        Args:
            query: SQL; "{members}" in it is `MEMBERS`.
            whole: Whether it needs columns that were not copied, such as `features`.
            asked: Its other parameters.
        """
        asked |= {"experiment": self.state.experiment, "as_of": self.as_of_us}
        connection = self.log.whole if whole else self.log.narrow
        return connection.sql(query.replace("{members}", MEMBERS), params=asked).to_arrow_table()


@dataclass(frozen=True, kw_only=True)
class Rows:
    """These are the decisions of an experiment in closed blocks, in the order they were made.

    Args:
        table: The rows as they were read.
        block: Number of the block of each.
        outcome: What is known of each; NaN where nothing counts.
        subject: The score of whom the guardrails are of; NaN where there is none to use.
        other: The score of the model that it is compared with, likewise.
        known: Whether something was known in time, or is taken for known.
    """

    table: pa.Table
    block: npt.NDArray[np.intp]
    outcome: Vector
    subject: Vector
    other: Vector
    known: Flags

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of the table."""
        return self.table.column(name)

    def is_in(self, name: str, value: str) -> Flags:
        """Return where a text column has a value."""
        import pyarrow.compute as pc

        equal = pc.fill_null(pc.equal(self.column(name), value), False)
        found: Flags = equal.to_numpy().astype(bool)
        return found

    def numbered(self, name: str) -> tuple[npt.NDArray[np.intp], list[Any]]:
        """Return the number of each row's value in a column, and the values; nulls are -1."""
        import pyarrow.compute as pc

        encoded = self.column(name).combine_chunks().dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.intp)
        return codes, encoded.dictionary.to_pylist()


def rows_of(look: Look, *, more: str = "", whole: bool = False) -> Rows:
    """Return the decisions of closed blocks: mature ones, with all of their block.

    Args:
        look: The look; its own `rows` will do where nothing else is needed.
        more: Further columns, as SQL that begins with a comma.
        whole: Whether these are of columns that were not copied.
    """
    rule = look.rule
    window = round(rule.label_window_hours * _US_PER_HOUR)
    asked = {"subject": look.subject, "other": look.other}
    query = _ROWS.replace("{known}", look.log.known)
    query = query.replace("{in_time}", _IN_TIME).replace("{more}", more)
    table = look.read(query, whole=whole, window=window, outcome=rule.outcome, **asked)
    at_us: Times = table.column("at_us").to_numpy().astype(np.int64)
    block, closed = _blocks(at_us, rule, look.as_of_us - window)
    table = table.filter(closed)
    known, outcome = _outcomes(table, rule)
    return Rows(
        table=table,
        block=block[closed],
        outcome=outcome,
        subject=_scores(table, "subject", rule),
        other=_scores(table, "other", rule),
        known=known,
    )


def _blocks(at_us: Times, rule: Rule, mature_us: int) -> tuple[npt.NDArray[np.intp], Flags]:
    """Return the block of each decision, and whether it is closed."""
    if rule.block == "count":
        size = rule.block_size or 1
        index = np.arange(at_us.size) // size
        whole = (index + 1) * size <= at_us.size
        last = np.minimum((index + 1) * size, max(at_us.size, 1)) - 1
        return index.astype(np.intp), whole & (at_us[last] <= mature_us)
    spans = block_spans(at_us, rule)
    return spans.index, spans.ends[spans.index] <= mature_us


def _outcomes(table: pa.Table, rule: Rule) -> tuple[Flags, Vector]:
    known = table.column("known").to_numpy().astype(bool)
    censored = table.column("censored").to_numpy().astype(bool)
    outcome = numbers(table, "outcome")
    if rule.missing_outcomes == "zero":
        outcome = np.where(known, outcome, 0.0)
    outcome = np.where(censored | ~takes_outcome(outcome, rule), np.nan, outcome)
    return known, outcome


def _scores(table: pa.Table, name: str, rule: Rule) -> Vector:
    scores = numbers(table, name)
    return np.where(takes_score(scores, rule), scores, np.nan)


def numbers(table: pa.Table, name: str) -> Vector:
    """Return a column as floats, NaN where it is null."""
    import pyarrow as pa

    column = table.column(name).cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def names_in(look: Look, columns: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the names that occur in maps of the log, by the map.

    Args:
        look: The look.
        columns: The maps: "entity", "texts", "features".
    """
    found = {}
    for column in columns:
        query = (
            f"SELECT DISTINCT unnest(map_keys(d.{column})) AS name FROM decisions d "  # noqa: S608
            "WHERE {members} AND epoch_us(d.decided_at) <= $as_of"
        )
        found[column] = set(map(str, look.read(query, whole=True).column("name").to_pylist()))
    return found
