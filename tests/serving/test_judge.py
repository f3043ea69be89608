"""The worst check wins, nothing that is missing promotes, and a trace judges the same again."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.content import canonical_json
from headrace.errors import DataError
from serving._verdict_text import design_lines
from serving.evidence import Block, DesignEffect, Evidence, Totals
from serving.judge import Verdict, judge, replay, worst
from serving.rule import Rule

RULE = Rule(name="delay-v1", metric="log_loss", label_window_hours=48)
FIRST = datetime(2013, 7, 1, tzinfo=UTC)
A_DAY = 100


def _block(day: int, z: float, **changes: Any) -> Block:
    block = Block(
        start=FIRST + timedelta(days=day),
        decisions=A_DAY,
        labelled=96,
        censored=2,
        paired=95,
        shadow_errors=0,
        shadow_missing=1,
        champion_loss=0.5,
        challenger_loss=0.5 - z,
        z=0.5 - (0.5 - z),
    )
    return dataclasses.replace(block, **changes)


def _evidence(blocks: list[Block], **changes: Any) -> Evidence:
    def total(name: str) -> int:
        return sum(getattr(block, name) for block in blocks)

    counted = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")
    tried = total("decisions") - total("shadow_missing")
    totals = Totals(
        **{name: total(name) for name in counted},
        unusable=0,
        waiting=200,
        shadow_tried=tried,
        shadow_failed=total("shadow_errors"),
        mixed=0,
    )
    last = blocks[-1].start if blocks else FIRST
    evidence = Evidence(
        experiment="e1",
        endpoint="flight_delay",
        champion="flight_delay/3",
        challenger="flight_delay/4",
        rule=RULE.hash,
        as_of=last + timedelta(days=3),
        newest=last + timedelta(hours=23) if blocks else None,
        blocks=tuple(blocks),
        totals=totals,
        design=DesignEffect(requests=total("paired"), effective=47.5, request_z=9.0, block_z=3.0),
    )
    return dataclasses.replace(evidence, **changes)


def _days(count: int, mean: float, seed: int = 0) -> list[Block]:
    values = np.random.default_rng(seed).normal(mean, 0.01, size=count)
    return [_block(day, float(z)) for day, z in enumerate(values)]


def _changed(totals: Totals, **changes: Any) -> dict[str, Any]:
    return {"totals": dataclasses.replace(totals, **changes)}


GOOD = _evidence(_days(25, 0.02))


def _state(verdict: Verdict, name: str) -> str:
    return next(check.state for check in verdict.checks if check.name == name)


def test_a_challenger_that_is_better_on_enough_days_is_promoted() -> None:
    verdict = judge(RULE, GOOD)

    assert verdict.action == "promote"
    assert {check.state for check in verdict.checks} == {"passed"}
    assert [check.name for check in verdict.checks] == [
        "evidence is whole",
        "challenger works",
        "one pair of models",
        "outcomes are known",
        "challenger scored",
        "enough evidence",
        "evidence is fresh",
        "challenger is better",
    ]
    assert verdict.crossed == FIRST + timedelta(days=19)
    assert [bound.start.day for bound in verdict.bounds] == [20, 21, 22, 23, 24, 25]
    assert all(bound.lower is not None and 0 < bound.lower < 0.02 for bound in verdict.bounds)


@pytest.mark.parametrize(
    ("evidence", "name", "action"),
    [
        pytest.param(_evidence(_days(19, 0.02)), "enough evidence", "hold", id="one day too few"),
        pytest.param(_evidence([]), "challenger works", "hold", id="nothing at all"),
        pytest.param(_evidence(_days(25, 0.0)), "challenger is better", "hold", id="as good"),
        pytest.param(_evidence(_days(25, -0.02)), "challenger is better", "hold", id="worse"),
        pytest.param(
            _evidence([_block(day, 0.02) for day in range(25)]),
            "challenger is better",
            "hold",
            id="every day exactly the same",
        ),
        pytest.param(
            _evidence([dataclasses.replace(b, labelled=86, paired=80) for b in GOOD.blocks]),
            "outcomes are known",
            "hold",
            id="outcomes of 88 %",
        ),
        pytest.param(
            _evidence([dataclasses.replace(b, shadow_missing=6) for b in GOOD.blocks]),
            "challenger scored",
            "hold",
            id="shadow scores of 94 %",
        ),
        pytest.param(
            dataclasses.replace(GOOD, as_of=GOOD.as_of + timedelta(days=9)),
            "evidence is fresh",
            "hold",
            id="no decisions for a week",
        ),
        pytest.param(
            dataclasses.replace(GOOD, **_changed(GOOD.totals, mixed=1)),
            "one pair of models",
            "hold",
            id="one decision of a third model",
        ),
        pytest.param(
            dataclasses.replace(GOOD, challenger=None), "one pair of models", "hold", id="no name"
        ),
        pytest.param(
            dataclasses.replace(GOOD, challenger=GOOD.champion),
            "one pair of models",
            "hold",
            id="itself",
        ),
        pytest.param(
            dataclasses.replace(GOOD, rule="0" * 64),
            "evidence is whole",
            "hold",
            id="collected for another rule",
        ),
        pytest.param(
            dataclasses.replace(GOOD, **_changed(GOOD.totals, shadow_failed=30)),
            "challenger works",
            "hold",
            id="errors of 1.2 %, maybe by chance",
        ),
        pytest.param(
            dataclasses.replace(GOOD, **_changed(GOOD.totals, shadow_failed=120)),
            "challenger works",
            "rollback",
            id="errors of 5 %",
        ),
    ],
)
def test_one_check_that_does_not_pass_decides(evidence, name, action) -> None:
    verdict = judge(RULE, evidence)

    assert verdict.action == action
    assert _state(verdict, name) != "passed"


def test_a_challenger_that_fails_is_withdrawn_before_anything_is_mature() -> None:
    totals = dataclasses.replace(_evidence([]).totals, shadow_tried=3, shadow_failed=3)

    verdict = judge(RULE, dataclasses.replace(_evidence([]), totals=totals))

    assert verdict.action == "rollback"


def test_a_rule_may_wait_for_all_outcomes() -> None:
    waits = RULE.model_copy(update={"missing_outcomes": "hold"})

    assert judge(waits, dataclasses.replace(GOOD, rule=waits.hash)).action == "hold"


def test_an_advantage_that_is_gone_does_not_promote_and_is_said() -> None:
    was_better = _days(25, 0.02)
    verdict = judge(RULE, _evidence(was_better + _worse_days(25, 40)))

    assert verdict.action == "hold"
    assert verdict.crossed == FIRST + timedelta(days=19)
    assert verdict.checks[-1].sentence.endswith(
        "not above 0. It was, for a while, but is no longer."
    )


def _worse_days(start: int, end: int) -> list[Block]:
    values = np.random.default_rng(9).normal(-0.05, 0.01, size=end - start)
    return [_block(start + day, float(z)) for day, z in enumerate(values)]


@given(actions=st.lists(st.sampled_from(["promote", "hold", "rollback"]), max_size=4))
def test_the_worst_action_wins_whatever_the_order(actions: list[str]) -> None:
    expected = next((a for a in ("rollback", "hold", "promote") if a in actions), "hold")

    assert {worst(order) for order in permutations(actions)} == {expected}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    mean=st.floats(-0.01, 0.04),
    kept=st.sets(st.integers(0, 29), max_size=29),
)
def test_evidence_that_lost_blocks_is_never_promoted_on(seed, mean, kept) -> None:
    whole = _evidence(_days(30, mean, seed))

    lost = dataclasses.replace(whole, blocks=tuple(whole.blocks[i] for i in sorted(kept)))

    assert judge(RULE, lost).action == "hold"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), mean=st.floats(-0.01, 0.2), count=st.integers(0, 19))
def test_fewer_blocks_than_the_rule_asks_for_never_promote(seed, mean, count) -> None:
    assert judge(RULE, _evidence(_days(count, mean, seed))).action == "hold"


def _leaves(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else None
    )
    if items is None:
        is_number = isinstance(document, int | float) and not isinstance(document, bool)
        return [path] if is_number else []
    return [leaf for key, value in items for leaf in _leaves(value, (*path, key))]


NUMBERS = _leaves(GOOD.to_json())


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from(NUMBERS),
    value=st.sampled_from([math.nan, math.inf, -math.inf, "0.5", True, [], -1, {}]),
)
def test_a_figure_that_is_no_number_anywhere_never_promotes(path, value) -> None:
    document = json.loads(json.dumps(GOOD.to_json()))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    verdict = judge(RULE, Evidence.from_json(document))

    assert verdict.action == "hold"
    assert verdict.prose().startswith("Hold flight_delay/4 at flight_delay")


@settings(max_examples=100, deadline=None)
@given(path=st.sampled_from([path for path in NUMBERS if path[0] != "design"]))
def test_a_missing_figure_never_promotes(path) -> None:
    document = GOOD.to_json()
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = None

    assert judge(RULE, Evidence.from_json(document)).action == "hold"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"totals": None}, id="no totals"),
        pytest.param({"blocks": (None,)}, id="a block that is none"),
        pytest.param({"blocks": None}, id="no blocks"),
        pytest.param({"design": None}, id="no design"),
        pytest.param({"as_of": None}, id="no moment"),
        pytest.param({"newest": None}, id="no newest"),
        pytest.param({"newest": GOOD.as_of + timedelta(days=1)}, id="from the future"),
        pytest.param({"champion": 3}, id="a champion that is no name"),
        pytest.param({"blocks": GOOD.blocks[::-1]}, id="blocks backwards"),
    ],
)
def test_judging_is_total(changes: dict[str, Any]) -> None:
    assert judge(RULE, dataclasses.replace(GOOD, **changes)).action == "hold"


@pytest.mark.parametrize("z", [1e308, 1e200, 1e-300])
def test_absurd_losses_are_judged_without_a_warning(z: float) -> None:
    blocks = [
        dataclasses.replace(_block(day, 0.0), champion_loss=loss, challenger_loss=0.0, z=loss)
        for day in range(24)
        for loss in [z * (1 + day % 7 / 10)]
    ]

    verdict = judge(RULE, _evidence(blocks))

    assert verdict.action == ("promote" if z in (1e200, 1e-300) else "hold")
    assert replay(json.loads(canonical_json(verdict.trace()))) == verdict


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    seed=st.integers(0, 10**6),
    mean=st.floats(-0.1, 0.1),
    broken=st.integers(0, 2000),
)
def test_a_trace_judges_the_same_again_to_the_last_byte(count, seed, mean, broken) -> None:
    evidence = _evidence(_days(count, mean, seed))
    verdict = judge(
        RULE, dataclasses.replace(evidence, **_changed(evidence.totals, shadow_failed=broken))
    )
    kept = canonical_json(verdict.trace())

    again = replay(json.loads(kept))

    assert canonical_json(again.trace()) == kept
    assert again == verdict


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 30), seed=st.integers(0, 10**6))
def test_evidence_survives_json_exactly(count: int, seed: int) -> None:
    evidence = _evidence(_days(count, 0.01, seed))

    assert Evidence.from_json(json.loads(canonical_json(evidence.to_json()))) == evidence


def test_a_trace_that_was_changed_is_found() -> None:
    trace = judge(RULE, _evidence(_days(25, 0.0))).trace() | {"action": "promote"}

    with pytest.raises(DataError) as caught:
        replay(trace)

    assert str(caught.value) == (
        "Judging the trace again gives another action: it says 'promote', its rule and evidence "
        "say 'hold'.\n  Fix: The trace was changed, or written by another version: collect the "
        "evidence again and judge that."
    )


def test_a_trace_whose_evidence_was_changed_is_found() -> None:
    trace = judge(RULE, _evidence(_days(25, 0.0))).trace()
    for block in trace["evidence"]["blocks"]:
        block["z"] = 0.3

    with pytest.raises(DataError, match="another bounds, checks: it says 'hold'"):
        replay(trace)


def test_something_else_is_no_trace() -> None:
    with pytest.raises(DataError) as caught:
        replay({"format": "x"})

    assert str(caught.value) == (
        "The trace has the format 'x', or no rule; expected 'headrace verdict 1'.\n"
        "  Fix: Give the document that `Verdict.trace()` returned."
    )


def test_evidence_with_a_field_too_few_is_damaged() -> None:
    document = GOOD.to_json()
    del document["totals"]["mixed"]

    with pytest.raises(DataError) as caught:
        Evidence.from_json(document)

    assert str(caught.value) == (
        "The evidence is damaged: totals lacks, or has unknown, fields: mixed.\n"
        "  Fix: Collect the evidence again from the decision log."
    )


def test_a_verdict_says_what_why_and_what_would_change_it() -> None:
    verdict = judge(RULE, _evidence(_days(25, 0.001)))

    assert verdict.prose().splitlines() == [
        "Hold flight_delay/4 at flight_delay: flight_delay/3 goes on answering.",
        f"Rule 'delay-v1' ({RULE.hash[:12]}), experiment 'e1', as of 2013-07-28T00:00:00+00:00.",
        "  + The evidence was collected for this rule and adds up: 2,500 decisions in 25 days.",
        "  + 0 of 2,475 shadow scores (0.000%) are errors or no numbers; 0.01 is allowed.",
        "  + flight_delay/3 answered and flight_delay/4 shadowed every time.",
        "  + Outcomes are known for 2,450 of 2,500 mature decisions (98.00%), 50 of them null.",
        "  + The challenger scored 2,475 of 2,500 mature decisions (99.00%).",
        "  + There are 25 days and 2,375 decisions; 20 and 1,000 are needed.",
        "  + The newest mature decision is 49.0 hours old.",
        "  - Over days, the challenger's log loss is 0.0002657 lower; the 95% lower confidence "
        "bound of the advantage is -0.005961, not above 0.",
        "request-level n=2375, effective n≈48: counting requests would give z=9.00, days give "
        "z=3.00.",
        "What would change it: more blocks in which the challenger is better.",
    ]


def test_an_effective_number_is_never_said_to_be_above_the_raw_one() -> None:
    design = DesignEffect(requests=2375, effective=4750.0, request_z=2.0, block_z=2.83)

    [said] = design_lines(RULE, design)

    assert said == (
        "request-level n=2375, effective n≈2375 (design effect 0.50: days vary less than "
        "independent requests would, as where those of one day offset each other; they count as no "
        "more than they are): counting requests would give z=2.00, days give z=2.83."
    )


def test_a_verdict_of_before_outcomes_had_names_is_judged_again_to_the_same_byte() -> None:
    kept = (Path(__file__).parent / "verdict_of_before.json").read_text(encoding="utf-8")
    trace = json.loads(kept)

    verdict = replay(trace)

    assert "outcome" not in trace["rule"]
    assert json.dumps(verdict.trace(), indent=1) + "\n" == kept
    assert verdict.rule.hash == trace["rule_hash"]


def test_a_rule_that_names_its_outcome_is_another_rule() -> None:
    named = RULE.model_copy(update={"outcome": "landed"})

    assert named.hash != RULE.hash
    assert Rule(**named.document()) == named
    assert "The outcome is 'landed'." in named.english()
    assert replay(judge(named, _evidence([], rule=named.hash)).trace()).rule == named
