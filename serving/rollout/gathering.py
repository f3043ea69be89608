"""This module gathers all that a ruling rests on from an endpoint's decision log, read once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.clock import as_us
from serving._evidence_rows import MEMBER, decisions_of
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule

if TYPE_CHECKING:
    import duckdb

_ANSWERED = """
SELECT count(DISTINCT id) FROM ({decisions})
WHERE {member} AND model = $challenger
    AND epoch_us(decided_at) >= $since AND epoch_us(decided_at) <= $as_of
"""


def gather(
    folder: Path,
    *,
    rule: Rule,
    state: RolloutState,
    as_of: datetime,
    live: Mapping[str, Any] | None = None,
) -> Gathered:
    """Return the comparison, the guardrails' figures, and what the challenger answered.

    In a watch the evidence's champion is the new one and its challenger the old one, who scores in
    shadow what the new one answers: its advantage is above 0 where it is the better one. It answers
    nobody, so that a randomised rule is watched in pairs too; where the metric is the outcome
    itself, there is nothing to compare, and the blocks only count.

    Args:
        folder: The endpoint's decision log; where there is none, nothing is known.
        rule: What it will be judged by.
        state: Where the challenger stands.
        as_of: The moment, aware, whose knowledge is used: nothing that became known later.
        live: What the lane counted of the guarded model, see `serving.rollout.live_counts`; None
            where nobody did, and the log alone is counted.

    Raises:
        ParameterError: `as_of` has no zone.
        DamagedArtifactError: A record of the log is damaged.
    """
    from headrace.decisions import open_view
    from serving.evidence import evidence_from, moment_us
    from serving.rollout.guard_figures import guard_figures, log_copy

    moment = moment_us(as_of)
    with (
        open_view(folder) as connection,
        log_copy(connection, rule=rule, state=state, as_of_us=moment) as log,
    ):
        primary = evidence_from(
            # what was known before an experiment, or is a feature, is not copied
            log.narrow if rule.covariate is None else log.whole,
            rule=rule,
            endpoint=state.endpoint,
            experiment=state.experiment,
            as_of=as_of,
            champion=state.champion,
            challenger=state.challenger,
            in_shadow=state.stage == "watch",
            known=log.known,
        )
        figures = guard_figures(log, rule=rule, state=state, as_of_us=moment, live=live)
        answered = _answered(log.narrow, state, moment)
    return Gathered(as_of=primary.as_of, primary=primary, figures=figures, answered=answered)


def _answered(connection: duckdb.DuckDBPyConnection, state: RolloutState, as_of_us: int) -> int:
    """Return how many decisions the challenger answered itself since its share was changed.

    What it was dealt and the champion answered in its stead tells nothing of it.
    """
    query = _ANSWERED.format(decisions=decisions_of(connection), member=MEMBER)
    asked = {
        "experiment": state.experiment,
        "challenger": state.challenger,
        "since": as_us(state.since),
        "as_of": as_of_us,
    }
    row = connection.execute(query, asked).fetchone()
    return 0 if row is None else int(row[0])
