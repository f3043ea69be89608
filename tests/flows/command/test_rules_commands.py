"""`headrace rules` as people use it: check a rule, list what it said, judge that again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows._command.main import app
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving._evidence_document import Block, DesignEffect, Evidence, Totals
from serving.endpoints import Endpoints, EndpointSpec
from serving.judge import judge
from serving.rollout.assess import assess
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate

A, B = "flight_delay/1", "flight_delay/2"
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
RULE = Rule(
    name="better",
    metric="log_loss",
    label_window_hours=24,
    min_decisions=100,
    guardrails=(ErrorRate(max=0.01),),
)
SPEC = EndpointSpec(
    model="flight_delay", task="classification", clock="live", space="headrace",
    rule=RULE.document(),
)  # fmt: skip
YAML = "name: better\nmetric: log_loss\nlabel_window_hours: 24\nmin_decisions: 100\n"


class Desk:
    """This is a home with endpoints, in which commands are run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.endpoints = Endpoints(Database(home / "headrace.db"))

    def done(self, *words: str, said: str = "") -> str:
        """Run a command that succeeds, and return what it prints."""
        with using_settings(home=self.home, actor="ada"):
            done = CliRunner().invoke(app, ["rules", *words], input=said, catch_exceptions=False)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    def misfit(self, *words: str) -> str:
        """Run a command that prints what does not fit, and return that."""
        with using_settings(home=self.home, actor="ada"), using_clock(VirtualClock(NOON)):
            done = CliRunner().invoke(app, ["rules", *words], catch_exceptions=False)
        assert (done.exit_code, done.stderr) == (1, "")
        return done.stdout

    def refused(self, *words: str, said: str = "") -> str:
        """Run a command that is refused before it prints anything, and return why."""
        with using_settings(home=self.home, actor="ada"):
            done = CliRunner().invoke(app, ["rules", *words], input=said)
        assert done.stdout == ""
        assert isinstance(done.exception, HeadraceError), done.exception
        return f"Error: {done.exception}\n"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A home with the endpoint flight_delay, where version 2 challenges version 1."""
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    with using_settings(actor="ada"), using_clock(VirtualClock(NOON)):
        desk.endpoints.declare("flight_delay", spec=SPEC, champion=A, challenger=B, reason="a flow")
    return desk


def experiment(desk: Desk) -> str:
    return str(desk.endpoints.route("flight_delay").experiment)


def verdict(desk: Desk) -> dict[str, Any]:
    """Return what the judge of before says of three days of 100 decisions."""
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
            challenger_loss=0.25,
            z=0.25,
        )
        for day in range(3)
    )
    counts = {"censored": 0, "shadow_errors": 0, "shadow_missing": 0, "unusable": 0, "waiting": 0}
    counts |= {"shadow_failed": 0, "mixed": 0}
    counts |= dict.fromkeys(("decisions", "labelled", "paired", "shadow_tried"), 300)
    evidence = Evidence(
        experiment=experiment(desk),
        endpoint="flight_delay",
        champion=A,
        challenger=B,
        rule=RULE.hash,
        as_of=NOON + timedelta(days=5),
        newest=NOON + timedelta(days=2),
        totals=Totals(**counts),
        design=DesignEffect(requests=300, effective=None, request_z=None, block_z=None),
        blocks=blocks,
    )
    return judge(RULE, evidence).trace()


def ruling(desk: Desk, failures: int) -> dict[str, Any]:
    """Return what the rule says of 400 answers, of which some failed."""
    counts = {"trials": 400, "failures": failures}
    state = RolloutState(
        endpoint="flight_delay",
        generation=1,
        champion=A,
        challenger=B,
        experiment=experiment(desk),
        stage="shadow",
        share=0.0,
        design=None,
        began=NOON,
        since=NOON,
    )
    figures = (Figures(metric="error_rate", counts=counts),)
    gathered = Gathered(as_of=NOON, scope="live", primary=None, figures=figures)
    return assess(RULE, gathered, state).trace()


def recorded(desk: Desk, trace: dict[str, Any], *, at: datetime = NOON) -> None:
    with using_settings(actor="ada"), using_clock(VirtualClock(at)):
        desk.endpoints.record_verdict("flight_delay", experiment(desk), trace)


def decided(desk: Desk, *, hours: float, days: int = 30, a_day: int = 10) -> None:
    """Log decisions of days until NOON, each with an outcome so many hours later."""
    log = DecisionLog.open(desk.home / "decisions" / "flight_delay", writer="test")
    columns, records = log.columns(["wind"]), []
    for number in range(days * a_day):
        at = as_us(NOON - timedelta(days=days * (1 - number / (days * a_day))))
        known = at + round(hours * 3.6e9)
        records.append(
            {"kind": "decision", "id": f"d{number}", "at": at, "logged": at, "columns": columns}
            | {"features": [1.0], "entity": {}, "model": A, "score": 0.5}
        )
        said = {"kind": "outcome", "id": f"d{number}", "logged": known, "known_at": known}
        records += [said | {"value": 1.0}] if known <= as_us(NOON) else []
    log.append(records)
    log.close()


def test_a_rule_that_fits_what_is_deployed_says_how_long_it_takes(desk: Desk) -> None:
    decided(desk, hours=6)

    with using_clock(VirtualClock(NOON)):
        told = desk.done("check", "flight_delay", "--endpoint", "flight_delay")
        fit = json.loads(desk.done("check", "-", "--endpoint", "flight_delay", "--json", said=YAML))

    assert told.splitlines()[-9:] == [
        "At the endpoint 'flight_delay':",
        "  300 decisions in 29.9 days.",
        "  Half of the outcomes were known after 6.0 hours, 95 % after 6.0; the window is 24.",
        "  A verdict takes 20 days: 21.0 days at the earliest, and longer for a small advantage.",
        "  ? What flight_delay/1 takes is not known, so columns are not checked: There is no "
        "registered version with a bundle to serve it from 'flight_delay/1'. There are none.",
        "    Fix: Register the model with the operator `register`, which measures and writes it.",
        "  ? What flight_delay/2 takes is not known, so columns are not checked: There is no "
        "registered version with a bundle to serve it from 'flight_delay/2'. There are none.",
        "    Fix: Register the model with the operator `register`, which measures and writes it.",
        "It fits.",
    ]
    assert fit["fit"]["fits"]
    assert fit["fit"]["expected"] == {"blocks": 20, "days": 21.0}
    assert not fit["fit"]["is_deployed"]
    assert "begins anew" in fit["fit"]["warnings"][-1]["problem"]


def test_what_can_never_be_at_an_endpoint_is_exit_code_1_with_every_reason(desk: Desk) -> None:
    decided(desk, hours=30)
    (desk.home / "wrong.yaml").write_text(
        "name: wrong\nmetric: mae\nlabel_window_hours: 24\noutcome: revenue\nmax_days: 30\n"
    )
    (desk.home / "short.yaml").write_text(
        "name: short\nmetric: brier\nlabel_window_hours: 24\nmin_decisions: 100\n"
    )

    wrong = desk.misfit("check", "wrong.yaml", "--endpoint", "flight_delay", "--json")
    short = desk.misfit("check", "short.yaml", "--endpoint", "flight_delay")

    problems = [each["problem"] for each in json.loads(wrong)["fit"]["problems"]]
    assert "'revenue'" in problems[0]
    assert problems[1] == (
        "it compares by 'mae', which is of estimates, and flight_delay/1 is a model for "
        "classification."
    )
    assert (
        "  - Of 291 mature decisions 0.0% had an outcome within 24 hours, and 0.9 is needed; of "
        "those that came, 95 % took up to 30.0 hours.\n"
        "    Fix: Set 'label_window_hours' to 30 or more.\n"
    ) in short
    assert short.endswith("It does not fit.\n")


def test_a_rule_is_compared_with_no_endpoint_that_there_is_not(desk: Desk) -> None:
    said = desk.refused("check", "-", "--endpoint", "flight_dely", said=YAML)

    assert said.startswith(
        "Error: There is no endpoint 'flight_dely'. Did you mean 'flight_delay'?"
    )


def test_a_verdict_that_was_thinned_is_told_from_one_that_never_was(desk: Desk) -> None:
    for hour in range(3):
        moment = NOON + timedelta(hours=hour)
        trace = ruling(desk, 0)
        recorded(desk, trace | {"share": hour}, at=moment)
    with using_clock(VirtualClock(NOON + timedelta(days=40))):
        looked = desk.done("thin", "flight_delay", "--dry-run")
        done = json.loads(desk.done("thin", "--json"))

    assert looked.startswith("flight_delay: 1 verdicts would be thinned, ")
    assert done["endpoints"][0]["thinned"] == [2]
    assert desk.refused("replay", "2").startswith(
        "Error: Verdict 2 at 'flight_delay', which said 'hold' on 2013-06-01 13:00 UTC, was "
        "thinned on 2013-07-11 by ada: it changed nothing, and verdict 3 knew more."
    )
    assert desk.refused("replay", "9").startswith("Error: There is no verdict number 9.")
    listed = json.loads(desk.done("list", "flight_delay", "--json"))
    assert [each["action"] for each in listed] == ["hold"] * 3
    assert [each["number"] for each in listed if each["thinned"]] == [2]
    assert desk.done("list", "flight_delay").count("hold, thinned") == 1


@pytest.mark.parametrize(
    "command", [(), ("check",), ("list",), ("replay",), ("schema",), ("thin",)]
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...], tmp_path: Path) -> None:
    shown = Desk(tmp_path).done(*command, "--help")

    assert "Example: " + " ".join(("headrace rules", *command)) in shown


def test_a_rule_is_said_in_english_with_its_hash(desk: Desk) -> None:
    file = desk.home / "better.yaml"
    file.write_text(YAML)
    rule = RULE.model_copy(update={"guardrails": ()})

    told = json.loads(desk.done("check", str(file), "--json"))

    assert desk.done("check", "better.yaml") == f"{rule.english()}\n\nHash: {rule.hash}\n"
    assert desk.done("check", "-", said=YAML) == desk.done("check", str(file))
    assert told == {
        "name": "better",
        "hash": rule.hash,
        "english": rule.english(),
        "rule": rule.document(),
    }
    assert desk.done("check", "-", said=json.dumps(told["rule"])) == desk.done("check", str(file))


def test_the_rule_of_an_endpoint_is_said_by_its_name(desk: Desk) -> None:
    assert desk.done("check", "flight_delay") == f"{RULE.english()}\n\nHash: {RULE.hash}\n"


def test_what_is_wrong_with_a_rule_is_said_precisely(desk: Desk) -> None:
    (desk.home / "wrong.yaml").write_text(YAML + "ramp:\n  steps: [5, 50, 100]\n")

    assert desk.refused("check", "wrong.yaml") == (
        "Error: The rule 'better' is wrong: field 'ramp.steps' does not fit: the steps 5, 50, 100 "
        "are no shares, which are at most 1.\n  Fix: Write a share as a part of one: 0.05 for 5 %."
        "\n"
    )
    assert desk.refused("check", "-", said="") == (
        "Error: The rule is no mapping of fields, got NoneType.\n"
        "  Fix: Write one field a line, as in `alpha: 0.05`.\n"
    )


def test_a_wrong_rule_is_exit_code_1(desk: Desk) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), "rules", "check", "-"],
        env=os.environ | {"HEADRACE_HOME": str(desk.home)},
        input=YAML + "alpha: 0.5\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: The rule 'better' is wrong: field 'alpha' is 0.5 (float); expected a probability "
        "from 0.0001 to 0.2.\n  Fix: Set 'alpha' to a probability from 0.0001 to 0.2.\n"
    )


def test_what_is_no_rule_to_check_is_said(desk: Desk) -> None:
    bare = replace(SPEC, rule=None)
    with using_clock(VirtualClock(NOON)):
        desk.endpoints.declare("by_people", spec=bare, champion=A, reason="a flow")

    assert desk.refused("check", "flight_dely") == (
        "Error: There is no file or endpoint 'flight_dely'. Did you mean 'flight_delay'?\n"
        "  Fix: Give the path of a YAML file, the name of an endpoint, or - for the standard "
        "input.\n"
    )
    assert desk.refused("check", "none.yaml") == (
        "Error: The rule 'none.yaml' cannot be read: No such file or directory.\n"
        "  Fix: Give the path of a YAML file with a rule.\n"
    )
    assert desk.refused("check", "by_people") == (
        "Error: The endpoint 'by_people' has no rule: people decide there.\n"
        "  Fix: Deploy it with one: deploy(..., rule=Rule(...)).\n"
    )


def test_the_schema_is_what_editors_take(desk: Desk) -> None:
    schema = json.loads(desk.done("schema"))

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["alpha"]["description"] == (
        "How likely an equal challenger may be promoted, however often one looks. Expected: a "
        "probability from 0.0001 to 0.2."
    )
    assert "Args" not in json.dumps(schema)


def test_what_a_rule_said_is_listed_newest_first(desk: Desk) -> None:
    assert desk.done("list", "flight_delay") == (
        "No rule has said anything at the endpoint 'flight_delay' yet.\n"
    )
    recorded(desk, verdict(desk))
    recorded(desk, ruling(desk, 200), at=NOON + timedelta(hours=1))

    told = json.loads(desk.done("list", "flight_delay", "--json"))

    assert [line.split() for line in desk.done("list", "flight_delay").splitlines()] == [
        ["number", "at", "(UTC)", "actor", "action", "challenger", "experiment"],
        ["2", "2013-06-01", "13:00", "ada", "rollback", B, experiment(desk)],
        ["1", "2013-06-01", "12:00", "ada", "hold", B, experiment(desk)],
    ]
    assert [(each["number"], each["action"]) for each in told] == [(2, "rollback"), (1, "hold")]
    assert desk.refused("list", "flight_dely").startswith(
        "Error: There is no endpoint 'flight_dely'. Did you mean 'flight_delay'?"
    )


@pytest.mark.parametrize("made", [verdict, lambda desk: ruling(desk, 200)], ids=["old", "new"])
def test_a_verdict_is_judged_again_to_the_same_byte(desk: Desk, made: Any) -> None:
    recorded(desk, made(desk))

    said = desk.done("replay", "1")
    told = json.loads(desk.done("replay", "1", "--json"))
    (desk.home / "told.json").write_text(json.dumps(told))
    (desk.home / "trace.json").write_text(json.dumps(told["trace"], indent=4, sort_keys=True))

    assert said == (
        f"{told['prose']}\n\nJudged again, verdict 1 at 'flight_delay' is the same to the last "
        f"byte (sha256 {told['digest']}).\n"
    )
    assert (told["identical"], told["trace"]) == (True, desk.endpoints.judgement(1).trace)
    for file in ("told.json", "trace.json"):
        again = desk.done("replay", file).splitlines()
        assert again[:-1] == said.splitlines()[:-1]
        assert again[-1].endswith(f"(sha256 {told['digest']}).")


def test_a_trace_that_was_changed_is_refused(desk: Desk) -> None:
    trace = ruling(desk, 200) | {"action": "promote"}
    (desk.home / "forged.json").write_text(json.dumps(trace))

    said = desk.refused("replay", "forged.json")

    assert said.startswith("Error: Judging the trace again gives another action")
    assert "it says 'promote'" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("99", "Error: There is no verdict number 99."),
        ("none.json", "Error: The trace 'none.json' cannot be read: No such file or directory."),
        ("text.json", "Error: The trace 'text.json' cannot be read: it is no JSON."),
        ("list.json", "Error: The trace has the format None"),
    ],
)
def test_what_is_no_verdict_is_said(desk: Desk, source: str, said: str) -> None:
    (desk.home / "text.json").write_text("promote")
    (desk.home / "list.json").write_text("[]")

    assert desk.refused("replay", source).startswith(said)
