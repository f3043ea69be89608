"""`headrace endpoint` as people use it, on a database of their own and without a registry."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving._evidence_document import Block, DesignEffect, Evidence, Totals
from serving.endpoints import Endpoints, EndpointSpec, Lane, Replica
from serving.hosted import notices_folder, say_ready
from serving.judge import judge, replay
from serving.lane.notices import ShadowFigures, ShadowNotice, shadow_file, write_notice
from serving.rule import Rule

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
RULE = Rule(name="better", metric="log_loss", label_window_hours=24, min_decisions=100)
SPEC = EndpointSpec(
    model="flight_delay",
    task="classification",
    clock="replayed",
    space="flight_delay",
    lookups=({"view": "airport_weather", "keys": [["origin", "string"]]},),
    rule=RULE.document(),
)


class Desk:
    """This is a home with endpoints, in which commands are run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.endpoints = Endpoints(Database(home / "headrace.db"))
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]  # free again when commands run: nobody answers

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `headrace endpoint`."""
        ours = {
            "HEADRACE_HOME": str(self.home),
            "HEADRACE_MLFLOW_PORT": str(self.port),
            "HEADRACE_ACTOR": "ada",
        }
        return subprocess.run(
            [Path(sys.executable).with_name("headrace"), "endpoint", *words],
            env=os.environ | ours,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, *words: str) -> str:
        """Run a command that succeeds, and return what it prints."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def changed(self, *words: str) -> str:
        """Run a command that changes something, though nobody can be told of it here."""
        done = self(*words)
        assert (done.returncode, done.stderr.count("Warning: ")) == (0, 2)
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run a command that is refused, and return why."""
        done = self(*words)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A home with the endpoint flight_delay, where version 2 challenges version 1."""
    desk = Desk(tmp_path)
    with using_settings(actor="ada"), using_clock(VirtualClock(NOON)):
        desk.endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="a flow")
    return desk


def judged(desk: Desk, advantage: float, rule: Rule = RULE) -> dict[str, Any]:
    """Record what the rule says of 24 days on which the challenger was so much better."""
    experiment = str(desk.endpoints.route("flight_delay").experiment)
    blocks = tuple(
        Block(
            start=NOON.replace(hour=0) + timedelta(days=day),
            decisions=100,
            labelled=100,
            censored=0,
            paired=100,
            shadow_errors=0,
            shadow_missing=0,
            champion_loss=0.5,
            challenger_loss=0.5 - advantage * (1 + day % 3),
            z=advantage * (1 + day % 3),
        )
        for day in range(24)
    )
    totals = Totals(
        decisions=2400,
        labelled=2400,
        censored=0,
        paired=2400,
        shadow_errors=0,
        shadow_missing=0,
        unusable=0,
        waiting=0,
        shadow_tried=2400,
        shadow_failed=0,
        mixed=0,
    )
    evidence = Evidence(
        experiment=experiment,
        endpoint="flight_delay",
        champion=A,
        challenger=B,
        rule=rule.hash,
        as_of=NOON + timedelta(days=25),
        newest=NOON + timedelta(days=23),
        totals=totals,
        design=DesignEffect(requests=2400, effective=None, request_z=None, block_z=None),
        blocks=blocks,
    )
    trace = judge(rule, evidence).trace()
    desk.endpoints.record_verdict("flight_delay", experiment, trace)
    return trace


@pytest.fixture
def host(desk: Desk) -> None:
    """Say that the serving host runs; what it would report, tests report for it."""
    with using_settings(home=desk.home) as of:
        say_ready(of)


@pytest.mark.parametrize(
    "command",
    [
        *((), ("list",), ("show",), ("promote",), ("rollback",), ("challenge",), ("split",)),
        *(("share",), ("shadow",), ("withdraw",), ("redeploy",), ("history",)),
    ],
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...], tmp_path: Path) -> None:
    shown = Desk(tmp_path).done(*command, "--help")

    assert "Example: " + " ".join(("headrace endpoint", *command)) in shown


def test_before_the_first_endpoint_the_list_says_where_they_come_from(tmp_path: Path) -> None:
    assert Desk(tmp_path).done("list") == (
        "There is no endpoint yet; a flow that serves a model makes one.\n"
    )


def test_endpoints_are_listed_with_who_answers(desk: Desk) -> None:
    told = json.loads(desk.done("list", "--json"))

    assert desk.done("list").splitlines() == [
        "endpoint      champion        challenger      generation  state       address",
        "flight_delay  flight_delay/1  flight_delay/2  1           not served",
    ]
    assert told == [
        {
            "endpoint": "flight_delay",
            "generation": 1,
            "champion": A,
            "challenger": B,
            "experiment": desk.endpoints.route("flight_delay").experiment,
            "previous": None,
            "held": None,
            "also": [],
            "traffic": None,
            "state": "not served",
            "url": None,
        }
    ]


def test_an_endpoint_is_shown_with_its_models_inputs_and_history(desk: Desk) -> None:
    experiment = desk.endpoints.route("flight_delay").experiment

    assert desk.done("show", "flight_delay").splitlines() == [
        "flight_delay: flight_delay/1 answers",
        f"  challenger   flight_delay/2 in shadow, experiment {experiment}",
        "  inputs       replayed clock, space 'flight_delay', looked up in airport_weather",
        "  generation   1",
        "  lane         not served: start the services with `headrace up`",
        "",
        "History:",
        "  generation  at (UTC)             by   action   champion        challenger      reason",
        "  1           2013-06-01 12:00:00  ada  declare  flight_delay/1  flight_delay/2  a flow",
    ]


def test_a_served_endpoint_is_shown_with_its_address_and_its_shadow(desk: Desk, host: None) -> None:
    desk.endpoints.observe(
        "flight_delay",
        Lane(state="serving", generation=1, url="http://127.0.0.1:8100", pid=7, at=NOON),
    )

    with using_settings(home=desk.home) as of:
        shadow = ShadowNotice(model=B, generation=1, pid=8, scored=1200, failed=3, behind=512)
        write_notice(shadow_file(notices_folder(of), "flight_delay"), shadow)

    lines = desk.done("show", "flight_delay").splitlines()

    assert "  lane         serving generation 1 at http://127.0.0.1:8100, process 7" in lines
    assert (
        "  shadow       1,200 decisions scored, 3 of them failed, 0 left out, 512 bytes of the log "
        "behind"
    ) in lines
    assert lines[-2:] == ["Ask it:", "  what it takes: http://127.0.0.1:8100/openapi.json"]
    assert json.loads(desk.done("list", "--json"))[0]["url"] == "http://127.0.0.1:8100"


def test_every_replica_and_every_shadow_is_shown(desk: Desk, host: None) -> None:
    desk.endpoints.change(
        "flight_delay", "challenge", generation=1, reason="", challenger=C, beside=True
    )
    replicas = tuple(Replica(url=f"http://127.0.0.1:81{n}", pid=n, generation=2) for n in (10, 11))
    desk.endpoints.observe(
        "flight_delay",
        Lane(
            state="serving", generation=2, url=replicas[0].url, pid=10, at=NOON, replicas=replicas
        ),
    )

    with using_settings(home=desk.home) as of:
        figures = [ShadowFigures(model=model, experiment="e", scored=5) for model in (B, C)]
        notice = ShadowNotice.of(2, 8, figures)
        write_notice(shadow_file(notices_folder(of), "flight_delay"), notice)
    lines = desk.done("show", "flight_delay").splitlines()

    assert [line.split()[-1] for line in lines if line.startswith("  replica ")] == ["10", "11"]
    assert [line.split()[1] for line in lines if line.startswith("  shadow ")] == [f"{B}:", f"{C}:"]


def test_the_newest_verdict_is_shown_in_prose(desk: Desk) -> None:
    judged(desk, advantage=-0.01)
    trace = judged(desk, advantage=0.01)

    shown = desk.done("show", "flight_delay")
    told = json.loads(desk.done("show", "flight_delay", "--json"))

    assert "Promote flight_delay/2 at flight_delay: it replaces flight_delay/1." in shown
    assert told["verdict"]["trace"] == trace
    assert told["spec"] == SPEC.to_json()
    assert [change["action"] for change in told["history"]] == ["declare"]


def test_an_unknown_endpoint_is_said_with_the_nearest(desk: Desk) -> None:
    for command in ("show", "promote", "rollback"):
        assert desk.refused(command, "flight_dealy") == (
            "Error: There is no endpoint 'flight_dealy'. Did you mean 'flight_delay'?\n"
            "  Fix: List the endpoints with `headrace endpoint list`; a flow that serves a model "
            "makes one.\n"
        )


def test_a_challenger_whom_the_rule_promotes_is_promoted(desk: Desk) -> None:
    trace = judged(desk, advantage=0.01)

    done = desk("promote", "flight_delay")

    assert done.returncode == 0
    assert done.stdout == (
        "flight_delay/2 is promoted: flight_delay/2 answers at 'flight_delay'.\n"
        "Nothing is served now; the change is recorded, for the next `headrace up`.\n"
    )
    assert done.stderr.startswith(
        "Warning: The endpoint 'flight_delay' is at generation 2, but the aliases in the model "
        f"registry do not say so yet: The MLflow server at http://127.0.0.1:{desk.port} does not "
    )
    change = desk.endpoints.history("flight_delay")[-1]
    assert (change.action, change.actor) == ("promote", "ada")
    assert (change.reason, change.trace) == ("rule 'better' says promote", trace)


def test_without_a_verdict_nothing_is_promoted(desk: Desk) -> None:
    assert desk.refused("promote", "flight_delay") == (
        "Error: No verdict on flight_delay/2 at the endpoint 'flight_delay' is recorded.\n"
        "  Fix: Run the flow that judges it, or promote it without one: "
        '`headrace endpoint promote flight_delay --force --reason "…"`.\n'
    )


def test_the_newest_verdict_counts_and_its_reasons_are_told(desk: Desk) -> None:
    judged(desk, advantage=0.01)
    newest = replay(judged(desk, advantage=-0.01))

    said = desk.refused("promote", "flight_delay")

    assert newest.action == "hold"
    assert said == (
        "Error: The newest verdict does not promote flight_delay/2 at the endpoint "
        f"'flight_delay'.\n{indent(newest.prose(), '  ')}\n"
        "  Fix: Wait for a verdict that does, or promote it all the same: "
        '`headrace endpoint promote flight_delay --force --reason "…"`.\n'
    )
    assert desk.endpoints.route("flight_delay").champion == A


def test_a_verdict_by_another_rule_than_the_endpoints_does_not_promote(desk: Desk) -> None:
    judged(desk, 0.01, Rule(name="lax", metric="log_loss", label_window_hours=1, alpha=0.2))

    assert desk.refused("promote", "flight_delay") == (
        "Error: The newest verdict on flight_delay/2 at the endpoint 'flight_delay' is by the rule "
        "'lax', which has changed since or is not the endpoint's.\n"
        "  Fix: Run the flow that judges it again, or promote it without: "
        '`headrace endpoint promote flight_delay --force --reason "…"`.\n'
    )


def test_a_verdict_that_was_changed_by_hand_does_not_promote(desk: Desk) -> None:
    trace = judged(desk, advantage=-0.01)
    experiment = str(desk.endpoints.route("flight_delay").experiment)
    desk.endpoints.record_verdict("flight_delay", experiment, trace | {"action": "promote"})

    assert "it says 'promote', its rule and evidence say 'hold'" in desk.refused(
        "promote", "flight_delay"
    )


def test_force_needs_a_reason_and_both_are_kept_with_the_verdict(desk: Desk) -> None:
    trace = judged(desk, advantage=-0.01)

    bare = desk.refused("promote", "flight_delay", "--force")
    forced = desk("promote", "flight_delay", "--force", "--reason", "the law changed")

    assert bare == (
        "Error: --force was given without a reason.\n"
        '  Fix: Say why, for those who come later: --force --reason "…".\n'
    )
    assert forced.returncode == 0
    change = desk.endpoints.history("flight_delay")[-1]
    assert change.reason == "forced: the law changed"
    assert change.trace == trace
    assert "promote  flight_delay/2                  forced: the law changed" in desk.done(
        "show", "flight_delay"
    )


def test_rollback_brings_the_previous_champion_back_once(desk: Desk) -> None:
    desk.endpoints.change("flight_delay", "promote", generation=1, reason="")

    done = desk("rollback", "flight_delay", "--reason", "complaints")

    assert done.stdout.splitlines()[0] == (
        "flight_delay/2 is rolled back: flight_delay/1 answers at 'flight_delay'."
    )
    assert desk.endpoints.history("flight_delay")[-1].reason == "complaints"
    assert desk.refused("rollback", "flight_delay").startswith(
        "Error: The endpoint 'flight_delay' has nothing to roll back to"
    )


def test_before_any_promotion_rollback_withdraws_the_challenger(desk: Desk) -> None:
    done = desk("rollback", "flight_delay")

    assert done.stdout.splitlines()[0] == (
        "flight_delay/2 is withdrawn: flight_delay/1 answers at 'flight_delay'."
    )
    assert desk.endpoints.route("flight_delay").challenger is None


def test_a_change_waits_until_requests_are_answered_accordingly(desk: Desk, host: None) -> None:
    def apply() -> None:  # as the serving host does
        while desk.endpoints.revision() < 2:
            time.sleep(0.02)
        lane = Lane(state="serving", generation=2, url="http://127.0.0.1:8100", pid=7, at=NOON)
        desk.endpoints.observe("flight_delay", lane)

    applying = threading.Thread(target=apply)
    applying.start()

    done = desk("rollback", "flight_delay")

    applying.join()
    assert done.returncode == 0
    assert re.fullmatch(
        r"Applied at http://127\.0\.0\.1:8100 after \d+\.\d\d s\.", done.stdout.splitlines()[1]
    )


def test_a_lane_that_cannot_apply_a_change_says_why(desk: Desk, host: None) -> None:
    lane = Lane(state="failed", generation=2, message="flight_delay/1 has no bundle.", at=NOON)
    desk.endpoints.observe("flight_delay", lane)

    done = desk("rollback", "flight_delay")

    assert done.returncode == 1
    assert done.stderr.endswith(
        "Error: The endpoint 'flight_delay' cannot serve generation 2: flight_delay/1 has no "
        "bundle.\n"
        "  Fix: Correct that, or go back with `headrace endpoint rollback flight_delay`.\n"
    )


def test_a_challenger_is_given_a_share_which_grows_and_goes(desk: Desk) -> None:
    begun = desk.changed("split", "flight_delay", "--share", f"{B}=0.05", "--unit", "tail")
    grown = desk.changed("share", "flight_delay", f"{B}=0.2", "--reason", "no complaints")
    shown = desk.done("show", "flight_delay")
    ended = desk.changed("shadow", "flight_delay")

    assert begun.splitlines()[0] == f"Shares at 'flight_delay': {B} 0.05, and {A} the rest."
    assert grown.splitlines()[0] == f"Shares at 'flight_delay': {B} 0.2, and {A} the rest."
    assert f"  challenger   {B} answers 0.2, experiment " in shown
    assert "  traffic      'ab', units of tail" in shown
    assert ended.splitlines()[0] == (
        f"{A} answers all requests at 'flight_delay'; challengers are in shadow."
    )
    assert [c.action for c in desk.endpoints.history("flight_delay")] == [
        "declare", "split", "reweigh", "shadow",
    ]  # fmt: skip


def test_a_second_challenger_stands_beside_the_first(desk: Desk) -> None:
    first = desk.endpoints.route("flight_delay").experiment

    desk.changed("challenge", "flight_delay", C, "--beside", "--reason", "a third one")
    listed = desk.done("list").splitlines()[1]
    gone = desk.changed("withdraw", "flight_delay", C)

    assert f"{B}, {C}" in listed
    assert gone.splitlines()[0] == f"{C} is withdrawn: {A} answers at 'flight_delay'."
    assert desk.endpoints.route("flight_delay").experiment == first


def test_the_history_says_who_changed_what_and_why(desk: Desk) -> None:
    desk.changed("challenge", "flight_delay", C, "--reason", "newer data")

    newest = desk.done("history", "flight_delay", "--last", "1").splitlines()[1]
    told = json.loads(desk.done("history", "flight_delay", "--json"))

    assert re.fullmatch(
        rf"  2 +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  ada  challenge +{A} +{C} +newer data", newest
    )
    assert [change["action"] for change in told] == ["challenge", "declare"]


def test_a_share_that_is_none_is_refused(desk: Desk) -> None:
    assert desk.refused("split", "flight_delay", "--share", B) == (
        f"Error: '{B}' is not a challenger and its share.\n"
        "  Fix: Write it as in flight_delay/2=0.05, which is 5 % of the requests.\n"
    )
    assert desk.refused("split", "flight_delay", "--share", f"{C}=0.5") == (
        f"Error: {C} does not challenge {A} at the endpoint 'flight_delay'; {B} does. "
        f"Did you mean '{B}'?\n"
        f"  Fix: Let it challenge first: `headrace endpoint challenge flight_delay {C}`.\n"
    )
    assert desk.refused("share", "flight_delay", f"{B}=0.5") == (
        "Error: The endpoint 'flight_delay' deals no traffic to challengers.\n"
        "  Fix: Begin with `headrace endpoint split flight_delay --share NAME/3=0.05`.\n"
    )
