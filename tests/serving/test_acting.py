"""Changing who answers, in a real database and a real registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import Evaluation, SelectedModel
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving._aliases import sync_aliases
from serving.acting import AliasesBehindError, act
from serving.endpoints import Endpoints, EndpointSpec, OvertakenError
from serving.register import register
from serving.registry import Registry

Tested = tuple[SelectedModel, Evaluation]


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(Database(tmp_path / "headrace.db"))


def declare(endpoints: Endpoints, name: str) -> None:
    """Make the endpoint 'late', whose champion and challenger are versions 1 and 2 of `name`."""
    spec = EndpointSpec(model=name, task="classification", clock="live", space="headrace")
    route, _ = endpoints.declare(
        "late", spec=spec, champion=f"{name}/1", challenger=f"{name}/2", reason="first"
    )
    sync_aliases(route)


@pytest.fixture
def model(tested: Tested, better: Tested, name: str, endpoints: Endpoints) -> str:
    """The name of a model with two versions, which the endpoint 'late' compares."""
    register(*tested, name=name, alias=None)
    register(*better, name=name, alias=None)
    declare(endpoints, name)
    return name


def aliases(model: str) -> dict[str, tuple[str, ...]]:
    return {version.version: version.aliases for version in Registry().versions(model)}


def test_the_aliases_say_who_answers_and_who_challenges(model: str) -> None:
    assert aliases(model) == {"1": ("champion",), "2": ("challenger",)}


def test_a_promotion_and_its_rollback_move_the_aliases(model: str, endpoints: Endpoints) -> None:
    promoted = act("late", "promote", generation=1, reason="better", endpoints=endpoints)
    after_promotion = aliases(model)
    back = act("late", "rollback", generation=2, reason="worse after all", endpoints=endpoints)

    assert (promoted.champion, back.champion) == (f"{model}/2", f"{model}/1")
    assert after_promotion == {"1": ("previous",), "2": ("champion",)}
    assert aliases(model) == {"1": ("champion",), "2": ()}


def test_a_withdrawal_and_a_challenge_move_the_aliases(model: str, endpoints: Endpoints) -> None:
    act("late", "withdraw", generation=1, reason="broken", endpoints=endpoints)
    without = aliases(model)
    act(
        "late",
        "challenge",
        generation=2,
        reason="mended",
        challenger=f"{model}/2",
        endpoints=endpoints,
    )

    assert without == {"1": ("champion",), "2": ()}
    assert aliases(model) == {"1": ("champion",), "2": ("challenger",)}


def test_a_repeat_after_a_crash_between_the_two_sets_the_aliases(
    model: str, endpoints: Endpoints
) -> None:
    trace = {"verdict": "promote"}
    crashed = endpoints.change("late", "promote", generation=1, reason="better", trace=trace)

    again = act("late", "promote", generation=1, reason="better", trace=trace, endpoints=endpoints)

    assert again == crashed
    assert aliases(model) == {"1": ("previous",), "2": ("champion",)}
    assert len(endpoints.history("late")) == 2


@pytest.mark.parametrize(
    ("action", "actor", "reason"),
    [
        pytest.param("withdraw", "ada", "better", id="another action"),
        pytest.param("promote", "bob", "better", id="another actor"),
        pytest.param("promote", "ada", "lucky", id="another reason"),
    ],
)
def test_what_somebody_else_did_is_no_repeat(
    action: str, actor: str, reason: str, endpoints: Endpoints
) -> None:
    spec = EndpointSpec(model="late_flights", task="", clock="live", space="headrace")
    endpoints.declare(
        "late", spec=spec, champion="late_flights/1", challenger="late_flights/2", reason=""
    )
    with using_settings(actor="ada"):
        endpoints.change("late", "promote", generation=1, reason="better")

    with using_settings(actor=actor), pytest.raises(OvertakenError):
        act("late", action, generation=1, reason=reason, endpoints=endpoints)  # type: ignore[arg-type]


def test_without_a_registry_the_change_is_made_and_the_rest_is_said(
    endpoints: Endpoints,
) -> None:
    spec = EndpointSpec(model="late_flights", task="", clock="live", space="headrace")
    endpoints.declare(
        "late", spec=spec, champion="late_flights/1", challenger="late_flights/2", reason=""
    )

    with (
        using_settings(mlflow_url="http://127.0.0.1:9"),
        pytest.raises(AliasesBehindError) as told,
    ):
        act("late", "promote", generation=1, reason="better", endpoints=endpoints)

    assert str(told.value) == (
        "The endpoint 'late' is at generation 2, but the aliases in the model registry do not say "
        "so yet: The MLflow server at http://127.0.0.1:9 does not answer: [Errno 111] Connection "
        "refused.\n"
        "  Fix: Start it with `headrace up`, or name the one that you use: HEADRACE_MLFLOW_URL in "
        "the environment, or mlflow_url in headrace.toml."
    )
    assert told.value.route == endpoints.route("late")
    assert endpoints.route("late").champion == "late_flights/2"
