"""Every metric has its figure and its blocks; above 0 is where the challenger is better."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from serving.judge import judge
from serving.rule import Rule


def _rule(**fields: Any) -> Rule:
    return Rule(**{"name": "r", "metric": "mse", "label_window_hours": 1, **fields})


def _pair(log: Any, name: str, hours: float, scores: Any, value: Any) -> None:
    log.decided(name, hours, scores[0])
    log.shadowed(name, scores[1])
    if value != "none":
        log.known(name, value, hours + 0.5)


@pytest.mark.parametrize(
    ("fields", "scores", "outcome", "z"),
    [
        pytest.param({"metric": "pinball", "quantile": 0.9}, (1, 4), 3, 1.8 - 0.1, id="quantile"),
        pytest.param({"metric": "mae", "effect": "absolute", "min_effect": 0.5}, (1, 2), 3, 0.5),
        pytest.param({"metric": "mae", "min_effect": 0.25}, (1, 2), 3, 0.75 * 2 - 1),
        pytest.param({"metric": "pinball", "quantile": 0.5, "clip": 0.5}, (1, 2), 3, 0.0),
    ],
)
def test_a_loss_is_the_metrics_and_the_effect_is_taken_off(
    log: Any, fields: dict[str, Any], scores: tuple[float, float], outcome: float, z: float
) -> None:
    _pair(log, "one", 1, scores, outcome)

    (block,) = log.evidence(_rule(**fields)).blocks

    assert block.z == pytest.approx(z)


def _classes(log: Any, seed: int, days: int, a_day: int = 12) -> dict[int, Any]:
    random = np.random.default_rng(seed)
    drawn = {}
    for day in range(days):
        value = (random.random(a_day) < 0.4).astype(float)
        if day == 1:
            value[:] = 0.0  # a day on which one class lacks
        scores = np.round(random.random((2, a_day)), 1)
        drawn[day] = (value, scores)
        for place in range(a_day):
            _pair(log, f"{day}-{place:02}", 24 * day + place, scores[:, place], value[place])
    return drawn


def test_auc_is_of_each_block_and_one_without_a_class_joins_the_next(log: Any) -> None:
    drawn = _classes(log, seed=5, days=4)
    rule = _rule(metric="auc", min_effect=0.05)

    evidence = log.evidence(rule)

    joined = [[0], [1, 2], [3]]
    assert [block.start.day for block in evidence.blocks] == [1, 2, 4]
    assert [block.paired for block in evidence.blocks] == [12, 24, 12]
    for block, days in zip(evidence.blocks, joined, strict=True):
        value = np.concatenate([drawn[day][0] for day in days])
        ours, theirs = (
            roc_auc_score(value, np.concatenate([drawn[day][1][model] for day in days]))
            for model in (0, 1)
        )
        assert (block.champion_loss, block.challenger_loss) == pytest.approx((ours, theirs))
        assert block.z == pytest.approx(theirs - 1.05 * ours)
    assert judge(rule, evidence).checks[0].state == "passed"


def test_a_last_block_of_auc_without_a_class_counts_and_has_no_figure(log: Any) -> None:
    _classes(log, seed=5, days=2)
    rule = _rule(metric="auc")

    evidence = log.evidence(rule)

    assert [(b.paired, b.z is None) for b in evidence.blocks] == [(12, False), (12, True)]
    assert judge(rule, evidence).checks[0].state == "passed"


def test_the_design_effect_of_auc_is_delongs(log: Any) -> None:
    """The variance that DeLong's components give, worked out pair by pair."""
    drawn = _classes(log, seed=7, days=3)

    design = log.evidence(_rule(metric="auc")).design

    value = np.concatenate([drawn[day][0] for day in drawn])
    scores = np.concatenate([drawn[day][1] for day in drawn], axis=1)
    kernels = [
        np.array([[(a > b) + 0.5 * (a == b) for b in each[value == 0]] for a in each[value == 1]])
        for each in scores
    ]
    gain = kernels[1] - kernels[0]
    ones, zeros = gain.shape
    variance = gain.mean(axis=1).var(ddof=1) / ones + gain.mean(axis=0).var(ddof=1) / zeros
    assert design.request_z == pytest.approx(gain.mean() / math.sqrt(variance))


def test_auc_by_count_closes_after_as_many_of_either_outcome(log: Any) -> None:
    random = np.random.default_rng(3)
    value = (random.random(150) < 0.3).astype(float)
    for place, each in enumerate(value):
        _pair(log, f"{place:03}", place / 10, (0.5, each), each)

    blocks = log.evidence(_rule(metric="auc", block="count", block_size=10)).blocks

    edges, ones, zeros = [0], 0, 0
    for place, each in enumerate(value, start=1):
        ones, zeros = ones + (each == 1), zeros + (each == 0)
        if min(ones, zeros) >= 10:
            edges.append(place)
            ones = zeros = 0
    assert len(edges) > 3
    assert [block.decisions for block in blocks] == list(np.diff(edges))
    assert {(block.champion_loss, block.challenger_loss) for block in blocks} == {(0.5, 1.0)}


def test_a_block_by_count_closes_when_all_before_it_are_mature(log: Any) -> None:
    rule = _rule(block="count", block_size=10)
    for place in range(25):
        # the outcomes of the last are there at once; they are no sooner mature
        _pair(log, f"{place:02}", place, (1.0, 0.5), 0.0)

    def closed(hours: float) -> tuple[list[int], int]:
        evidence = log.evidence(rule, days=hours / 24)
        return [block.decisions for block in evidence.blocks], evidence.totals.waiting

    assert closed(9.99) == ([], 10)
    assert closed(10.01) == ([10], 1)
    assert closed(20.01) == ([10, 10], 1)
    assert closed(99) == ([10, 10], 5)


def test_what_was_decided_at_one_moment_stays_in_one_block_by_count(log: Any) -> None:
    for place in range(40):
        _pair(log, f"{place:02}", max(place, 14), (1.0, 0.5), 0.0)

    evidence = log.evidence(_rule(block="count", block_size=10))

    assert [block.decisions for block in evidence.blocks] == [15, 10, 10]
    assert evidence.totals.waiting == 5


def test_ndcg_is_of_lists_and_blocks_are_of_so_many(log: Any) -> None:
    random = np.random.default_rng(9)
    rule = _rule(metric="ndcg", block="count", block_size=10, missing_outcomes="zero")
    expected: list[list[float]] = []
    for number in range(24):
        scores = np.round(random.random((2, 5)), 1)
        worth = random.integers(0, 3, size=5).astype(float)
        for place in range(5):
            name, more = f"{number:02}/{place}", {"batch": f"list-{number}", "rank": place + 1}
            log.decided(name, number, scores[0, place], **more)
            log.shadowed(name, None if number == 3 and place == 0 else scores[1, place])
            if worth[place]:
                log.known(name, worth[place], number + 0.5)
        if number == 3 or not worth.any():
            continue  # not scored by both, or nothing in it is relevant
        if number < 20:
            of = [ndcg_score([worth], [each]) for each in scores]
            expected.append([number // 10, *of])
    log.decided("alone", 0.5, 1.0)

    evidence = log.evidence(rule)

    assert len(evidence.blocks) == 2
    for number, block in enumerate(evidence.blocks):
        figures = np.mean([of for block_of, *of in expected if block_of == number], axis=0)
        assert (block.champion_loss, block.challenger_loss) == pytest.approx(tuple(figures))
        assert block.z == pytest.approx(figures[1] - figures[0])
        assert block.filled > 0
    assert evidence.odd == {"in no list": 1}
    assert evidence.design.requests == len(expected)
    assert judge(rule, evidence).checks[0].state == "passed"


def test_weeks_are_of_the_rules_zone_and_begin_on_monday(log: Any) -> None:
    # Sunday, 7 July 2013: 23:59 in New York is Monday, 03:59, in Greenwich
    rule = _rule(block="week", timezone="America/New_York")
    for name, hours in (("sunday", 24 * 7 + 3.99), ("monday", 24 * 7 + 4), ("later", 24 * 13)):
        _pair(log, name, hours, (1.0, 0.5), 0.0)

    blocks = log.evidence(rule).blocks

    assert [(block.start, block.decisions) for block in blocks] == [
        (datetime(2013, 7, 1, 4, tzinfo=UTC), 1),
        (datetime(2013, 7, 8, 4, tzinfo=UTC), 2),
    ]


def test_no_outcome_within_the_window_may_be_a_zero(log: Any) -> None:
    rule = _rule(missing_outcomes="zero")
    for name, value, after in (("told", 2.0, 0.5), ("late", 2.0, 5), ("null", None, 0.5)):
        log.decided(name, 1, 1.0)
        log.shadowed(name, 0.0)
        log.known(name, value, 1 + after)
    _pair(log, "silent", 1, (1.0, 0.0), "none")

    evidence = log.evidence(rule)

    (block,) = evidence.blocks
    assert (block.labelled, block.censored, block.filled, block.paired) == (3, 1, 2, 3)
    assert (block.champion_loss, block.challenger_loss) == (
        pytest.approx(1.0),
        pytest.approx(4 / 3),
    )
    assert evidence.totals.filled == 2
    assert evidence.from_json(evidence.to_json()) == evidence


def test_an_outcome_that_was_known_before_its_decision_is_none_of_it(log: Any) -> None:
    _pair(log, "jump", 1, (1.0, 0.5), "none")
    log.known("jump", 0.0, 0.5)
    _pair(log, "fair", 2, (1.0, 0.5), 0.0)

    evidence = log.evidence(_rule())

    assert evidence.odd == {"known before the decision": 1}
    assert (evidence.totals.labelled, evidence.totals.unusable, evidence.totals.paired) == (2, 1, 1)


def test_a_decision_of_the_future_is_not_seen(log: Any) -> None:
    _pair(log, "now", 1, (1.0, 0.5), 0.0)
    _pair(log, "future", 24 * 90, (1.0, 0.5), 0.0)

    totals = log.evidence(_rule()).totals

    assert (totals.decisions, totals.waiting, totals.shadow_tried) == (1, 0, 1)


def test_outcomes_that_never_come_are_no_success_and_no_error(log: Any) -> None:
    rules = [
        _rule(metric=metric, **more)
        for metric, more in (
            ("brier", {}),
            ("auc", {}),
            ("auc", {"block": "count", "block_size": 10}),
            ("ndcg", {"block": "count", "block_size": 10}),
            ("outcome", {"design": "randomised", "direction": "higher"}),
        )
    ]
    for place in range(40):
        _pair(log, f"{place}", place, (0.2, 0.4), "none")

    for rule in rules:
        evidence = log.evidence(rule)

        assert evidence.totals.labelled == evidence.totals.paired == 0
        assert judge(rule, evidence).action == "hold"


@pytest.mark.parametrize("metric", ["log_loss", "brier", "mae", "mse", "auc"])
def test_figures_that_a_metric_cannot_take_are_counted(log: Any, metric: str) -> None:
    _pair(log, "champion", 1, (math.nan, 0.5), 1.0)
    _pair(log, "challenger", 1, (0.5, math.inf), 1.0)
    _pair(log, "outcome", 1, (0.5, 0.5), 0.5 if metric in ("log_loss", "brier", "auc") else None)

    totals = log.evidence(_rule(metric=metric)).totals

    assert totals.paired == 0
    assert totals.shadow_failed == 1
    assert totals.unusable + totals.censored == 2
