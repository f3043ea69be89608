"""This module collects the evidence for a rule from the decision log: mature decisions, in blocks.

A decision enters when it is as old as the rule's label window, in the order in which decisions were
made, and with the whole of its block: never sooner because its outcome happens to be there. Taking
labels as they land would favour whichever model is better on the outcomes that come first.

A paired design compares both models on every decision: who answered logged its score, and the other
one scored it in shadow. A randomised design compares what was dealt to each, see `serving._arms`.

An outcome counts with the value that was known at the moment whose knowledge is used: a correction
known by then takes the place of what it corrects, one known later does not. What was first known
after the rule's window is no label, whatever is said of it then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import ParameterError
from serving._arms import Compared, Dealt, compare_arms, left_out
from serving._blocks import Arrays, Flags, Times, blocks_of, design_effect, spans_of
from serving._evidence_document import Arm, Block, DesignEffect, Evidence, Totals
from serving._evidence_rows import Rows, read_rows
from serving._losses import takes_score
from serving._pair_of_models import Pair, pair_of_models
from serving.rule import Rule

if TYPE_CHECKING:
    import duckdb

__all__ = ["Arm", "Block", "DesignEffect", "Evidence", "Totals", "collect", "evidence_from"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    in_shadow: bool = False,
    known: str | None = None,
) -> Evidence:
    """Return the evidence from a connection with the views decisions, shadows and outcomes.

    Args:
        connection: Views as `headrace.decisions.open_view` makes them.
        rule: As for `collect`, and so are the others.
        endpoint: Name of the endpoint.
        experiment: Id of the experiment.
        as_of: The moment whose knowledge is used.
        champion: The model that answers, or None.
        challenger: The model that is compared with it, or None.
        in_shadow: Whether to compare in pairs whatever the rule's design: after a promotion the old
            champion answers nobody, and shadow scores are all there is.
        known: SQL of what was known at the moment of the rule's outcome, where somebody has it
            ready; None asks the log's history.

    Raises:
        ParameterError: `as_of` has no zone.
    """
    moment = moment_us(as_of)
    pair = pair_of_models(
        connection,
        experiment=experiment,
        as_of_us=moment,
        champion=champion,
        challenger=challenger,
    )
    asked: dict[str, Any] = {
        "experiment": experiment,
        "as_of": moment,
        "champion": pair.champion,
        "challenger": pair.challenger,
        "window": round(rule.label_window_hours * 3_600_000_000),
        "outcome": rule.outcome,
    }
    arms = rule.design == "randomised" and not in_shadow
    rows = read_rows(connection, rule, asked, arms=arms, known=known)
    known_until = moment - asked["window"]
    found = (_randomised if arms else _paired)(rows, rule, pair, known_until)
    return Evidence(
        experiment=experiment,
        endpoint=endpoint,
        champion=pair.champion,
        challenger=pair.challenger,
        rule=rule.hash,
        as_of=_moment_of(moment),
        **found,
    )


def _paired(rows: Rows, rule: Rule, pair: Pair, known_until: int) -> dict[str, Any]:
    """Return what both models' scores of the same decisions say."""
    arrays = Arrays.of(rows, rule)
    spans = spans_of(arrays, rule, known_until=known_until)
    closed = spans.ends <= known_until
    blocks = blocks_of(arrays, spans, closed, rule)
    inside = closed[spans.index]
    odd = {
        "known before the decision": int((rows["early"].astype(bool) & inside).sum()),
        "without a score of the champion": int((rows["unmirrored"].astype(bool) & inside).sum()),
    }
    if rule.metric == "ndcg":
        odd["in no list"] = int(((arrays.lists < 0) & inside).sum())
    return {
        "newest": _newest(arrays.at_us, inside),
        "totals": _totals(
            blocks,
            unusable=int((arrays.unusable & inside).sum()),
            waiting=int((~inside).sum()),
            shadow_tried=int(arrays.shadowed.sum()),
            shadow_failed=int(arrays.shadow_failed.sum()),
            mixed=pair.mixed,
        ),
        "design": design_effect(arrays, inside, blocks, rule),
        "blocks": blocks,
        "odd": _there(odd),
    }


def _randomised(rows: Rows, rule: Rule, pair: Pair, known_until: int) -> dict[str, Any]:
    """Return what became of what was dealt to either model."""
    dealt = Dealt.of(rows, rule)
    models = (pair.champion or "", pair.challenger or "")
    found: Compared = compare_arms(dealt, rule, models=models, known_until=known_until)
    inside = found.inside
    tried = rows["shadowed"].astype(bool)
    failed = tried & ~takes_score(rows["challenger"].astype(np.float64), rule)
    early = rows["early"].astype(bool) & (rows["at_us"] <= known_until)
    new = sum(block.labelled for block in found.blocks) - int((dealt.unusable & inside).sum())
    odd = left_out(rows, rule, known_until) | {
        "known before the decision": int(early.sum()),
        "of units that counted before": new - sum(block.paired for block in found.blocks),
    }
    return {
        "newest": _newest(dealt.at_us, inside),
        "totals": _totals(
            found.blocks,
            unusable=int((dealt.unusable & inside).sum()),
            waiting=int((~inside).sum()),
            shadow_tried=int(tried.sum()),
            shadow_failed=int(failed.sum()),
            mixed=pair.mixed,
        ),
        "design": found.design,
        "blocks": found.blocks,
        "arms": found.arms,
        "removed": found.removed,
        "odd": _there(odd),
    }


def _totals(blocks: tuple[Block, ...], **others: int) -> Totals:
    return Totals(
        decisions=sum(block.decisions for block in blocks),
        labelled=sum(block.labelled for block in blocks),
        censored=sum(block.censored for block in blocks),
        paired=sum(block.paired for block in blocks),
        shadow_errors=sum(block.shadow_errors for block in blocks),
        shadow_missing=sum(block.shadow_missing for block in blocks),
        filled=sum(block.filled for block in blocks),
        **others,
    )


def _newest(at_us: Times, inside: Flags) -> datetime | None:
    return _moment_of(int(at_us[inside].max())) if inside.any() else None


def _there(odd: Mapping[str, int]) -> dict[str, int]:
    return {what: count for what, count in odd.items() if count}


def moment_us(moment: datetime) -> int:
    """Return the moment whose knowledge is asked for, in microseconds since 1970.

    Raises:
        ParameterError: It has no zone.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ParameterError(
            f"The argument 'as_of' is {moment.isoformat()}, a time without a zone.",
            remedy="say the zone, for example "
            f"datetime({moment.year}, {moment.month}, {moment.day}, tzinfo=UTC).",
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
