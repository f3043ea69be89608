"""`headrace endpoint judge`, `approve`, `hold` and `release`, as people use them."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from typer.testing import CliRunner

from flows._command.endpoint import app
from headrace.clock import VirtualClock, using_clock
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.rollout.assess import replay
from serving.rule import Rule
from serving.rule_stages import Approval, Watch

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
FIRST = datetime(2013, 6, 1, tzinfo=UTC)
RULE = Rule(name="better", metric="brier", label_window_hours=6, min_decisions=100)
ASKS = RULE.model_copy(update={"approval": Approval(by=("bob", "ada")).model_dump(mode="json")})


@dataclass(frozen=True, kw_only=True)
class Done:
    """This is how a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Desk:
    """This is a home with an endpoint, its log, and people who run commands there."""

    def __init__(self, home: Path, rule: Rule | None = RULE) -> None:
        self.home = home
        self.endpoints = Endpoints(Database(home / "headrace.db"))
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]  # free again when commands run: nobody answers
        spec = EndpointSpec(
            model="flight_delay",
            task="classification",
            clock="replayed",
            space="flight_delay",
            rule=None if rule is None else rule.document(),
        )
        with using_settings(actor="ada"), using_clock(VirtualClock(FIRST)):
            self.endpoints.declare(
                "flight_delay", spec=spec, champion=A, challenger=B, reason="a flow"
            )

    def __call__(self, *words: str, actor: str = "ada") -> Done:
        """Run `headrace endpoint` in this process: a new one each time takes a second or two."""
        nobody = f"http://127.0.0.1:{self.port}"
        with using_settings(home=self.home, actor=actor, mlflow_url=nobody, prefect_url=nobody):
            done = CliRunner().invoke(app, words)
        error = done.exception if isinstance(done.exception, HeadraceError) else None
        if error is None and done.exception is not None and done.exit_code == 1:
            raise done.exception
        said = "" if error is None else f"Error: {error}\n"  # as `flows._command.main` says it
        return Done(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr + said)

    def refused(self, *words: str, actor: str = "ada") -> str:
        done = self(*words, actor=actor)
        assert done.returncode == 1
        return done.stderr

    def saw(self, distance: float) -> None:
        """Log 25 days on which the challenger's scores were so far from what happened."""
        experiment = str(self.endpoints.route("flight_delay").experiment)
        with using_settings(home=self.home):
            folder = decisions_folder(settings(), "flight_delay")
        with DecisionLog.open(folder, writer="lane") as log:
            columns = log.columns(["wind"])
            for day in range(25):
                log.append(
                    [r for n in range(6) for r in _records(experiment, columns, day, n, distance)]
                )


def _records(
    experiment: str, columns: int, day: int, number: int, distance: float
) -> list[dict[str, Any]]:
    at = FIRST + timedelta(days=day, hours=1, minutes=30 * number)
    us, value = round(at.timestamp() * 1e6), float(number % 2)
    wobble = random.Random(day).uniform(0, 0.05)  # noqa: S311 - days differ, as days do
    shared = {"id": f"{day}-{number}", "logged": us}
    decision = {
        "kind": "decision", **shared, "at": us, "columns": columns, "features": [1.0],
        "entity": {}, "overridden": [], "missing": [], "model": A, "answer": {},
        "score": abs(value - 0.3 - wobble), "generation": 1, "experiment": experiment,
    }  # fmt: skip
    score = abs(value - distance - wobble)
    shadow = {"kind": "shadow", **shared, "model": B, "score": score, "experiment": experiment}
    known = us + 3 * 3_600_000_000
    outcome = {"kind": "outcome", **shared, "known_at": known, "logged": known, "value": value}
    return [decision, shadow | {"ms": 1.0}, outcome]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def asking(tmp_path: Path) -> Desk:
    """The same with a rule that asks bob or ada, who put the challenger up."""
    return Desk(tmp_path, ASKS)


@pytest.mark.parametrize("command", ["judge", "approve", "hold", "release"])
def test_every_command_has_help_with_an_example(command: str, desk: Desk) -> None:
    assert f"Example: headrace endpoint {command}" in desk(command, "--help").stdout


def test_a_look_says_what_the_rule_says_and_changes_nothing(desk: Desk) -> None:
    desk.saw(0.2)

    done = desk("judge", "flight_delay", "--dry-run")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Promote {B} at flight_delay: it replaces {A}.\n")
    assert desk.endpoints.route("flight_delay").champion == A
    assert desk.endpoints.verdict("flight_delay", _experiment(desk)) is None


def test_a_challenger_is_judged_and_promoted_at_once(desk: Desk) -> None:
    desk.saw(0.2)

    done = desk("judge", "flight_delay")

    assert done.returncode == 0
    assert "does not say so yet: The MLflow server at" in done.stderr
    assert f"Promote {B} at flight_delay" in done.stdout
    assert "Nothing is served now; the change is recorded" in done.stdout
    change = desk.endpoints.history("flight_delay")[-1]
    assert (change.action, change.actor, change.reason) == ("promote", "ada", "the rule 'better'")
    assert change.trace is not None


def test_rulings_are_told_as_json_with_their_traces(desk: Desk) -> None:
    desk.saw(0.4)

    told = json.loads(desk("judge", "flight_delay", "--json").stdout)

    [ruling] = told["rulings"]
    assert (told["champion"], told["generation"]) == (A, 1)
    assert (ruling["challenger"], ruling["action"], ruling["did"]) == (B, "hold", None)
    assert replay(ruling["trace"]).action == "hold"
    assert desk.endpoints.verdict("flight_delay", _experiment(desk)) == ruling["trace"]


def test_without_a_rule_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    assert Desk(tmp_path, None).refused("judge", "flight_delay") == (
        "Error: The endpoint 'flight_delay' has no rule to judge by.\n"
        "  Fix: Give one here, or where the endpoint is deployed: deploy(..., rule=Rule(...)).\n"
    )


def test_what_is_held_is_not_promoted_until_it_is_released(desk: Desk) -> None:
    desk.saw(0.2)

    held = desk("hold", "flight_delay", "--reason", "May is being corrected")
    desk("judge", "flight_delay")
    refused = desk.refused("hold", "flight_delay", "--reason", "again")
    kept = desk.endpoints.route("flight_delay").champion
    released = desk("release", "flight_delay")
    desk("judge", "flight_delay")

    assert held.stdout.startswith(
        "'flight_delay' is held: no rule promotes or ramps anything there. May is being corrected\n"
    )
    assert refused == (
        "Error: The endpoint 'flight_delay' is held already: May is being corrected\n"
        "  Fix: Let it go with `headrace endpoint release flight_delay`.\n"
    )
    assert kept == A
    assert released.stdout.startswith("'flight_delay' is released: rules promote and ramp again.\n")
    assert desk.endpoints.route("flight_delay").champion == B


def test_a_hold_needs_a_reason(desk: Desk) -> None:
    assert desk("hold", "flight_delay").returncode == 2


def test_an_approval_shows_what_it_is_about_and_lets_the_rule_act(asking: Desk) -> None:
    asking.saw(0.2)
    waiting = asking("judge", "flight_delay").stdout

    said = asking("approve", "flight_delay", "--reason", "slices look fine", actor="bob")
    asking("judge", "flight_delay")

    assert f"`headrace endpoint approve flight_delay {B}`" in waiting
    assert said.returncode == 0
    assert said.stdout.startswith(f"  Hold {B} at flight_delay")
    assert said.stdout.splitlines()[-2:] == [
        f"{B} at 'flight_delay' is approved by bob.",
        "The flow `rollout` acts on it, or `headrace endpoint judge flight_delay` now.",
    ]
    change = asking.endpoints.history("flight_delay")[-1]
    assert (change.action, change.reason) == ("promote", "the rule 'better', approved by bob")


def test_a_refusal_is_kept_with_its_reason(asking: Desk) -> None:
    asking.saw(0.2)
    asking("judge", "flight_delay")

    said = asking("approve", "flight_delay", B, "--refuse", "--reason", "not in July", actor="bob")
    told = json.loads(asking("judge", "flight_delay", "--json").stdout)

    assert f"{B} at 'flight_delay' is refused by bob.\n" in said.stdout
    assert told["rulings"][0]["action"] == "hold"
    assert told["rulings"][0]["waits_for_approval"] is False
    assert "bob refused it: not in July" in json.dumps(told)


def test_an_author_and_a_stranger_may_not_approve(asking: Desk) -> None:
    asking.saw(0.2)
    asking("judge", "flight_delay")

    author = asking.refused("approve", "flight_delay")
    stranger = asking.refused("approve", "flight_delay", actor="max")

    assert author == (
        f"Error: 'ada' put up or registered {B} at the endpoint 'flight_delay', and may not "
        "approve it.\n"
        "  Fix: Let somebody else look at it; HEADRACE_ACTOR says who you are.\n"
    )
    assert stranger == (
        f"Error: 'max' may not approve {B} at the endpoint 'flight_delay': the rule 'better' asks "
        "'bob', 'ada'.\n"
        "  Fix: Let one of them say it; HEADRACE_ACTOR says who you are.\n"
    )
    assert asking.endpoints.consents("flight_delay", _experiment(asking)) == []


def test_there_is_nothing_to_approve_before_the_first_ruling(asking: Desk) -> None:
    assert asking.refused("approve", "flight_delay", actor="bob") == (
        f"Error: No ruling on {B} at the endpoint 'flight_delay' by the rule 'better' is recorded: "
        "there is nothing yet to say something to.\n"
        "  Fix: Let it be judged first: `headrace endpoint judge flight_delay`.\n"
    )


def test_a_promotion_by_hand_needs_a_ruling_that_nothing_holds(asking: Desk) -> None:
    asking.saw(0.2)
    asking("judge", "flight_delay")
    newest = asking.endpoints.verdict("flight_delay", _experiment(asking))
    assert newest is not None

    refused = asking.refused("promote", "flight_delay", actor="bob")

    assert refused == (
        f"Error: The newest verdict does not promote {B} at the endpoint 'flight_delay'.\n"
        f"{indent(replay(newest).prose(), '  ')}\n"
        "  Fix: Wait for a verdict that does, or promote it all the same: "
        '`headrace endpoint promote flight_delay --force --reason "…"`.\n'
    )


def test_a_ruling_of_long_ago_promotes_nobody_by_hand(desk: Desk) -> None:
    desk.saw(0.2)
    told = json.loads(desk("judge", "flight_delay", "--dry-run", "--json").stdout)
    experiment, trace = _experiment(desk), told["rulings"][0]["trace"]
    desk.endpoints.record_verdict("flight_delay", experiment, trace)  # and whoever did so ended
    with using_settings(home=desk.home):
        folder = decisions_folder(settings(), "flight_delay")
    with DecisionLog.open(folder, writer="later") as log:
        columns = log.columns(["wind"])
        log.append(_records(experiment, columns, 32, 0, 0.9))

    refused = desk.refused("promote", "flight_delay")

    assert trace["action"] == "promote"
    assert refused == (
        f"Error: The newest verdict on {B} at the endpoint 'flight_delay' knows nothing of the "
        "last 190 hours; 168 are allowed.\n"
        "  Fix: Let it be judged again: `headrace endpoint judge flight_delay`, or promote it all "
        'the same: `headrace endpoint promote flight_delay --force --reason "…"`.\n'
    )


def test_a_hold_or_a_refusal_since_the_ruling_stops_a_promotion_by_hand(asking: Desk) -> None:
    asking.saw(0.2)
    experiment = _experiment(asking)
    asking("judge", "flight_delay")
    for approved, actor in ((True, "bob"), (True, "ada")):  # ada is the author: it does not count
        with using_settings(actor=actor):
            asking.endpoints.consent(
                "flight_delay", experiment, rule=ASKS.hash, approved=approved, reason=""
            )
    told = json.loads(asking("judge", "flight_delay", "--dry-run", "--json").stdout)
    trace = told["rulings"][0]["trace"]
    asking.endpoints.record_verdict("flight_delay", experiment, trace)
    asking.endpoints.change("flight_delay", "hold", generation=1, reason="", why="a strike")
    held = asking.refused("promote", "flight_delay")
    asking.endpoints.change("flight_delay", "release", generation=2, reason="")
    with using_settings(actor="bob"):
        asking.endpoints.consent(
            "flight_delay", experiment, rule=ASKS.hash, approved=False, reason="on second thought"
        )

    refused = asking.refused("promote", "flight_delay")
    forced = asking("promote", "flight_delay", "--force", "--reason", "the law")

    assert trace["action"] == "promote"
    assert held.startswith("Error: The endpoint 'flight_delay' is held: a strike\n")
    assert refused.startswith(
        f"Error: {B} at the endpoint 'flight_delay' is refused by bob: on second thought.\n"
    )
    assert forced.returncode == 0
    assert asking.endpoints.route("flight_delay").champion == B


def test_in_a_watch_the_way_back_is_a_rollback(tmp_path: Path) -> None:
    desk = Desk(tmp_path, RULE.model_copy(update={"watch": Watch().model_dump()}))
    desk.saw(0.2)
    desk("judge", "flight_delay")
    watched = desk.endpoints.route("flight_delay")

    refused = desk.refused("promote", "flight_delay", "--force", "--reason", "back")
    back = desk("rollback", "flight_delay", "--reason", "complaints")

    assert (watched.champion, watched.challenger) == (B, A)
    assert refused == (
        f"Error: {A} was the champion of the endpoint 'flight_delay', and watches whether {B} is "
        "worse.\n"
        "  Fix: Go back to it with `headrace endpoint rollback flight_delay`, or end the watch "
        f"with `headrace endpoint withdraw flight_delay {A}`.\n"
    )
    assert back.stdout.startswith(f"{B} is rolled back: {A} answers at 'flight_delay'.\n")
    assert desk.endpoints.route("flight_delay").rivals == ()


def _experiment(desk: Desk) -> str:
    return str(desk.endpoints.route("flight_delay").experiment)
