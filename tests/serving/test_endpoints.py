"""What is recorded of endpoints, in a real database, by several processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import VirtualClock, using_clock
from headrace.errors import ParameterError, ServiceError, UnknownNameError
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.endpoints import Endpoints, EndpointSpec, Lane, OvertakenError
from serving.routing import RoutingError

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
SPEC = EndpointSpec(
    model="flight_delay",
    task="classification",
    clock="replayed",
    space="flight_delay",
    may_lack=("tail_history",),
    lookups=({"view": "airport_weather", "keys": ["origin"]},),
    rule={"metric": "log_loss", "alpha": 0.05},
)


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(Database(tmp_path / "headrace.db"))


@pytest.fixture
def shadowed(endpoints: Endpoints) -> Endpoints:
    """The endpoint flight_delay, with a champion and a challenger."""
    endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="first")
    return endpoints


def test_a_declared_endpoint_has_a_route_a_spec_and_no_lane_yet(shadowed: Endpoints) -> None:
    route = shadowed.route("flight_delay")

    assert (route.generation, route.champion, route.challenger) == (1, A, B)
    assert shadowed.spec("flight_delay") == SPEC
    assert shadowed.lane("flight_delay") is None
    assert shadowed.names() == ["flight_delay"]


def test_declaring_the_same_again_changes_nothing(shadowed: Endpoints) -> None:
    promoted = shadowed.change("flight_delay", "promote", generation=1, reason="better")

    again = shadowed.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="rerun")

    assert again == (promoted, False)
    assert len(shadowed.history("flight_delay")) == 2


def test_a_declaration_that_changed_nothing_is_remembered_too(shadowed: Endpoints) -> None:
    shadowed.change("flight_delay", "promote", generation=1, reason="better")
    lost = shadowed.declare("flight_delay", spec=SPEC, champion=A, challenger=C, reason="lost")
    shadowed.change("flight_delay", "challenge", generation=2, challenger=C, reason="try")
    shadowed.change("flight_delay", "promote", generation=3, reason="better")

    again = shadowed.declare("flight_delay", spec=SPEC, champion=A, challenger=C, reason="rerun")

    assert lost[1] is False
    assert again == (shadowed.route("flight_delay"), False)
    assert again[0].champion == C


def test_a_changed_spec_alone_is_a_new_generation_and_keeps_the_experiment(
    shadowed: Endpoints,
) -> None:
    before = shadowed.route("flight_delay")
    live = replace(SPEC, clock="live")

    after, changed = shadowed.declare(
        "flight_delay", spec=live, champion=A, challenger=B, reason="live now"
    )

    assert changed
    assert after == replace(before, generation=2)
    assert shadowed.spec("flight_delay") == live
    assert [change.spec for change in shadowed.history("flight_delay")] == [SPEC, live]


def test_history_keeps_who_did_what_when_and_why(shadowed: Endpoints) -> None:
    trace = {"verdict": "promote", "blocks": 24}

    with using_settings(actor="ada"), using_clock(VirtualClock(NOON)):
        shadowed.change("flight_delay", "promote", generation=1, reason="better", trace=trace)

    change = shadowed.history("flight_delay")[-1]
    assert (change.generation, change.action, change.actor) == (2, "promote", "ada")
    assert (change.at, change.reason, change.trace, change.spec) == (NOON, "better", trace, None)
    assert change.before is not None
    assert (change.before.champion, change.after.champion) == (A, B)


def test_of_two_changes_from_one_generation_the_second_is_told_who_was_faster(
    shadowed: Endpoints,
) -> None:
    with using_settings(actor="ada"), using_clock(VirtualClock(NOON)):
        shadowed.change("flight_delay", "withdraw", generation=1, reason="")

    with pytest.raises(OvertakenError) as refused:
        shadowed.change("flight_delay", "promote", generation=1, reason="")

    assert str(refused.value) == (
        "The endpoint 'flight_delay' is at generation 2, not 1: ada made it so by 'withdraw' at "
        "2013-06-01 12:00:00 UTC.\n"
        "  Fix: Look at it again with `headrace endpoint show flight_delay`, then decide anew."
    )
    assert shadowed.route("flight_delay").champion == A


def test_a_change_without_a_generation_is_made_from_whichever_there_is(
    shadowed: Endpoints,
) -> None:
    shadowed.change("flight_delay", "promote", generation=None, reason="")
    back = shadowed.change("flight_delay", "rollback", generation=None, reason="")

    assert (back.champion, back.generation) == (A, 3)


def test_of_many_processes_that_change_at_once_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    endpoints = Endpoints(Database(path))
    endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="first")
    code = """
import sys
from pathlib import Path
from headrace.lineage.database import Database
from serving.endpoints import Endpoints, OvertakenError
endpoints = Endpoints(Database(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
try:
    endpoints.change("flight_delay", sys.argv[2], generation=1, reason=sys.argv[2])
    print("won")
except OvertakenError:
    print("overtaken")
"""
    command = [sys.executable, "-c", code, str(path)]
    rivals = [
        subprocess.Popen(
            [*command, action], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for action in ("promote", "withdraw", "promote")
    ]
    for rival in rivals:
        assert rival.stdout is not None
        rival.stdout.readline()

    said = []
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        said.append(rival.communicate(timeout=60)[0].strip())

    assert sorted(said) == ["overtaken", "overtaken", "won"]
    assert [change.generation for change in endpoints.history("flight_delay")] == [1, 2]
    assert endpoints.route("flight_delay").generation == 2


def test_threads_that_declare_a_new_endpoint_at_once_make_one(endpoints: Endpoints) -> None:
    changed: list[bool] = []

    def declaring() -> None:
        changed.append(
            endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="")[1]
        )

    threads = [threading.Thread(target=declaring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(changed) == [False, False, False, True]


def test_the_revision_grows_with_every_change_of_route_or_spec_and_with_nothing_else(
    endpoints: Endpoints,
) -> None:
    seen = [endpoints.revision()]

    endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="")
    seen.append(endpoints.revision())
    endpoints.declare("late_bags", spec=SPEC, champion=A, reason="")
    seen.append(endpoints.revision())
    endpoints.change("flight_delay", "promote", generation=1, reason="")
    seen.append(endpoints.revision())
    endpoints.declare("late_bags", spec=replace(SPEC, space="x"), champion=A, reason="")
    seen.append(endpoints.revision())
    endpoints.declare("late_bags", spec=replace(SPEC, space="x"), champion=A, reason="")
    endpoints.record_verdict("flight_delay", "e1", {"verdict": "hold"})
    endpoints.observe("flight_delay", Lane(state="serving", generation=2, at=NOON))

    assert seen == [0, 1, 2, 3, 4]
    assert endpoints.revision() == 4


def test_the_newest_verdict_of_an_experiment_counts_and_all_are_kept(shadowed: Endpoints) -> None:
    hold, promote = {"verdict": "hold", "blocks": 12}, {"verdict": "promote", "blocks": 24}

    for trace in (hold, hold, promote, hold):
        shadowed.record_verdict("flight_delay", "e1", trace)

    assert shadowed.verdict("flight_delay", "e1") == hold
    assert shadowed.verdict("flight_delay", "e2") is None
    traces = [judgement.trace for judgement in shadowed.judgements("flight_delay", "e1")]
    assert traces == [hold, promote, hold]


def test_a_lane_is_shown_as_it_was_last_seen(shadowed: Endpoints) -> None:
    starting = Lane(state="starting", generation=1, at=NOON)
    serving = Lane(state="serving", generation=1, url="http://127.0.0.1:8100", pid=7, at=NOON)

    shadowed.observe("flight_delay", starting)
    shadowed.observe("flight_delay", serving)

    assert shadowed.lane("flight_delay") == serving


def test_waiting_ends_when_the_lane_answers_with_the_generation(shadowed: Endpoints) -> None:
    shadowed.observe("flight_delay", Lane(state="failed", generation=0, message="old", at=NOON))
    serving = Lane(state="serving", generation=1, url="http://127.0.0.1:8100", at=NOON)
    host = threading.Timer(0.2, lambda: shadowed.observe("flight_delay", serving))

    host.start()
    found = shadowed.wait_applied("flight_delay", 1, timeout_seconds=30, alive=lambda: True)
    host.join()

    assert found == serving


@pytest.mark.parametrize(
    ("seen", "alive", "message"),
    [
        pytest.param(
            Lane(state="failed", generation=1, message="flight_delay/1 fails parity.", at=NOON),
            True,
            "The endpoint 'flight_delay' cannot serve generation 1: flight_delay/1 fails parity.\n"
            "  Fix: Correct that, or go back with `headrace endpoint rollback flight_delay`.",
            id="the lane failed",
        ),
        pytest.param(
            Lane(state="serving", generation=1, at=NOON),
            False,
            "Nothing serves the endpoint 'flight_delay': the serving host does not run.\n"
            "  Fix: Start it with `headrace up`; it applies what is recorded.",
            id="the host is down, and what it wrote is old",
        ),
        pytest.param(
            Lane(state="serving", generation=0, at=NOON),
            True,
            "The endpoint 'flight_delay' does not answer with generation 1 after 0.1 s: its lane "
            "is serving at generation 0.\n"
            "  Fix: Look at the service and its log with `headrace status`, or wait longer.",
            id="it takes too long",
        ),
        pytest.param(
            None,
            True,
            "The endpoint 'flight_delay' does not answer with generation 1 after 0.1 s: the "
            "serving host never reported on it.\n"
            "  Fix: Look at the service and its log with `headrace status`, or wait longer.",
            id="the host does not know it",
        ),
    ],
)
def test_waiting_for_what_does_not_come_says_why(
    seen: Lane | None, alive: bool, message: str, shadowed: Endpoints
) -> None:
    if seen is not None:
        shadowed.observe("flight_delay", seen)

    with pytest.raises(ServiceError) as refused:
        shadowed.wait_applied("flight_delay", 1, timeout_seconds=0.1, alive=lambda: alive)

    assert str(refused.value) == message


def test_an_unknown_endpoint_is_said_with_the_nearest(shadowed: Endpoints) -> None:
    message = (
        "There is no endpoint 'flight_dealy'. Did you mean 'flight_delay'?\n"
        "  Fix: List the endpoints with `headrace endpoint list`; a flow that serves a model makes "
        "one."
    )
    lane = Lane(state="serving", generation=1, at=NOON)

    for asked in (
        shadowed.route,
        shadowed.spec,
        shadowed.lane,
        shadowed.history,
        lambda name: shadowed.verdict(name, "e1"),
        lambda name: shadowed.record_verdict(name, "e1", {}),
        lambda name: shadowed.observe(name, lane),
        lambda name: shadowed.change(name, "promote", generation=None, reason=""),
        lambda name: shadowed.wait_applied(name, 1, timeout_seconds=0),
    ):
        with pytest.raises(UnknownNameError) as refused:
            asked("flight_dealy")
        assert str(refused.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"champion": "late_bags/1"}, id="as champion"),
        pytest.param({"challenger": "late_bags/1"}, id="as challenger"),
        pytest.param({"spec": replace(SPEC, model="late_bags")}, id="in the spec"),
    ],
)
def test_an_endpoint_serves_versions_of_one_registered_model(
    changes: dict[str, Any], shadowed: Endpoints
) -> None:
    proposal = {"spec": SPEC, "champion": A, "challenger": C, "reason": ""} | changes

    with pytest.raises(RoutingError) as refused:
        shadowed.declare("flight_delay", **proposal)

    assert str(refused.value) == (
        "The endpoint 'flight_delay' serves versions of 'flight_delay', not of 'late_bags'.\n"
        "  Fix: Register the model as a version of 'flight_delay', or serve it at an endpoint of "
        "its own."
    )
    assert len(shadowed.history("flight_delay")) == 1


def test_a_challenger_is_named_where_an_action_is_about_one(shadowed: Endpoints) -> None:
    for action, challenger in (("challenge", None), ("rollback", C)):
        with pytest.raises(ParameterError) as refused:
            shadowed.change(
                "flight_delay",
                action,  # type: ignore[arg-type]
                generation=None,
                challenger=challenger,
                reason="",
            )
        assert str(refused.value) == (
            f"The action '{action}' was given the challenger {challenger}.\n"
            "  Fix: Name one for 'challenge' and 'ramp', one of several for 'promote', "
            "'withdraw', 'restart' and 'shadow', and none for any other action."
        )


def test_a_refused_change_leaves_no_trace(shadowed: Endpoints) -> None:
    with pytest.raises(ParameterError) as refused:
        shadowed.change("flight_delay", "promote", generation=1, reason="", trace={"models": {A}})

    assert str(refused.value) == (
        "The 'trace' of an endpoint cannot be kept as JSON: set is not JSON-like.\n"
        "  Fix: Give text, finite numbers, booleans, None, and lists and dicts of these."
    )
    assert shadowed.route("flight_delay").generation == 1
    assert len(shadowed.history("flight_delay")) == 1


def test_a_spec_has_a_clock_that_there_is() -> None:
    with pytest.raises(ParameterError) as refused:
        replace(SPEC, clock="virtual")  # type: ignore[arg-type]

    assert str(refused.value) == (
        "An endpoint's clock cannot be 'virtual'.\n"
        "  Fix: Give 'live', or 'replayed' where requests say when they are decided."
    )


DOCUMENTS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
).map(MappingProxyType)  # fmt: skip


@given(lookups=st.lists(DOCUMENTS, max_size=2), rule=st.none() | DOCUMENTS)
def test_a_spec_is_the_same_after_a_round_trip(
    lookups: list[Mapping[str, Any]], rule: Mapping[str, Any] | None
) -> None:
    spec = replace(SPEC, lookups=tuple(lookups), rule=rule)

    again = EndpointSpec.from_json(json.loads(json.dumps(spec.to_json())))

    assert again == spec
