"""An answer that a person gave in a flow counts as the approval that a rule asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace import Report
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError, DefinitionError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.consent import consent
from serving.endpoints import Endpoints, EndpointSpec
from serving.rollout.standing import state_of
from serving.rule import Rule
from serving.rule_stages import Approval

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = Rule(
    name="asks", metric="log_loss", label_window_hours=24, approval=Approval(by=("bob", "eve"))
)


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    """An endpoint where ann put up a challenger."""
    spec = EndpointSpec(
        model="delay", task="classification", clock="live", space="headrace", lookups=(),
        rule=RULE.document(),
    )  # fmt: skip
    with using_settings(home=tmp_path, actor="ann"), using_clock(VirtualClock(NOON)):
        made = Endpoints(Database(settings().database_url))
        made.declare("delay", spec=spec, champion="delay/1", challenger="delay/2", reason="a flow")
        yield made


def answered(by: str, decision: str = "approved", note: str = "fine") -> Report:
    return Report.of(
        {
            "passed": decision == "approved",
            "decision": decision,
            "approved_by": by,
            "note": note,
            "asked_at": NOON.isoformat(),
            "decided_at": NOON.isoformat(),
        }
    )


def test_an_answer_in_a_flow_is_what_the_evaluator_sees(endpoints: Endpoints) -> None:
    told = consent(answered("bob"), endpoint="delay").document

    said = state_of(endpoints, endpoints.route("delay"), "delay/2").said
    assert said is not None
    assert (said.approved, said.actor, said.reason) == (True, "bob", "fine")
    assert (told["passed"], told["changed"]) == (True, True)
    assert told["told"] == "delay/2 at 'delay' is approved by bob."


def test_the_same_answer_again_is_not_said_twice(endpoints: Endpoints) -> None:
    first, again = (consent(answered("bob"), endpoint="delay").document for _ in range(2))

    assert (first["changed"], again["changed"]) == (True, False)
    experiment = str(endpoints.route("delay").experiment)
    assert len(endpoints.consents("delay", experiment)) == 1


def test_a_refusal_counts_too_and_the_newest_word_is_the_word(endpoints: Endpoints) -> None:
    consent(answered("bob"), endpoint="delay")
    refused = consent(answered("eve", "refused", "too soon"), endpoint="delay").document

    said = state_of(endpoints, endpoints.route("delay"), "delay/2").said
    assert said is not None
    assert (said.approved, said.actor) == (False, "eve")
    assert refused["passed"] is False


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("ann", "'ann' may not approve delay/2 at the endpoint 'delay'"),
        ("kim", "'kim' may not approve delay/2 at the endpoint 'delay'"),
    ],
)
def test_whoever_may_not_approve_cannot_do_so_in_a_flow_either(
    endpoints: Endpoints, who: str, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        consent(answered(who), endpoint="delay")

    assert endpoints.consents("delay", str(endpoints.route("delay").experiment)) == []


def test_an_answer_does_not_count_for_a_challenger_that_came_after_the_question(
    endpoints: Endpoints,
) -> None:
    """Another challenger is put up while the question waits: nobody was asked about that one."""
    spec = endpoints.spec("delay")
    with using_clock(VirtualClock(NOON + timedelta(hours=1))):
        endpoints.declare(
            "delay", spec=spec, champion="delay/1", challenger="delay/3", reason="trained again"
        )

        with pytest.raises(DataError) as refused:
            consent(answered("bob"), endpoint="delay")

    assert str(refused.value) == (
        "The question was asked at 2026-03-01 12:00:00 UTC, before delay/3 began to challenge at "
        "the endpoint 'delay' (2026-03-01 13:00:00 UTC), so its answer is not about that.\n"
        "  Fix: Ask again, or approve it with `headrace endpoint approve delay delay/3`."
    )
    assert endpoints.consents("delay", str(endpoints.route("delay").experiment)) == []


def test_a_report_of_something_else_is_no_answer(endpoints: Endpoints) -> None:
    report = Report.of({"passed": True})

    with pytest.raises(DataError) as refused:
        consent(report, endpoint="delay")

    assert str(refused.value) == (
        f"The report {report.digest[:12]} is no answer of `approve`: it lacks 'decision'.\n"
        "  Fix: Give what `approve` returned."
    )
