"""A look at a log gives the comparison, the guards' figures, and what a challenger answered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import compact
from headrace.errors import ParameterError
from serving.rollout.gathered import Gathered
from serving.rollout.gathering import gather
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate

RULE = Rule(name="r", metric="mse", label_window_hours=1, guardrails=[ErrorRate(max=0.01)])


def _state(log: Any, **changes: Any) -> RolloutState:
    given: dict[str, Any] = {
        "endpoint": "delay",
        "generation": 3,
        "champion": "delay/3",
        "challenger": "delay/4",
        "experiment": "e1",
        "stage": "traffic",
        "share": 0.5,
        "design": "ramp",
        "began": log.first,
        "since": log.first,
    }
    return RolloutState(**(given | changes))


def _look(log: Any, state: RolloutState, rule: Rule = RULE, days: float = 30) -> Gathered:
    log.write()
    return gather(log.folder, rule=rule, state=state, as_of=log.first + timedelta(days=days))


def test_a_look_is_the_evidence_of_collect_and_each_guardrails_figures(log: Any) -> None:
    log.dealt("ours", 1, 3.0, 0.5, "delay/3")
    log.shadowed("ours", None)
    log.dealt("theirs", 2, 1.0, 0.5, "delay/4")
    log.shadowed("theirs", 2.0, model="delay/3")
    log.known("theirs", 0.0, 3)

    gathered = _look(log, _state(log))

    assert gathered.primary == log.evidence(RULE, days=30)
    assert gathered.as_of == log.first + timedelta(days=30)
    assert [each.metric for each in gathered.figures] == ["error_rate"]
    assert gathered.figures[0].counts["failures"] == 1
    assert Gathered.from_json(gathered.to_json()) == gathered


def test_a_log_gives_the_same_compacted_or_not(log: Any) -> None:
    for place in range(20):
        to = ("delay/3", "delay/4")[place % 2]
        log.dealt(f"{place}", 10.0 * place, 1.0, 0.5, to)
        log.shadowed(f"{place}", 0.5, model=("delay/4", "delay/3")[place % 2])
        log.known(f"{place}", 0.0, 10.0 * place + 0.5)
    fresh = _look(log, _state(log))
    log.close()

    compact(log.folder)

    assert gather(log.folder, rule=RULE, state=_state(log), as_of=fresh.as_of) == fresh


def test_answered_is_what_it_answered_itself_since_its_share_was_changed(log: Any) -> None:
    log.dealt("before", 1, 1.0, 0.1, "delay/4")
    log.dealt("since", 5, 1.0, 0.5, "delay/4")
    log.dealt("champion's", 6, 1.0, 0.5, "delay/3")
    log.dealt("in its stead", 7, 1.0, 0.5, "delay/4", model="delay/3", fallback="busy")
    log.dealt("beside", 8, 1.0, 0.5, "delay/4", experiment="e0", experiments=["e0", "e1"])
    log.dealt("other", 9, 1.0, 0.5, "delay/4", experiment="e0")
    log.dealt("future", 24 * 40, 1.0, 0.5, "delay/4")

    gathered = _look(log, _state(log, since=log.first + timedelta(hours=5)))

    assert gathered.answered == 2


def _watch(log: Any) -> RolloutState:
    for place in range(3):
        name, hours = f"{place}", 24.0 * place
        log.decided(name, hours, 2.0, model="delay/4", candidates=["delay/4"], propensities=[1.0])
        log.shadowed(name, 1.0, model="delay/3")
        log.known(name, 0.0, hours + 0.5)
    return _state(log, champion="delay/4", challenger="delay/3", stage="watch", share=0.0)


def test_in_a_watch_the_new_champion_answers_and_the_old_one_is_compared(log: Any) -> None:
    primary = _look(log, _watch(log)).primary

    assert primary is not None
    assert (primary.champion, primary.challenger) == ("delay/4", "delay/3")
    assert {(b.champion_loss, b.challenger_loss, b.z) for b in primary.blocks} == {(4.0, 1.0, 3.0)}
    assert primary.totals.mixed == 0


@pytest.mark.parametrize(
    ("fields", "figures"),
    [
        pytest.param({"metric": "mse"}, (4.0, 1.0, 3.0), id="a loss is paired in shadow"),
        pytest.param(
            {"metric": "outcome", "direction": "lower"}, (None, None, None), id="an outcome is not"
        ),
    ],
)
def test_a_randomised_rule_watches_in_shadow_what_it_can(
    log: Any, fields: dict[str, Any], figures: tuple[Any, ...]
) -> None:
    rule = Rule(name="r", label_window_hours=1, design="randomised", **fields)

    primary = _look(log, _watch(log), rule).primary

    assert primary is not None
    assert {(b.champion_loss, b.challenger_loss, b.z) for b in primary.blocks} == {figures}
    assert [block.labelled for block in primary.blocks] == [1, 1, 1]
    assert (primary.rule, primary.arms) == (rule.hash, ())


def test_an_endpoint_without_a_log_is_looked_at_all_the_same(log: Any, tmp_path: Path) -> None:
    state = _state(log)

    gathered = gather(tmp_path / "none", rule=RULE, state=state, as_of=log.first)

    assert gathered.primary is not None
    assert (gathered.primary.blocks, gathered.answered) == ((), 0)
    assert (gathered.primary.champion, gathered.primary.challenger) == ("delay/3", "delay/4")


def test_a_moment_without_a_zone_is_refused(log: Any) -> None:
    with pytest.raises(ParameterError, match="a time without a zone"):
        gather(log.folder, rule=RULE, state=_state(log), as_of=log.first.replace(tzinfo=None))
