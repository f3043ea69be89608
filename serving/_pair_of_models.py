"""This module finds out which two models an experiment compares, from the log alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving._evidence_rows import MEMBER, decisions_of

if TYPE_CHECKING:
    import duckdb

# Of those who could have answered the champion is the first. Whoever could have is no stranger,
# even where a decision is part of several experiments.
_MODELS = """
WITH mine AS (
    SELECT * FROM ({decisions}) WHERE {member} AND epoch_us(decided_at) <= $as_of
)
SELECT
    d.model,
    s.model,
    d.candidates[1],
    CASE WHEN len(d.candidates) = 2 THEN d.candidates[2] END,
    coalesce(list_contains(d.candidates, d.model), FALSE),
    count(DISTINCT d.id)
FROM mine d LEFT JOIN shadows s ON s.id = d.id AND s.experiment = $experiment
GROUP BY ALL
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """These are the models of an experiment, and how many records name another.

    Args:
        champion: As "name/3"; None where nobody answered.
        challenger: As "name/4"; None where nobody is compared.
        mixed: Decisions and shadow scores by neither of them, nor by another who could answer.
    """

    champion: str | None
    challenger: str | None
    mixed: int


def pair_of_models(
    connection: duckdb.DuckDBPyConnection,
    *,
    experiment: str,
    as_of_us: int,
    champion: str | None,
    challenger: str | None,
) -> Pair:
    """Return the pair of an experiment; who is not named is who is there most often.

    Args:
        connection: With the views that `headrace.decisions.open_view` makes.
        experiment: Id of the experiment.
        as_of_us: The last moment of decisions, in microseconds since 1970.
        champion: Who it is, or None.
        challenger: Likewise.
    """
    query = _MODELS.format(decisions=decisions_of(connection), member=MEMBER)
    uses = connection.execute(query, {"experiment": experiment, "as_of": as_of_us}).fetchall()
    champion = champion or _most((row[2], row[5]) for row in uses)
    champion = champion or _most((row[0], row[5]) for row in uses)
    challenger = challenger or _most((row[1], row[5]) for row in uses if row[1] != champion)
    challenger = challenger or _most((row[3], row[5]) for row in uses if row[3] != champion)
    mixed = 0
    for answered, scored, _, _, could, count in uses:
        stranger = answered not in (champion, challenger) and not could
        mirrored = scored == champion and answered != champion
        if stranger or (scored not in (challenger, None) and not mirrored):
            mixed += count
    return Pair(champion=champion, challenger=challenger, mixed=mixed)


def _most(counts: Iterable[tuple[Any, int]]) -> str | None:
    total: dict[str, int] = {}
    for name, count in counts:
        if isinstance(name, str):
            total[name] = total.get(name, 0) + count
    return min(total, key=lambda name: (-total[name], name), default=None)
