"""What is recorded of rollouts: consents, numbered verdicts, holds, and experiments begun anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.errors import UnknownNameError
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.rule import Rule

A, B, C = "delay/1", "delay/2", "delay/3"
RULE = Rule(name="better", metric="log_loss", label_window_hours=24)
SPEC = EndpointSpec(
    model="delay", task="classification", clock="live", space="headrace", lookups=(),
    rule=RULE.document(),
)  # fmt: skip
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    """One endpoint where two versions challenge a third."""
    made = Endpoints(Database(f"sqlite:///{tmp_path / 'headrace.db'}"))
    made.declare("delay", spec=SPEC, champion=A, challenger=B, also=[C], reason="a flow")
    return made


def test_verdicts_are_numbered_and_the_same_one_again_keeps_its_number(
    endpoints: Endpoints,
) -> None:
    first, second = (endpoints.route("delay").experiment_of(model) for model in (B, C))

    numbers = [
        endpoints.record_verdict("delay", str(first), {"action": "hold"}),
        endpoints.record_verdict("delay", str(first), {"action": "hold"}),
        endpoints.record_verdict("delay", str(second), {"action": "hold"}),
        endpoints.record_verdict("delay", str(first), {"action": "promote"}),
    ]

    assert numbers == [1, 1, 2, 3]
    assert endpoints.newest_verdicts() == {"delay": 3}
    found = endpoints.judgement(3)
    assert (found.number, found.endpoint, dict(found.trace)) == (3, "delay", {"action": "promote"})
    assert [each.number for each in endpoints.judgements("delay", str(first))] == [3, 1]
    assert [each.number for each in endpoints.judgements("delay", str(first), last=1)] == [3]
    assert [(each.number, each.experiment) for each in endpoints.verdicts("delay", last=2)] == [
        (3, first),
        (2, second),
    ]


def test_a_number_that_no_verdict_has_is_said(endpoints: Endpoints) -> None:
    with pytest.raises(UnknownNameError) as refused:
        endpoints.judgement(99)

    assert str(refused.value) == (
        "There is no verdict number 99.\n"
        "  Fix: See the numbers with `headrace rules list ENDPOINT`."
    )


def test_what_people_said_stays_with_who_when_and_about_which_rule(endpoints: Endpoints) -> None:
    experiment = str(endpoints.route("delay").experiment)

    with using_clock(VirtualClock(NOON)), using_settings(actor="bob"):
        endpoints.consent("delay", experiment, rule=RULE.hash, approved=False, reason="too soon")
        endpoints.consent("delay", experiment, rule=RULE.hash, approved=True, reason="")

    said = endpoints.consents("delay", experiment)
    assert [(each.actor, each.approved, each.reason, each.at) for each in said] == [
        ("bob", False, "too soon", NOON),
        ("bob", True, "", NOON),
    ]
    assert {each.rule for each in said} == {RULE.hash}
    assert endpoints.consents("delay", "another") == []


def test_a_hold_is_a_change_like_any_other_and_outlives_the_process(endpoints: Endpoints) -> None:
    held = endpoints.change("delay", "hold", generation=1, reason="audit", why="audit")

    assert endpoints.route("delay") == held
    assert held.held == "audit"
    free = endpoints.change("delay", "release", generation=2, reason="done")
    assert free.held is None
    assert [each.action for each in endpoints.history("delay")] == ["declare", "hold", "release"]


def test_another_rule_begins_every_experiment_anew(endpoints: Endpoints) -> None:
    before = endpoints.route("delay")
    stricter = replace(SPEC, rule=RULE.model_copy(update={"alpha": 0.01}).document())

    after, changed = endpoints.declare(
        "delay", spec=stricter, champion=A, challenger=B, also=[C], reason="stricter"
    )
    again, changed_again = endpoints.declare(
        "delay", spec=stricter, champion=A, challenger=B, also=[C], reason="the same"
    )

    assert (changed, changed_again) == (True, False)
    assert [rival.model for rival in after.rivals] == [B, C]
    assert {r.experiment for r in after.rivals}.isdisjoint(r.experiment for r in before.rivals)
    assert again == after


def test_the_same_rule_leaves_experiments_as_they_run(endpoints: Endpoints) -> None:
    before = endpoints.route("delay")

    after, _ = endpoints.declare(
        "delay", spec=replace(SPEC, may_lack=("tails",)), champion=A, challenger=B, reason="views"
    )

    assert after.generation == before.generation + 1
    assert after.rivals == before.rivals
