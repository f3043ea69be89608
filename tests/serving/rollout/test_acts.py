"""What a ruling says is done: once, whoever else does, and told to the end after any crash."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.decisions import DecisionLog
from headrace.errors import DefinitionError, ParameterError, ServiceError
from headrace.recording import Event
from headrace.settings import Settings, settings, using_settings
from serving import _mlflow
from serving._aliases import sync_aliases
from serving._models import create_logged_model
from serving.acting import AliasesBehindError
from serving.endpoints import Endpoints, EndpointSpec, OvertakenError
from serving.hosted import decisions_folder
from serving.registry import Registry
from serving.rollout import acts, settling
from serving.rollout.acts import carry_out, look, step_of
from serving.rollout.assess import replay
from serving.rollout.judging import Judged, judge_all
from serving.rollout.ruling import Ruling
from serving.rollout.settling import settle
from serving.rule import Rule
from serving.rule_stages import Approval, Ramp, Watch

RULE = Rule(name="better", metric="brier", label_window_hours=6, min_decisions=100)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
NOW = FIRST + timedelta(days=26)
WORSE, GOOD, BEST = 0.4, 0.2, 0.1  # how far a score is from what then happened; the champion's: 0.3


class Place:
    """This is an endpoint of a registered model, and a log of 25 days of decisions at it.

    Args:
        model: The registered name; versions 1 to 4 are there.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.endpoints = Endpoints()

    def ref(self, version: int) -> str:
        return f"{self.model}/{version}"

    def serve(self, rule: Rule = RULE, **far: float) -> None:
        """Let versions challenge version 1, and log what all of them said of what happened.

        Args:
            rule: What the endpoint is judged by.
            **far: As in `v2=GOOD`: how far the scores of version 2 are from what happened.
        """
        self.declare(rule, [int(name[1:]) for name in far])
        route = self.endpoints.route("late")
        with DecisionLog.open(decisions_folder(settings(), "late"), writer="lane") as log:
            columns = log.columns(["wind"])
            for day in range(25):
                log.append(
                    [r for n in range(6) for r in self._records(route, columns, day, n, far)]
                )

    def declare(self, rule: Rule, challengers: list[int]) -> None:
        spec = EndpointSpec(
            model=self.model,
            task="classification",
            clock="live",
            space="headrace",
            rule=rule.document(),
        )
        first, *others = map(self.ref, challengers)
        with using_settings(actor="ada"), using_clock(VirtualClock(FIRST)):
            self.endpoints.declare(
                "late", spec=spec, champion=self.ref(1), challenger=first, also=others, reason="x"
            )

    def judge(self, **options: Any) -> list[Judged]:
        as_of = options.pop("as_of", NOW)
        with using_clock(VirtualClock(NOW)):
            return judge_all(self.endpoints, "late", as_of=as_of, **options)

    def look(self, version: int = 2) -> Ruling:
        return look(self.endpoints, "late", self.ref(version), as_of=NOW)

    def versions(self) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
        """What the registry says of each version: aliases and tags."""
        return {v.version: (v.aliases, dict(v.tags)) for v in Registry().versions(self.model)}

    def done(self) -> list[str]:
        return [change.action for change in self.endpoints.history("late")]

    def _records(
        self, route: Any, columns: int, day: int, number: int, far: dict[str, float]
    ) -> list[dict[str, Any]]:
        at = FIRST + timedelta(days=day, minutes=30 * number)
        us, name, value = round(at.timestamp() * 1e6), f"{day}-{number}", float(number % 2)
        wobble = random.Random(day).uniform(0, 0.05)  # noqa: S311 - days differ, as days do

        def score(distance: float) -> float:
            return abs(value - distance - wobble)

        shared = {"id": name, "logged": us}
        decision = {
            "kind": "decision", **shared, "at": us, "columns": columns, "features": [1.0],
            "entity": {}, "overridden": [], "missing": [], "model": self.ref(1),
            "score": score(0.3), "answer": {}, "generation": 1,
            "experiment": route.experiment,
            "experiments": [rival.experiment for rival in route.rivals],
        }  # fmt: skip
        shadows = [
            {"kind": "shadow", **shared, "model": rival.model, "ms": 1.0,
             "experiment": rival.experiment,
             "score": score(far["v" + rival.model.rpartition("/")[2]])}
            for rival in route.rivals
        ]  # fmt: skip
        known = us + 3 * 3_600_000_000
        outcome = {"kind": "outcome", "id": name, "known_at": known, "logged": known}
        return [decision, *shadows, outcome | {"value": value}]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path, actor="rollout"):
        yield tmp_path


@pytest.fixture
def place(servers: Settings, home: Path) -> Place:
    """An endpoint whose model has four versions in a real registry."""
    model, server = f"late_flights-{uuid.uuid4().hex[:8]}", _mlflow.server_at(servers.mlflow_url)
    server.post("/registered-models/create", name=model)
    experiment = server.experiment("rollouts")
    for version in range(1, 5):
        logged = create_logged_model(
            server, experiment_id=experiment, run_id=None, name=f"v{version}", flavor="xgboost",
            params={}, tags={},
        )  # fmt: skip
        server.post(
            "/model-versions/create", name=model, source=f"models:/{logged}", model_id=logged
        )
    return Place(model)


@pytest.fixture
def unregistered(home: Path) -> Place:
    """The same without a registry."""
    return Place("late_flights")


def test_a_winner_is_promoted_and_history_registry_and_event_say_so(place: Place) -> None:
    place.serve(v2=GOOD)
    sync_aliases(place.endpoints.route("late"))
    heard: list[Event] = []

    [judged] = place.judge(heard=heard.append)

    assert (judged.action, judged.did, judged.error) == ("promote", "promote", None)
    change = place.endpoints.history("late")[-1]
    assert (change.action, change.reason) == ("promote", "the rule 'better'")
    assert change.trace is not None
    assert replay(change.trace).prose() == judged.told()
    [kept] = place.endpoints.judgements("late", judged.experiment)
    assert kept.trace == change.trace
    assert place.versions()["1"] == (("previous",), {})
    assert place.versions()["2"] == (
        ("champion",),
        {
            "headrace.verdict": "promote",
            "headrace.verdict.rule": f"better ({RULE.hash[:12]})",
            "headrace.verdict.experiment": judged.experiment,
            "headrace.verdict.number": str(kept.number),
            "headrace.verdict.at": kept.at.isoformat(),
            "headrace.verdict.told": str(kept.number),
        },
    )
    assert [event.name for event in heard] == ["headrace.model.promoted"]
    assert place.judge(heard=heard.append) == []
    assert len(heard) == 1


def test_the_first_challenger_is_judged_at_half_of_alpha(unregistered: Place) -> None:
    unregistered.serve(v2=GOOD)

    assert unregistered.look().alpha == pytest.approx(RULE.alpha / 2)


def test_one_that_has_not_won_is_held_and_its_version_says_so(place: Place) -> None:
    place.serve(v2=WORSE)

    [judged] = place.judge()

    assert (judged.action, judged.did) == ("hold", None)
    assert place.done() == ["declare"]
    assert place.versions()["2"][1]["headrace.verdict"] == "hold"
    assert "headrace.verdict.told" not in place.versions()["2"][1]


def test_of_several_that_win_the_one_with_the_largest_lower_bound_is_promoted(place: Place) -> None:
    place.serve(v2=GOOD, v3=BEST, v4=WORSE)

    judged = place.judge()

    assert [(each.challenger, each.action, each.did) for each in judged] == [
        (place.ref(3), "promote", "promote"),
        (place.ref(2), "promote", None),
        (place.ref(4), "hold", None),
    ]
    assert judged[1].note == f"{place.ref(3)} was promoted, and with that this comparison ended."
    assert place.done() == ["declare", "promote"]
    assert all(place.endpoints.verdict("late", each.experiment) for each in judged)


def test_another_rule_begins_the_comparison_anew_and_says_so(place: Place) -> None:
    place.serve(v2=WORSE)
    [before] = place.judge()
    stricter = RULE.model_copy(update={"name": "lax", "alpha": 0.2})

    [judged] = place.judge(rule=stricter)

    assert (judged.action, judged.did, judged.experiment) == (
        "restart",
        "restart",
        before.experiment,
    )
    assert judged.note == (
        f"The comparison with {place.ref(2)} begins anew: the rule 'lax' ({stricter.hash[:12]}) is "
        f"another one than 'better' ({RULE.hash[:12]}), by which it was judged. What was seen "
        "counts no more."
    )
    assert place.endpoints.route("late").experiment != before.experiment
    assert place.look().state.first_try == 2


def test_without_a_rule_nothing_is_judged(unregistered: Place) -> None:
    spec = EndpointSpec(model=unregistered.model, task="", clock="live", space="headrace")
    unregistered.endpoints.declare(
        "late", spec=spec, champion=unregistered.ref(1), challenger=unregistered.ref(2), reason=""
    )

    with pytest.raises(DefinitionError) as refused:
        unregistered.judge()

    assert str(refused.value) == (
        "The endpoint 'late' has no rule to judge by.\n"
        "  Fix: Give one here, or where the endpoint is deployed: deploy(..., rule=Rule(...))."
    )


def test_what_waits_for_a_person_alone_is_said_and_done_after_their_word(place: Place) -> None:
    rule = RULE.model_copy(update={"approval": Approval(by=("bob",)).model_dump(mode="json")})
    place.serve(rule, v2=GOOD)
    experiment = str(place.endpoints.route("late").experiment)
    [waiting] = place.judge()
    with using_settings(actor="bob"):
        place.endpoints.consent(
            "late", experiment, rule=rule.hash, approved=False, reason="not yet"
        )
    [refused] = place.judge()
    with using_settings(actor="bob"):
        place.endpoints.consent("late", experiment, rule=rule.hash, approved=True, reason="fine")

    [approved] = place.judge()

    assert (waiting.action, waiting.waits_for_approval) == ("hold", True)
    assert "`headrace endpoint approve late" in waiting.told()
    assert (refused.action, refused.waits_for_approval) == ("hold", False)
    assert (approved.action, approved.did) == ("promote", "promote")
    assert place.endpoints.history("late")[-1].reason == "the rule 'better', approved by bob"


def test_what_is_refused_between_the_look_and_the_act_is_not_promoted(place: Place) -> None:
    rule = RULE.model_copy(update={"approval": Approval(by=("bob",)).model_dump(mode="json")})
    place.serve(rule, v2=GOOD)
    experiment = str(place.endpoints.route("late").experiment)
    said = {"rule": rule.hash, "reason": "", "actor": "bob"}
    place.endpoints.consent("late", experiment, approved=True, **said)
    ruling = place.look()
    place.endpoints.consent("late", experiment, approved=False, **said)

    with pytest.raises(OvertakenError, match=r"^bob refused .*/2 at the endpoint 'late' at "):
        carry_out(ruling, place.endpoints)

    assert ruling.action == "promote"
    assert place.done() == ["declare"]
    assert place.endpoints.verdict("late", experiment) == ruling.trace()


def test_a_rule_that_was_chosen_after_the_evidence_was_there_begins_anew(place: Place) -> None:
    place.serve(v2=GOOD)
    easier = RULE.model_copy(update={"name": "easier", "alpha": 0.2})

    [chosen] = place.judge(rule=easier)
    [stays] = place.judge(rule=easier)

    assert (chosen.action, chosen.did) == ("restart", "restart")
    assert chosen.note == (
        f"The comparison with {place.ref(2)} begins anew: the rule 'easier' ({easier.hash[:12]}) "
        f"is another one than 'better' ({RULE.hash[:12]}), by which it began. What was seen counts "
        "no more."
    )
    assert (stays.action, stays.did) == ("hold", None)
    assert place.done() == ["declare", "restart"]
    assert place.endpoints.route("late").champion == place.ref(1)


def test_what_was_judged_is_not_judged_again_with_what_was_known_before(place: Place) -> None:
    place.serve(v2=GOOD)
    place.endpoints.change("late", "hold", generation=None, reason="an audit", why="an audit")
    [held] = place.judge()
    place.endpoints.change("late", "release", generation=None, reason="it is over")

    [earlier] = place.judge(as_of=NOW - timedelta(hours=1))
    [now] = place.judge()

    assert (held.action, earlier.action, earlier.did) == ("hold", "hold", None)
    assert earlier.note == (
        f"{place.ref(2)} was judged with what was known at 2026-03-28T00:00:00+00:00, and is not "
        "judged again with what was known at 2026-03-27T23:00:00+00:00."
    )
    assert now.did == "promote"


def test_what_is_yet_to_come_cannot_be_judged(place: Place) -> None:
    place.serve(v2=GOOD)

    with pytest.raises(ParameterError) as refused:
        place.judge(as_of=NOW + timedelta(days=2))

    assert str(refused.value) == (
        "What is known at 2026-03-30T00:00:00+00:00 cannot be judged yet: it is "
        "2026-03-28T00:00:00+00:00.\n  Fix: Judge by what is known now, or was known before."
    )
    assert place.done() == ["declare"]


def test_without_a_registry_it_is_done_and_told_by_the_next_one(place: Place) -> None:
    place.serve(v2=GOOD)
    heard: list[Event] = []
    with using_settings(mlflow_url="http://127.0.0.1:9"):
        [judged] = place.judge(heard=heard.append)
        route = place.endpoints.route("late")

        with pytest.raises(ServiceError, match=r"The MLflow server at http://127\.0\.0\.1:9 does"):
            place.judge(heard=heard.append)

    assert (judged.did, route.champion) == ("promote", place.ref(2))
    assert isinstance(judged.error, AliasesBehindError)
    assert judged.error.problem.startswith(
        "The endpoint 'late' is at generation 2, but the model registry does not say so yet: The "
    )
    assert heard == []
    assert place.judge(heard=heard.append) == []
    assert place.versions()["2"][0] == ("champion",)
    assert [event.name for event in heard] == ["headrace.model.promoted"]


# --- crashes: a process that acts is killed at each point ---


def _kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_second_tag(patch: pytest.MonkeyPatch) -> None:
    real, seen = _mlflow.MlflowServer.post, []

    def post(self: Any, path: str, **body: Any) -> Any:
        seen.append(path)
        return _kill() if seen.count("/model-versions/set-tag") == 2 else real(self, path, **body)

    patch.setattr(_mlflow.MlflowServer, "post", post)


CRASHES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, int]] = {
    "before the change": (lambda p: p.setattr(Endpoints, "change", _kill), "declare", 0),
    "before the history is read": (lambda p: p.setattr(acts, "tell", _kill), "promote", 0),
    "before the aliases": (lambda p: p.setattr(settling, "sync_aliases", _kill), "promote", 0),
    "before the tags": (lambda p: p.setattr(settling, "tag_verdict", _kill), "promote", 0),
    "amid the tags": (_kill_at_second_tag, "promote", 0),
    "before the event": (lambda p: p.setattr(settling, "change_event", _kill), "promote", 0),
    "after the event": (lambda p: None, "promote", 1),
}


@pytest.mark.parametrize("point", CRASHES)
def test_whoever_comes_after_a_crash_completes_what_was_begun(point: str, place: Place) -> None:
    place.serve(v2=GOOD)
    ruling, events = place.look(), settings().home / "events"
    events.touch()
    break_it, newest, heard_before = CRASHES[point]

    def heard(event: Event) -> None:
        with events.open("a") as file:
            file.write(f"{event.name}\n")

    def last_word(event: Event) -> None:
        heard(event)
        _kill()

    def act(patch: pytest.MonkeyPatch) -> None:
        break_it(patch)
        carry_out(ruling, Endpoints(), heard=last_word)

    status = os.waitpid(_process(act), 0)[1]
    half = place.done()[-1], events.read_text().count("promoted")
    place.judge(heard=heard)
    place.judge(heard=heard)

    assert os.WTERMSIG(status) == signal.SIGKILL
    assert half == (newest, heard_before)
    assert place.done() == ["declare", "promote"]
    aliases, tags = place.versions()["2"]
    assert aliases == ("champion",)
    assert tags["headrace.verdict"] == "promote"
    assert tags["headrace.verdict.told"] == tags["headrace.verdict.number"]
    # at least once: it cannot be known whether a word was heard that was the last one
    assert events.read_text().splitlines() == ["headrace.model.promoted"] * (1 + heard_before)


def _process(body: Callable[[pytest.MonkeyPatch], None]) -> int:
    """Run something in a process of its own, and return that; 3 says that it was overtaken."""
    child = os.fork()
    if child == 0:  # it never comes back from here
        try:
            _mlflow.server_at.cache_clear()
            with pytest.MonkeyPatch.context() as patch:
                body(patch)
            os._exit(0)
        except OvertakenError:
            os._exit(3)
        finally:
            os._exit(9)
    return child


# --- two at once ---


def test_of_two_processes_that_saw_the_same_one_acts_and_the_other_is_overtaken(
    place: Place,
) -> None:
    place.serve(v2=GOOD)
    ruling, events = place.look(), settings().home / "events"
    gate_out, gate_in = os.pipe()

    def heard(event: Event) -> None:
        with events.open("a") as file:
            file.write(f"{event.name}\n")

    def act(patch: pytest.MonkeyPatch) -> None:
        os.close(gate_in)
        os.read(gate_out, 1)  # nobody begins before all are there
        carry_out(ruling, Endpoints(), heard=heard)

    children = [_process(act) for _ in range(2)]
    time.sleep(0.3)  # both wait at the gate by then
    os.close(gate_in)
    codes = sorted(os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children)
    os.close(gate_out)

    assert codes == [0, 3]
    assert place.done() == ["declare", "promote"]
    assert events.read_text().splitlines() == ["headrace.model.promoted"]


def test_of_two_evaluators_at_once_nobody_acts_twice(place: Place) -> None:
    place.serve(v2=GOOD, v3=BEST)
    heard: list[Event] = []
    at_once = threading.Barrier(2)

    def judge(_: int) -> list[Judged]:
        at_once.wait()
        return judge_all(Endpoints(), "late", as_of=NOW, heard=heard.append)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(judge, range(2))

    acted = [each for each in (*one, *other) if each.did is not None]
    assert [each.challenger for each in acted] == [place.ref(3)]
    assert place.done() == ["declare", "promote"]
    assert len(heard) == 1
    for each in (*one, *other):
        assert each.error is None or isinstance(each.error, OvertakenError)


def test_a_ruling_on_a_route_that_has_changed_is_recorded_and_does_nothing(place: Place) -> None:
    place.serve(v2=GOOD)
    ruling = place.look()
    place.endpoints.change("late", "hold", generation=1, reason="x", why="x")

    with pytest.raises(OvertakenError):
        carry_out(ruling, place.endpoints)

    assert place.endpoints.route("late").champion == place.ref(1)
    assert place.endpoints.verdict("late", ruling.state.experiment) == ruling.trace()
    assert settle(place.endpoints, "late") == []


# --- what a ruling does ---


@pytest.mark.parametrize(
    ("action", "stage", "step"),
    [
        pytest.param("promote", "shadow", "promote", id="a winner is promoted"),
        pytest.param("promote", "watch", "confirm", id="in a watch, the promotion is confirmed"),
        pytest.param("rollback", "traffic", "withdraw", id="one that breaks is withdrawn"),
        pytest.param("rollback", "watch", "rollback", id="in a watch, the promotion is undone"),
        pytest.param("invalidate", "traffic", "restart", id="what is not valid begins anew"),
        pytest.param("ramp", "shadow", "ramp", id="a ramp is taken to its next share"),
        pytest.param("hold", "shadow", None, id="nothing is done on hold"),
    ],
)
def test_what_a_ruling_does_depends_on_the_stage(
    action: Any, stage: Any, step: str | None, unregistered: Place
) -> None:
    unregistered.serve(v2=GOOD)
    found = unregistered.look()
    rule = RULE.model_copy(
        update={
            "ramp": Ramp(steps=(0.1, 1.0), patience_ms=20.0).model_dump(mode="json"),
            "watch": Watch().model_dump(),
        }
    )
    state = replace(found.state, stage=stage)

    did, options = step_of(replace(found, rule=rule, action=action, state=state, share=0.1))

    assert did == step
    assert options == {
        "promote": {"challenger": unregistered.ref(2), "watch": True},
        "withdraw": {"challenger": unregistered.ref(2)},
        "restart": {"challenger": unregistered.ref(2)},
        "ramp": {
            "challenger": unregistered.ref(2),
            "share": 0.1,
            "steps": (0.1, 1.0),
            "unit": (),
            "patience_ms": 20.0,
        },
    }.get(str(did), {})


def test_a_promotion_by_hand_is_told_by_whoever_made_it(unregistered: Place) -> None:
    unregistered.serve(v2=GOOD)
    trace = unregistered.look().trace()
    unregistered.endpoints.change("late", "promote", generation=1, reason="agreed", trace=trace)

    assert settle(unregistered.endpoints, "late") == []
