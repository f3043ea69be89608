"""Only decisions whose whole block is mature are evidence, and only what was known by then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from headrace.decisions import DecisionLog, compact
from headrace.errors import ParameterError
from serving.evidence import Block, DesignEffect, Evidence, Totals, collect, evidence_from
from serving.judge import judge
from serving.rule import Rule

RULE = Rule(name="delay-v1", metric="brier", label_window_hours=48, timezone="America/New_York")
# midnight in New York, in summer
FIRST = datetime(2013, 7, 1, 4, tzinfo=UTC)


class Log:
    """The views of a decision log, filled by hand."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute(
            "CREATE TABLE decisions (id TEXT, decided_at TIMESTAMPTZ, model TEXT, score DOUBLE, "
            "experiment TEXT);"
            "CREATE TABLE shadows (id TEXT, model TEXT, score DOUBLE, error TEXT, ms DOUBLE, "
            "experiment TEXT);"
            "CREATE TABLE outcome_history (id TEXT, value DOUBLE, known_at TIMESTAMPTZ, name TEXT, "
            "corrects BOOLEAN, logged INTEGER)"
        )
        self._told = 0

    def decided(self, name: str, hours: float, score: float, model: str = "delay/3") -> None:
        """Add a decision, `hours` after FIRST."""
        self._insert("decisions", name, FIRST + timedelta(hours=hours), model, score, "e1")

    def shadowed(self, name: str, score: float | None, error: str | None = None) -> None:
        """Add a shadow score."""
        self._insert("shadows", name, "delay/4", score, error, 1.0, "e1")

    def known(
        self,
        name: str,
        value: float | None,
        hours: float,
        *,
        outcome: str = "",
        corrects: bool = False,
    ) -> None:
        """Add an outcome, known `hours` after FIRST."""
        self._told += 1
        at = FIRST + timedelta(hours=hours)
        self._insert("outcome_history", name, value, at, outcome, corrects, self._told)

    def whole(self, name: str, hours: float, scores: tuple[float, float], value: float) -> None:
        """Add a decision with its shadow score, and its outcome an hour later."""
        self.decided(name, hours, scores[0])
        self.shadowed(name, scores[1])
        self.known(name, value, hours + 1)

    def evidence(self, days: float, rule: Rule = RULE, **pair: Any) -> Evidence:
        """Collect what is known `days` after FIRST."""
        as_of = FIRST + timedelta(days=days)
        return evidence_from(
            self.connection,
            rule=rule,
            endpoint="flight_delay",
            experiment="e1",
            as_of=as_of,
            **pair,
        )

    def _insert(self, table: str, *row: Any) -> None:
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} VALUES ({marks})", list(row))  # noqa: S608


@pytest.fixture
def log() -> Iterator[Log]:
    with duckdb.connect() as connection:
        yield Log(connection)


def test_a_block_has_counts_mean_losses_and_their_difference(log: Log) -> None:
    log.whole("right", 1, (0.8, 0.9), 1)
    log.whole("wrong", 2, (0.6, 0.5), 0)
    log.decided("unlabelled", 3, 0.5)
    log.shadowed("unlabelled", 0.5)
    log.decided("cancelled", 4, 0.5)
    log.shadowed("cancelled", 0.5)
    log.known("cancelled", None, 5)
    log.decided("failed", 5, 0.5)
    log.shadowed("failed", None, "ValueError: no")
    log.known("failed", 1, 6)
    log.decided("dropped", 6, 0.5)
    log.known("dropped", 1, 7)

    evidence = log.evidence(days=3)

    champion, challenger = (0.2**2 + 0.6**2) / 2, (0.1**2 + 0.5**2) / 2
    assert evidence == Evidence(
        experiment="e1",
        endpoint="flight_delay",
        champion="delay/3",
        challenger="delay/4",
        rule=RULE.hash,
        as_of=FIRST + timedelta(days=3),
        newest=FIRST + timedelta(hours=6),
        blocks=(
            Block(
                start=FIRST,
                decisions=6,
                labelled=4,
                censored=1,
                paired=2,
                shadow_errors=1,
                shadow_missing=1,
                champion_loss=pytest.approx(champion),
                challenger_loss=pytest.approx(challenger),
                z=pytest.approx(champion - challenger),
            ),
        ),
        totals=Totals(
            decisions=6,
            labelled=4,
            censored=1,
            paired=2,
            shadow_errors=1,
            shadow_missing=1,
            unusable=0,
            waiting=0,
            shadow_tried=5,
            shadow_failed=1,
            mixed=0,
        ),
        design=DesignEffect(requests=2, effective=None, request_z=None, block_z=None),
    )
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_day_enters_whole_when_its_last_moment_is_as_old_as_the_label_window(log: Log) -> None:
    log.whole("first thing", 0, (0.8, 0.9), 1)
    log.whole("last thing", 23.9, (0.8, 0.9), 1)
    log.whole("next day", 24, (0.8, 0.9), 1)
    a_moment = 1 / 86_400_000_000

    just_before, then = log.evidence(days=3 - a_moment), log.evidence(days=3)

    assert (just_before.totals.decisions, just_before.totals.waiting) == (0, 3)
    assert (then.totals.decisions, then.totals.waiting) == (2, 1)


def test_days_are_local_and_as_long_as_clocks_make_them(log: Log) -> None:
    """On 3 November 2013 New York's day has 25 hours: it ends at 05:00 UTC on the 4th."""
    before, last = datetime(2013, 11, 3, 4, tzinfo=UTC), datetime(2013, 11, 4, 4, 59, tzinfo=UTC)
    for name, at in (("first", before), ("last", last)):
        log.whole(name, (at - FIRST) / timedelta(hours=1), (0.8, 0.9), 1)
    at_end = (datetime(2013, 11, 6, 5, tzinfo=UTC) - FIRST) / timedelta(days=1)

    assert log.evidence(days=at_end - 1e-6).blocks == ()
    assert [(b.start, b.decisions) for b in log.evidence(days=at_end).blocks] == [(before, 2)]


def test_blocks_may_be_hours(log: Log) -> None:
    hourly = RULE.model_copy(update={"block": "hour"})
    for hours in (0.2, 0.9, 1.0, 5.5):
        log.whole(f"at {hours}", hours, (0.8, 0.9), 1)

    blocks = log.evidence(days=2.25, rule=hourly).blocks

    assert [((b.start - FIRST) / timedelta(hours=1), b.decisions) for b in blocks] == [
        (0, 2),
        (1, 1),
        (5, 1),
    ]


def test_an_outcome_counts_only_when_it_was_known_in_time(log: Log) -> None:
    for name, known in (("in time", 48.5), ("too late", 49.5), ("after as_of", 97.5)):
        log.decided(name, 1, 0.8)
        log.shadowed(name, 0.9)
        log.known(name, 1, known)

    assert log.evidence(days=4).totals.labelled == 1
    assert log.evidence(days=90).totals.labelled == 1


def test_what_became_known_later_does_not_change_what_was_known(log: Log) -> None:
    log.whole("early", 1, (0.8, 0.9), 1)
    before = log.evidence(days=3.5)
    log.whole("late", 30, (0.1, 0.2), 1)
    log.decided("by another", 90, 0.5, model="delay/9")

    assert log.evidence(days=3.5).blocks == before.blocks
    assert log.evidence(days=3.5).totals.mixed == 0


def test_the_first_of_two_outcomes_or_scores_is_used_once(log: Log) -> None:
    log.whole("twice", 1, (0.8, 0.9), 1)
    log.known("twice", 0, 5)
    log.shadowed("twice", None, "first try failed")

    (block,) = log.evidence(days=3).blocks

    assert (block.decisions, block.paired, block.shadow_errors) == (1, 1, 0)
    assert block.champion_loss == pytest.approx(0.04)


def test_a_correction_counts_from_when_it_was_known(log: Log) -> None:
    log.whole("corrected", 1, (0.8, 0.9), 1)
    log.known("corrected", 0, 80, corrects=True)

    (before,), (after,) = (log.evidence(days=days).blocks for days in (80 / 24 - 1e-6, 80 / 24))

    assert (before.champion_loss, before.challenger_loss) == (
        pytest.approx(0.04),
        pytest.approx(0.01),
    )
    assert (after.champion_loss, after.challenger_loss) == (
        pytest.approx(0.64),
        pytest.approx(0.81),
    )


def test_a_correction_makes_no_late_outcome_a_label(log: Log) -> None:
    for name, hours in (("late", 50), ("null in time", 2)):
        log.decided(name, 1, 0.8)
        log.shadowed(name, 0.9)
        log.known(name, None if "null" in name else 1, hours)
        log.known(name, 0, 60, corrects=True)

    totals = log.evidence(days=30).totals

    assert (totals.decisions, totals.labelled, totals.censored) == (2, 0, 1)


def test_a_value_that_is_taken_back_is_no_label(log: Log) -> None:
    log.whole("taken back", 1, (0.8, 0.9), 1)
    log.known("taken back", None, 4, corrects=True)

    totals = log.evidence(days=3).totals

    assert (totals.labelled, totals.censored) == (0, 1)


def test_the_label_is_the_outcome_that_the_rule_names(log: Log) -> None:
    log.whole("one", 1, (0.8, 0.9), 1)
    log.known("one", 0, 2, outcome="diverted")

    by_name = {
        name: log.evidence(days=3, rule=RULE.model_copy(update={"outcome": name})).blocks[0]
        for name in ("", "diverted", "unheard")
    }

    assert by_name[""].champion_loss == pytest.approx(0.04)
    assert by_name["diverted"].champion_loss == pytest.approx(0.64)
    assert by_name["unheard"].labelled == 0


def test_scores_and_outcomes_that_a_metric_cannot_take_do_not_count(log: Log) -> None:
    log.whole("champion nan", 1, (math.nan, 0.5), 1)
    log.whole("champion is no probability", 2, (1.5, 0.5), 1)
    log.whole("outcome is no class", 3, (0.5, 0.5), 0.5)
    log.whole("challenger nan", 4, (0.5, math.nan), 1)
    log.whole("challenger is no probability", 5, (0.5, -0.1), 1)

    totals = log.evidence(days=3).totals

    assert (totals.paired, totals.unusable, totals.shadow_failed) == (0, 3, 2)


@pytest.mark.parametrize(
    ("fields", "score", "outcome", "loss"),
    [
        pytest.param({"metric": "log_loss"}, 0.25, 1, -math.log(0.25), id="log loss"),
        pytest.param({"metric": "log_loss"}, 0.25, 0, -math.log(0.75), id="log loss of a 0"),
        pytest.param({"metric": "log_loss"}, 0.0, 1, -math.log(1e-6), id="certain and wrong"),
        pytest.param({"metric": "log_loss", "clip": 2.0}, 0.01, 1, 2.0, id="clipped"),
        pytest.param({"metric": "brier"}, 0.25, 1, 0.5625, id="brier"),
        pytest.param({"metric": "mae"}, 12.0, -3.0, 15.0, id="mae"),
        pytest.param({"metric": "mse"}, 12.0, -3.0, 225.0, id="mse"),
    ],
)
def test_the_loss_is_the_metrics(log: Log, fields, score, outcome, loss) -> None:
    rule = Rule(**(RULE.document() | fields))
    log.whole("one", 1, (score, score), outcome)

    (block,) = log.evidence(days=3, rule=rule).blocks

    assert (block.champion_loss, block.z) == (pytest.approx(loss), 0.0)


def test_the_effect_asked_for_is_taken_off_the_champions_loss(log: Log) -> None:
    log.whole("one", 1, (0.5, 0.4), 0)

    (block,) = log.evidence(days=3, rule=RULE.model_copy(update={"min_effect": 0.1})).blocks

    assert block.z == pytest.approx(0.9 * 0.25 - 0.16)


def test_other_experiments_are_not_read_and_other_models_are_counted(log: Log) -> None:
    log.whole("ours", 1, (0.8, 0.9), 1)
    log.whole("ours too", 2, (0.8, 0.9), 1)
    log.decided("fallback", 3, 0.5, model="delay/1")
    log.connection.execute(
        "INSERT INTO decisions SELECT 'x', decided_at, 'y', 0.5, 'e0' FROM decisions"
    )

    evidence = log.evidence(days=3)

    assert (evidence.champion, evidence.challenger) == ("delay/3", "delay/4")
    assert (evidence.totals.decisions, evidence.totals.mixed) == (3, 1)
    assert log.evidence(days=3, champion="delay/1").totals.mixed == 2


def test_an_empty_log_is_evidence_of_nothing(log: Log) -> None:
    evidence = log.evidence(days=30)

    assert (evidence.champion, evidence.challenger, evidence.newest) == (None, None, None)
    assert evidence.blocks == ()
    assert judge(RULE, evidence).action == "hold"


def test_a_moment_without_a_zone_is_refused(log: Log) -> None:
    with pytest.raises(ParameterError) as caught:
        evidence_from(
            log.connection,
            rule=RULE,
            endpoint="flight_delay",
            experiment="e1",
            as_of=datetime(2013, 8, 1),
        )

    assert str(caught.value) == (
        "The argument 'as_of' is 2013-08-01T00:00:00, a time without a zone.\n"
        "  Fix: say the zone, for example datetime(2013, 8, 1, tzinfo=UTC)."
    )


def _traffic(log: Log, *, days: int, a_day: int, late_days: float, better: float = 0.0) -> None:
    """Add a log in which positives are known at once and negatives `late_days` later.

    With `better` 0 both models have a Brier score of 0.22: the base rate is 0.3, the champion says
    0.2 and the challenger 0.4. Else the champion says 0.5, and the challenger is that much nearer
    to the truth, or about as much.
    """
    random = np.random.default_rng(11)
    rows = days * a_day
    rate = np.repeat(random.beta(30, 70, size=days), a_day)
    value = (random.random(rows) < rate).astype(float)
    at = FIRST + pd.to_timedelta(np.arange(rows) / a_day, "D")
    noise = random.normal(0, 0.02, size=(2, rows))
    nearer = better + noise[0]
    frame = pd.DataFrame(
        {
            "id": [f"d{n:05}" for n in range(rows)],
            "decided_at": at,
            "champion": np.full(rows, 0.5) if better else 0.2 + noise[1],
            "challenger": 0.5 + np.where(value == 1, nearer, -nearer) if better else 0.4 + noise[0],
            "value": value,
            "known_at": at + pd.to_timedelta(np.where(value == 1, 0.1, late_days), "D"),
        }
    )
    log.connection.register("frame", frame)
    log.connection.execute(
        "INSERT INTO decisions SELECT id, decided_at, 'delay/3', champion, 'e1' FROM frame;"
        "INSERT INTO shadows SELECT id, 'delay/4', challenger, NULL, 1.0, 'e1' FROM frame;"
        "INSERT INTO outcome_history SELECT id, value, known_at, '', FALSE, 1 FROM frame"
    )


def _action(log: Log, day: float, **fields: Any) -> str:
    rule = Rule(**(RULE.document() | {"min_decisions": 100} | fields))
    return judge(rule, log.evidence(days=day, rule=rule)).action


def test_labels_taken_as_they_land_would_promote_an_equal_challenger(log: Log) -> None:
    """The control is a label window that ends before negatives are known."""
    _traffic(log, days=60, a_day=60, late_days=10)
    looks = range(22, 61, 6)

    mature = {_action(log, day, label_window_hours=241) for day in looks}
    as_they_land = {_action(log, day, label_window_hours=12, min_coverage=0.0) for day in looks}
    by_default = {_action(log, day, label_window_hours=12) for day in looks}

    assert mature == {"hold"}
    assert as_they_land == {"promote"}
    assert by_default == {"hold"}


def test_a_clearly_better_challenger_is_promoted_from_the_log(log: Log) -> None:
    _traffic(log, days=40, a_day=60, late_days=1, better=0.05)

    assert _action(log, 21) == "hold"
    assert _action(log, 40) == "promote"


def test_the_design_effect_says_what_requests_would_pretend(log: Log) -> None:
    _traffic(log, days=60, a_day=60, late_days=1)
    evidence = log.evidence(days=63)
    values = [block.z for block in evidence.blocks if block.z is not None]

    design = evidence.design

    by_block = np.mean(values) / (np.std(values, ddof=1) / math.sqrt(60))
    assert design.requests == 3600
    assert design.block_z == pytest.approx(by_block)
    assert design.effective is not None
    assert 500 < design.effective < 3600


def _us(hours: float) -> int:
    return round((FIRST + timedelta(hours=hours)).timestamp() * 1e6)


def test_evidence_is_collected_from_an_endpoints_log_compacted_or_not(tmp_path: Path) -> None:
    log = DecisionLog.open(tmp_path, writer="test")
    columns = log.columns(["wind"])
    decision = {"kind": "decision", "columns": columns, "features": [1.0], "experiment": "e1"}
    shadow = {"kind": "shadow", "model": "delay/4", "ms": 0.5, "experiment": "e1"}
    for number, (champion, challenger, value) in enumerate(
        [(0.8, 0.9, 1.0), (0.6, 0.5, 0.0), (0.5, 0.5, None), (0.5, math.nan, 1.0)]
    ):
        when = {"id": f"d{number}", "logged": number}
        log.append(
            [
                decision | when | {"at": _us(number), "model": "delay/3", "score": champion},
                shadow | when | {"score": challenger},
                {"kind": "outcome", "known_at": _us(number + 1), "value": value} | when,
            ]
        )
    asked: Any = {"rule": RULE, "endpoint": "flight_delay", "experiment": "e1"}
    asked["as_of"] = FIRST + timedelta(days=3)
    fresh = collect(tmp_path, **asked)
    log.close()

    compact(tmp_path)

    assert collect(tmp_path, **asked) == fresh
    (block,) = fresh.blocks
    assert (block.decisions, block.labelled, block.censored, block.paired) == (4, 3, 1, 2)
    assert (block.shadow_errors, block.shadow_missing) == (1, 0)
    assert block.z == pytest.approx((0.2**2 + 0.6**2 - 0.1**2 - 0.5**2) / 2)
