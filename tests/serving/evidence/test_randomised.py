"""Arms are compared by whom a unit was dealt to, once a unit, weighted by the chance of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.judge import judge
from serving.rule import Rule

HIGHER: dict[str, Any] = {"metric": "outcome", "design": "randomised", "direction": "higher"}
CHAMPION, CHALLENGER = "delay/3", "delay/4"


def _rule(**fields: Any) -> Rule:
    return Rule(**{"name": "r", "label_window_hours": 1, **HIGHER, **fields})


def test_a_decision_counts_where_it_was_dealt_whoever_answered(log: Any) -> None:
    log.dealt("a", 1, 0.5, 0.5, CHAMPION)
    log.dealt("b", 1, 0.5, 0.5, CHALLENGER)
    log.dealt("c", 1, 0.5, 0.5, CHALLENGER, model=CHAMPION, fallback="error")
    log.dealt("d", 1, 0.5, 0.5, CHALLENGER, model=CHAMPION, fallback="busy")
    for name, value in (("a", 1.0), ("b", 3.0), ("c", 0.0), ("d", 0.0)):
        log.known(name, value, 1.5)

    evidence = log.evidence(_rule())

    (block,) = evidence.blocks
    assert (block.champion_loss, block.challenger_loss) == (1.0, 1.0)
    assert (block.paired, block.shadow_errors, block.shadow_missing) == (4, 1, 1)
    ours, theirs = evidence.arms
    assert (ours.model, ours.decisions, ours.units, ours.known, ours.counted) == (
        CHAMPION, 1, 1, 1, 1,
    )  # fmt: skip
    assert (theirs.model, theirs.decisions, theirs.units, theirs.known) == (CHALLENGER, 3, 3, 3)
    assert (evidence.totals.shadow_tried, evidence.totals.shadow_failed) == (2, 1)


def test_a_loss_is_that_of_the_answer_that_was_given(log: Any) -> None:
    rule = _rule(metric="mse", direction=None)
    log.dealt("a", 1, 2.0, 0.5, CHAMPION)
    log.dealt("b", 1, 1.0, 0.5, CHALLENGER)
    log.shadowed("a", 0.0)  # what it would have said changes nothing of what became of it
    for name in ("a", "b"):
        log.known(name, 0.0, 1.5)

    (block,) = log.evidence(rule).blocks

    assert (block.champion_loss, block.challenger_loss, block.z) == (4.0, 1.0, 3.0)


def test_what_only_one_model_could_answer_is_in_no_arm(log: Any) -> None:
    log.decided("shadow", 1, 0.5, candidates=[CHAMPION], propensities=[1.0])
    log.dealt("all", 1, 0.5, 1.0, CHALLENGER)
    log.dealt("none", 1, 0.5, 0.0, CHAMPION)
    log.dealt("no unit", 1, 0.5, 0.5, CHAMPION, unit=None)
    log.dealt("dealt", 1, 0.5, 0.5, CHAMPION, unit="N1")
    log.known("dealt", 1.0, 1.5)

    evidence = log.evidence(_rule(unit=["tail"]))

    assert evidence.totals.decisions == 1
    assert evidence.odd == {"not dealt": 3, "without a unit": 1}


def test_an_arm_without_traffic_gives_no_difference_and_no_error(log: Any) -> None:
    for place in range(30):
        log.dealt(f"{place}", 24 * place, 0.5, 0.01, CHAMPION)
        log.known(f"{place}", 1.0, 24 * place + 0.5)
    rule = _rule()

    evidence = log.evidence(rule)

    assert {(b.champion_loss, b.challenger_loss, b.z) for b in evidence.blocks} == {
        (1.0, None, None)
    }
    assert (len(evidence.blocks), evidence.arms[1].decisions) == (30, 0)
    assert evidence.from_json(evidence.to_json()) == evidence
    verdict = judge(rule, evidence)
    assert (verdict.checks[0].state, verdict.action) == ("passed", "hold")


def test_a_unit_counts_once_with_its_mean_where_it_was_first_dealt(log: Any) -> None:
    for name, hours, to, value in (
        ("1", 1, CHAMPION, 1.0),
        ("2", 2, CHAMPION, 3.0),
        ("3", 30, CHAMPION, 9.0),  # the next day: it has counted
    ):
        log.dealt(name, hours, 0.5, 0.5, to, unit="N1")
        log.known(name, value, hours + 0.5)
    for name, hours, value in (("4", 3, 5.0), ("5", 31, 7.0)):
        log.dealt(name, hours, 0.5, 0.5, CHALLENGER, unit=f"N{name}")
        log.known(name, value, hours + 0.5)

    evidence = log.evidence(_rule(unit=["tail"]))

    first, second = evidence.blocks
    assert (first.champion_loss, first.challenger_loss, first.paired) == (2.0, 5.0, 3)
    assert (second.champion_loss, second.challenger_loss, second.paired) == (None, 7.0, 1)
    assert second.labelled == 2
    assert evidence.odd == {"of units that counted before": 1}
    assert [arm.units for arm in evidence.arms] == [1, 2]


def test_a_ranked_list_is_dealt_as_one(log: Any) -> None:
    for name, to, value in (("1", CHAMPION, 1.0), ("2", CHAMPION, 3.0), ("3", CHALLENGER, 4.0)):
        log.dealt(name, 1, 0.5, 0.5, to, batch=f"list of {to}", rank=1)
        log.known(name, value, 1.5)
    log.dealt("alone", 1, 0.5, 0.5, CHAMPION)
    log.known("alone", 5.0, 1.5)

    evidence = log.evidence(_rule())

    assert evidence.blocks[0].champion_loss == (2.0 + 5.0) / 2
    assert [arm.units for arm in evidence.arms] == [2, 1]


def test_blocks_by_count_are_of_units(log: Any) -> None:
    for place in range(24):
        to = CHAMPION if place % 4 < 2 else CHALLENGER
        log.dealt(f"{place:02}", place, 0.5, 0.5, to, unit=f"{place // 2}")

    blocks = log.evidence(_rule(unit=["tail"], block="count", block_size=10)).blocks

    assert [block.decisions for block in blocks] == [19]


DECISION = st.fixed_dictionaries(
    {
        "day": st.integers(0, 3),
        "unit": st.sampled_from(["a", "b", "c", "d", "e", None]),
        "to": st.sampled_from([CHAMPION, CHALLENGER, "delay/5"]),
        "shares": st.sampled_from([(0.7, 0.2, 0.1), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)]),
        "outcome": st.sampled_from([0.0, 1.0, 4.0, None, "none"]),
        "covariate": st.sampled_from([0.0, 1.0, 2.0]),
    }
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    decisions=st.lists(DECISION, min_size=1, max_size=16),
    fields=st.sampled_from([{}, {"missing_outcomes": "zero"}, {"unit": ["tail"]}]),
)
def test_arms_are_those_that_a_loop_finds(
    new_log: Callable[[], Any], decisions: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    log, rule = new_log(), _rule(min_effect=0.25, **fields)
    for number, each in enumerate(decisions):
        hours = 24 * each["day"] + 1 + number / 100
        log.decided(
            f"d{number:02}", hours, 0.5, model=each["to"], assigned=each["to"], unit=each["unit"],
            candidates=[CHAMPION, CHALLENGER, "delay/5"], propensities=list(each["shares"]),
        )  # fmt: skip
        if each["outcome"] != "none":
            log.known(f"d{number:02}", each["outcome"], hours + 0.5)

    evidence = log.evidence(rule, champion=CHAMPION, challenger=CHALLENGER)

    days = _by_hand(decisions, rule)
    assert [block.start.day - 1 for block in evidence.blocks] == sorted(days)
    for block in evidence.blocks:
        expected = days[block.start.day - 1]
        assert (block.decisions, block.paired) == (expected["decisions"], expected["paired"])
        means = (block.champion_loss, block.challenger_loss)
        assert means == (pytest.approx(expected[0]), pytest.approx(expected[1]))
        if None not in means:
            assert block.z == pytest.approx(expected[1] - 1.25 * expected[0])
        else:
            assert block.z is None
    assert sum(arm.decisions for arm in evidence.arms) == evidence.totals.decisions
    assert judge(rule, evidence).checks[0].state == "passed"


def _by_hand(decisions: list[dict[str, Any]], rule: Rule) -> dict[int, dict[Any, Any]]:
    """Day to its counts and to the mean of either arm, decision by decision."""
    first: dict[str, tuple[int, int, float]] = {}
    values: dict[tuple[int, int], dict[str, list[float]]] = {}
    days: dict[int, dict[Any, Any]] = {}
    arms = [CHAMPION, CHALLENGER, "delay/5"]
    ordered = sorted(enumerate(decisions), key=lambda pair: (pair[1]["day"], pair[0]))
    for number, each in ordered:
        arm, day, shares = arms.index(each["to"]), each["day"], each["shares"]
        if shares[1] == 0 or (rule.unit and each["unit"] is None):
            continue
        if arm < 2 and shares[arm] == 0:
            continue
        unit = each["unit"] or f"decision {number}"
        of_arm, since, chance = first.setdefault(unit, (arm, day, shares[arm]))
        if arm == 2:
            continue
        told = days.setdefault(day, {"decisions": 0, "paired": 0, 0: None, 1: None})
        told["decisions"] += 1
        value = each["outcome"]
        if value == "none" and rule.missing_outcomes == "zero":
            value = 0.0
        if isinstance(value, float) and of_arm < 2 and since == day:
            told["paired"] += 1
            values.setdefault((day, of_arm), {}).setdefault(unit, [chance]).append(value)
    for (day, arm), units in values.items():
        weights = [1 / chance for chance, *_ in units.values()]
        means = [sum(of) / len(of) for _, *of in units.values()]
        total = sum(w * mean for w, mean in zip(weights, means, strict=True))
        days[day][arm] = total / sum(weights)
    return days


def _days(log: Any, shares: np.ndarray, rates: np.ndarray, seed: int, a_day: int = 200) -> None:
    """Outcomes whose rate drifts while shares do, and no model changes them."""
    random = np.random.default_rng(seed)
    for day, (share, rate) in enumerate(zip(shares, rates, strict=True)):
        for place in range(a_day):
            part = min(int(place / a_day * len(share)), len(share) - 1)
            to = CHALLENGER if random.random() < share[part] else CHAMPION
            name, hours = f"{day:02}-{place:03}", 24 * day + place * 23 / a_day
            log.dealt(name, hours, 0.5, float(share[part]), to)
            log.known(name, float(random.random() < rate[part]), hours + 0.5)


def test_shares_that_grow_while_outcomes_drift_favour_nobody(log: Any) -> None:
    """Simpson's paradox; the controls are means of all time, and unweighted means of days.

    The chance that the right figure is beyond 4 standard errors is below 1 in 10,000.
    """
    days = 24
    # within each day the share grows from 5 % to 60 %, and so does the rate of the outcome
    shares = np.tile([0.05, 0.60], (days, 1))
    rates = np.stack([np.linspace(0.1, 0.3, days), np.linspace(0.5, 0.8, days)], axis=1)
    _days(log, shares, rates, seed=1)

    evidence = log.evidence(_rule())

    z = np.array([block.z for block in evidence.blocks])
    error = z.std(ddof=1) / math.sqrt(days)
    assert abs(z.mean()) < 4 * error
    assert evidence.design.block_z == pytest.approx(z.mean() / error)
    pooled, by_day = _unweighted(log)
    assert pooled > 0.2
    assert by_day.mean() > 4 * by_day.std(ddof=1) / math.sqrt(days)


def _unweighted(log: Any) -> tuple[float, np.ndarray]:
    from headrace.decisions import open_view

    query = (
        "SELECT {by} avg(o.value) FILTER (d.assigned = 'delay/4') "
        "- avg(o.value) FILTER (d.assigned = 'delay/3') AS gap "
        "FROM decisions d JOIN outcomes o USING (id) {group}"
    )
    with open_view(log.folder) as connection:
        row = connection.execute(query.format(by="", group="")).fetchone()
        by_day = connection.execute(
            query.format(by="substr(d.id, 1, 2) AS day,", group="GROUP BY day ORDER BY day")
        ).fetchnumpy()["gap"]
    return float(row[0]) if row else math.nan, np.asarray(by_day)


def test_outcomes_that_come_sooner_in_one_arm_do_not_win_when_decisions_mature(log: Any) -> None:
    """The challenger's positives are told at once, all else three days later; the arms are equal.

    The control takes what has come within half a day. The chance that the right figure is beyond 4
    standard errors is below 1 in 10,000.
    """
    random = np.random.default_rng(4)
    for day in range(24):
        for place in range(80):
            name, hours = f"{day:02}-{place:02}", 24 * day + place / 4
            to = CHALLENGER if random.random() < 0.5 else CHAMPION
            value = float(random.random() < 0.3)
            log.dealt(name, hours, 0.5, 0.5, to)
            log.known(name, value, hours + (0.1 if to == CHALLENGER and value else 72))

    def t(window: float) -> float:
        zero = _rule(label_window_hours=window, missing_outcomes="zero")
        z = [block.z for block in log.evidence(zero, days=30).blocks]
        return float(np.mean(z) / (np.std(z, ddof=1) / math.sqrt(len(z))))

    assert abs(t(73)) < 4
    assert t(12) > 10


def _sticky(seed: int, rule: Rule) -> tuple[Any, Any]:
    """Units that come every day from their first one on, with luck that stays, in equal arms."""
    from serving._arms import Dealt, compare_arms

    random = np.random.default_rng(seed)
    days, new = 30, 8
    unit = np.concatenate([np.arange(new * (day + 1)) for day in range(days)])
    day = np.repeat(np.arange(days), new * (np.arange(days) + 1))
    luck, arm = random.normal(size=days * new), random.integers(0, 2, size=days * new)
    size = unit.size
    rows = {
        "at_us": (day * 86_400_000_000 + np.arange(size)).astype(np.int64),
        "arm": arm[unit],
        "unit": unit,
        "chance": np.full(size, 0.5),
        "dealt": np.ones(size, dtype=bool),
        "has_unit": np.ones(size, dtype=bool),
        "known": np.ones(size, dtype=bool),
        "censored": np.zeros(size, dtype=bool),
        "outcome": luck[unit] + random.normal(0, 0.3, size=size),
        "answered": np.zeros(size),
        "failed": np.zeros(size, dtype=bool),
        "stood_in": np.zeros(size, dtype=bool),
    }
    models = (CHAMPION, CHALLENGER)
    dealt = Dealt.of(rows, rule)
    alone = dataclasses.replace(dealt, first=np.arange(size))  # each decision its own unit
    found = (
        compare_arms(each, rule, models=models, known_until=1 << 60) for each in (dealt, alone)
    )
    ours, theirs = (
        np.array([b.z for b in each.blocks if b.z is not None], dtype=float) for each in found
    )
    return ours, theirs


def test_units_that_come_back_do_not_make_their_luck_look_certain() -> None:
    """Equal arms: t above 1.7 by chance in 5 %; of 80 more than 12 by a chance of 1 in 2,000.

    The control counts units in every block.
    """
    rule = _rule(unit=["tail"])

    def t(values: Any) -> float:
        return float(values.mean() / (values.std(ddof=1) / math.sqrt(values.size)))

    found = [tuple(t(values) for values in _sticky(seed, rule)) for seed in range(80)]

    assert sum(once > 1.7 for once, _ in found) <= 12
    assert sum(every > 1.7 for _, every in found) > 24


def test_a_covariate_takes_luck_out_of_the_means_and_not_the_effect(log: Any) -> None:
    random = np.random.default_rng(2)
    for day in range(25):
        for place in range(60):
            name, hours = f"{day:02}-{place:02}", 24 * day + place / 3
            to = CHALLENGER if random.random() < 0.4 else CHAMPION
            size = float(random.normal(10, 3))
            log.dealt(name, hours, 0.5, 0.4, to, features={"size": size})
            value = size + (1.0 if to == CHALLENGER else 0.0) + float(random.normal(0, 0.5))
            log.known(name, value, hours + 0.5)

    plain, less = (log.evidence(_rule(covariate=each)) for each in (None, "size"))

    spread = [np.std([block.z for block in each.blocks[1:]]) for each in (plain, less)]
    assert spread[1] < spread[0] / 3
    assert np.mean([block.z for block in less.blocks[1:]]) == pytest.approx(1.0, abs=0.2)
    assert less.removed is not None
    assert less.removed > 0.9
    assert plain.removed is None
    assert [arm.covariates for arm in less.arms] == [arm.counted for arm in less.arms]
    assert judge(_rule(covariate="size"), less).checks[0].state == "passed"
    assert log.evidence(_rule(covariate="unheard")).blocks == plain.blocks


def test_before_is_the_mean_outcome_of_the_unit_in_the_four_weeks_before(log: Any) -> None:
    told = {"N1": 4.0, "N2": 1.0, "N3": 2.0, "N4": 3.0}
    for number, (tail, value) in enumerate(told.items()):
        entity = {"tail": tail, "day": 1}
        for name, hours, said in (
            ("long ago", 1, 99.0),
            ("before", 24 * 20 + number, value - 1),
            ("before too", 24 * 30, value + 1),
            ("told in the experiment", 24 * 40 - 1, 77.0),
        ):
            log.decided(f"{tail} {name}", hours, 0.5, experiment="e0", entity=entity)
            log.known(f"{tail} {name}", said, hours + (1.5 if said == 77.0 else 0.5))
        for day in (40, 41):
            to = (CHAMPION, CHALLENGER)[number % 2]
            name = f"{tail} {day}"
            log.dealt(name, 24 * day + number, 0.5, 0.5, to, unit=tail, entity=entity)
            log.known(name, 10 * value, 24 * day + number + 0.5)

    evidence = log.evidence(_rule(unit=["tail"], covariate="before"))

    assert [arm.covariates for arm in evidence.arms] == [2, 2]
    assert _covariates(log) == {"N1": 4.0, "N2": 1.0, "N3": 2.0, "N4": 3.0}


def _covariates(log: Any) -> dict[str, float]:
    from headrace.decisions import open_view
    from serving._evidence_rows import read_rows

    asked: dict[str, Any] = {"experiment": "e1", "champion": CHAMPION, "challenger": CHALLENGER}
    asked |= {"as_of": 1 << 60, "window": 3_600_000_000, "outcome": ""}
    with open_view(log.folder) as connection:
        rows = read_rows(connection, _rule(unit=["tail"], covariate="before"), asked, arms=True)
    # units are numbered by their names
    return {
        f"N{unit + 1}": value for unit, value in zip(rows["unit"], rows["covariate"], strict=True)
    }
