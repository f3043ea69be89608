"""This module collects the evidence for a rule from the decision log: mature decisions, in blocks.

A decision enters when it is as old as the rule's label window, in the order in which decisions were
made, and with the whole of its block: never sooner because its outcome happens to be there. Taking
labels as they land would favour whichever model is better on the outcomes that come first.

An outcome counts with the value that was known at the moment whose knowledge is used: a correction
known by then takes the place of what it corrects, one known later does not. What was first known
after the rule's window is no label, whatever is said of it then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import ParameterError
from serving._blocks import Arrays, Flags, block_spans, blocks_of, design_effect
from serving._evidence_document import Block, DesignEffect, Evidence, Totals
from serving._outcomes_known import known_outcomes
from serving.rule import Rule

if TYPE_CHECKING:
    import duckdb

__all__ = ["Block", "DesignEffect", "Evidence", "Totals", "collect", "evidence_from"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Times are compared as whole microseconds: that needs no time zone database in DuckDB. Rows come
# in order so that sums, and with them the evidence, are the same to the last bit every time.
_DECISIONS = """
WITH scored AS (
    SELECT id, min(score) AS score FROM shadows
    WHERE experiment = $experiment AND model = $challenger GROUP BY id
), known AS ({known})
SELECT
    epoch_us(d.decided_at) AS at_us,
    CASE WHEN d.model = $champion THEN coalesce(d.score, 'nan'::DOUBLE) ELSE 'nan'::DOUBLE END
        AS champion,
    s.id IS NOT NULL AS shadowed,
    coalesce(s.score, 'nan'::DOUBLE) AS challenger,
    k.id IS NOT NULL AS known,
    k.id IS NOT NULL AND (k.value IS NULL OR NOT {in_time}) AS censored,
    CASE WHEN {in_time} THEN coalesce(k.value, 'nan'::DOUBLE) ELSE 'nan'::DOUBLE END AS outcome
FROM decisions d
LEFT JOIN scored s ON s.id = d.id
LEFT JOIN known k
    ON k.id = d.id AND k.name = $outcome AND k.first_us <= epoch_us(d.decided_at) + $window
WHERE d.experiment = $experiment AND epoch_us(d.decided_at) <= $as_of
ORDER BY d.decided_at, d.id
"""
# Whoever says "never known" in time and a value later was late with it: otherwise what happens to
# be known by now would have a label, and what is decided now would have none.
_IN_TIME = "coalesce(k.value_us <= epoch_us(d.decided_at) + $window, FALSE)"
_MODELS = """
SELECT d.model AS champion, s.model AS challenger, count(DISTINCT d.id) AS uses
FROM decisions d LEFT JOIN shadows s ON s.id = d.id AND s.experiment = d.experiment
WHERE d.experiment = $experiment AND epoch_us(d.decided_at) <= $as_of
GROUP BY ALL
"""


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """These are the models of an experiment, and how many records name another."""

    champion: str | None
    challenger: str | None
    mixed: int


def collect(
    folder: Path,
    *,
    rule: Rule,
    endpoint: str,
    experiment: str,
    as_of: datetime,
    champion: str | None = None,
    challenger: str | None = None,
) -> Evidence:
    """Return the evidence of an experiment from an endpoint's decision log.

    Args:
        folder: The log's folder.
        rule: What it will be judged by; it says how losses and blocks are made.
        endpoint: Name of the endpoint, for the record.
        experiment: Id of the experiment; decisions of others are not read.
        as_of: The moment, aware, whose knowledge is used: nothing that became known later.
        champion: The model that answers, such as "flight_delay/3". None takes the one with the most
            decisions; any other then shows as mixed, which no rule promotes on.
        challenger: The model in shadow; None likewise.

    Raises:
        ParameterError: `as_of` has no zone.
    """
    from headrace.decisions import open_view

    with open_view(folder) as connection:
        return evidence_from(
            connection,
            rule=rule,
            endpoint=endpoint,
            experiment=experiment,
            as_of=as_of,
            champion=champion,
            challenger=challenger,
        )


def evidence_from(
    connection: duckdb.DuckDBPyConnection,
    *,
    rule: Rule,
    endpoint: str,
    experiment: str,
    as_of: datetime,
    champion: str | None = None,
    challenger: str | None = None,
) -> Evidence:
    """Return the evidence from a connection with the views decisions, shadows and outcomes.

    Args:
        connection: Views as `headrace.decisions.open_view` makes them.
        rule: As for `collect`, and so are the others.
        endpoint: Name of the endpoint.
        experiment: Id of the experiment.
        as_of: The moment whose knowledge is used.
        champion: The model that answers, or None.
        challenger: The model in shadow, or None.

    Raises:
        ParameterError: `as_of` has no zone.
    """
    moment = _microseconds(as_of)
    asked: dict[str, Any] = {"experiment": experiment, "as_of": moment}
    pair = _pair(connection.execute(_MODELS, asked).fetchall(), champion, challenger)
    asked |= {"champion": pair.champion, "challenger": pair.challenger}
    asked["window"] = round(rule.label_window_hours * 3_600_000_000)
    asked["outcome"] = rule.outcome
    query = _DECISIONS.format(known=known_outcomes(connection), in_time=_IN_TIME)
    rows = connection.execute(query, asked).fetchnumpy()
    arrays = Arrays.of({name: np.ma.filled(column) for name, column in rows.items()}, rule)
    spans = block_spans(arrays.at_us, rule)
    closed = spans.ends + asked["window"] <= moment
    blocks = blocks_of(arrays, spans, closed, rule)
    inside = closed[spans.index]
    newest = _moment_of(int(arrays.at_us[inside].max())) if inside.any() else None
    return Evidence(
        experiment=experiment,
        endpoint=endpoint,
        champion=pair.champion,
        challenger=pair.challenger,
        rule=rule.hash,
        as_of=_moment_of(moment),
        newest=newest,
        totals=_totals(blocks, arrays, inside, mixed=pair.mixed),
        design=design_effect(arrays, inside, blocks, rule),
        blocks=blocks,
    )


def _pair(
    uses: list[tuple[str | None, str | None, int]], champion: str | None, challenger: str | None
) -> _Pair:
    def most_used(place: int) -> str | None:
        counts: dict[str, int] = {}
        for use in uses:
            if isinstance(name := use[place], str):
                counts[name] = counts.get(name, 0) + use[2]
        return min(counts, key=lambda name: (-counts[name], name), default=None)

    champion, challenger = champion or most_used(0), challenger or most_used(1)
    return _Pair(
        champion=champion,
        challenger=challenger,
        mixed=sum(n for a, b, n in uses if a != champion or b not in (challenger, None)),
    )


def _totals(blocks: tuple[Block, ...], arrays: Arrays, inside: Flags, *, mixed: int) -> Totals:
    return Totals(
        decisions=sum(block.decisions for block in blocks),
        labelled=sum(block.labelled for block in blocks),
        censored=sum(block.censored for block in blocks),
        paired=sum(block.paired for block in blocks),
        shadow_errors=sum(block.shadow_errors for block in blocks),
        shadow_missing=sum(block.shadow_missing for block in blocks),
        unusable=int((arrays.unusable & inside).sum()),
        waiting=int((~inside).sum()),
        shadow_tried=int(arrays.shadowed.sum()),
        shadow_failed=int(arrays.shadow_failed.sum()),
        mixed=mixed,
    )


def _microseconds(moment: datetime) -> int:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ParameterError(
            f"The argument 'as_of' is {moment.isoformat()}, a time without a zone.",
            remedy="say the zone, for example "
            f"datetime({moment.year}, {moment.month}, {moment.day}, tzinfo=UTC).",
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
