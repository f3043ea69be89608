"""An endpoint looks up what its models were trained on and its flow may read, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.access import reads_of
from features.online_lookup import lookup_of
from features.view import FeatureView
from headrace import Report, flow, operator
from headrace.errors import DefinitionError, GrantError, ServiceError
from headrace.grants import granting
from headrace.settings import using_settings
from operators.bundle import read_card
from serving._endpoint_lookups import (
    lookups_of,
    models_answering,
    remember_deployed,
    require_allowed,
)
from serving.deploy import deploy
from serving.endpoints import Endpoints, EndpointSpec

ONE, TWO = "flight_delay/1", "flight_delay/2"


@pytest.fixture
def home(tmp_path: Path, bundles: dict[str, Path]) -> Iterator[Path]:
    """A home in which both versions are registered."""
    folder = tmp_path / "home"
    for ref in (ONE, TWO):
        digest = ref.replace("/", "-")
        shutil.copytree(bundles[ref], folder / "serving" / "models" / digest)
        version = folder / "serving" / "versions" / f"{ref}.json"
        version.parent.mkdir(parents=True, exist_ok=True)
        version.write_text(json.dumps({"digest": digest}))
    with using_settings(home=folder, actor="ada"):
        yield folder


def registered(ref: str) -> Report:
    name, _, version = ref.partition("/")
    return Report.of({"name": name, "version": version})


def guarded(view: FeatureView, column: str, **changes: Any) -> FeatureView:
    """The view with a personal column."""
    features = tuple(
        replace(c, sensitivity="personal") if c.name == column else c for c in view.columns
    )
    return replace(view, features=features, **changes)


def looked_up(*refs: str, bundles: dict[str, Path], views: Any) -> dict[str, tuple[str, ...]]:
    found = lookups_of(views, [read_card(bundles[ref]) for ref in refs])
    return {lookup.view: lookup.features for lookup in found}


def test_of_each_view_the_features_are_looked_up_that_a_model_takes(bundles, views):
    one, two, both = (
        looked_up(*refs, bundles=bundles, views=views) for refs in ((ONE,), (TWO,), (ONE, TWO))
    )

    assert one == {"weather": ("wind",), "tails": ("landings",)}
    assert two == {"weather": ("wind",), "tails": ("last_delay",)}
    assert both == {"weather": ("wind",), "tails": ("landings", "last_delay")}


def test_what_a_rollback_goes_back_to_stays_among_the_models(home: Path):
    endpoints = Endpoints()
    spec = EndpointSpec(model="flight_delay", task="classification", clock="live", space="x")

    assert models_answering(endpoints, "late") == []
    endpoints.declare("late", spec=spec, champion=ONE, challenger=TWO, reason="first")
    assert models_answering(endpoints, "late") == [ONE, TWO]
    endpoints.change("late", "promote", generation=1, reason="better")
    assert models_answering(endpoints, "late") == [TWO, ONE]


def test_a_lane_refuses_a_model_and_a_request_that_ask_for_other_features(
    bundles, views, start_lane: Callable[..., Any], table: Callable[..., Any]
):
    lookups = lookups_of(views, [read_card(bundles[ONE])])
    lane = start_lane(table(lookups=lookups))

    asked = lane.decide(features={"carrier": "UA", "distance": 719, "gust": 3.0})
    told = lane.take(table(challenger=TWO, generation=2, lookups=lookups))

    assert asked.status == 422
    assert "gust" in json.dumps(asked.document)
    assert (told.generation, told.failed) == (1, 2)
    assert "looks up no feature 'last_delay' of view 'tails'" in told.message


def test_a_flow_that_the_owner_does_not_let_read_deploys_nothing(home: Path, views):
    weather, tails = views
    closed = replace(weather, readers=("storms",), owner="sky-team")

    with granting([], flow="delays"), pytest.raises(GrantError) as refused:
        deploy(registered(ONE), [], endpoint="late", views=[closed, tails])

    assert str(refused.value) == (
        "The owner of feature view 'weather', sky-team, does not let flow 'delays' read 'wind': "
        "its readers are 'storms'.\n"
        "  Fix: Ask sky-team to write `readers=('storms', 'delays')` in view 'weather' and to "
        "publish it."
    )
    assert Endpoints().names() == []


def test_what_is_personal_is_looked_up_only_with_the_grant_that_names_it(home: Path, views):
    weather, tails = views
    personal = guarded(weather, "wind", readers=("*", "delays"))

    def deployed(*grants: str) -> None:
        with granting(grants, flow="delays"):
            deploy(registered(ONE), [], endpoint="late", views=[personal, tails])

    with pytest.raises(GrantError) as refused:
        deployed("feature:*")
    assert str(refused.value) == (
        "Endpoint 'late' reads 'wind' (personal) of feature view 'weather', which no grant with a "
        "wildcard gives; its flow is granted 'feature:*'.\n"
        "  Fix: Name it in the flow: `@flow(grants=['feature:weather/wind'])`."
    )
    with pytest.raises(GrantError) as refused:
        deployed()
    assert str(refused.value) == (
        "Endpoint 'late' reads 'feature:weather/wind', but its flow is granted nothing.\n"
        "  Fix: Add it to the flow: `@flow(grants=['feature:weather/wind'])`."
    )
    with pytest.raises(ServiceError, match="Ray Serve is not up"):
        deployed("feature:weather/wind")


def test_a_personal_feature_that_no_model_takes_is_nobodys_business(home: Path, views):
    weather, tails = views

    with granting([], flow="delays"), pytest.raises(ServiceError, match="Ray Serve is not up"):
        deploy(registered(ONE), [], endpoint="late", views=[guarded(weather, "gust"), tails])


@operator()
def proposed() -> Report:
    """Propose a model."""
    return registered(ONE)


@pytest.fixture
def closed(views) -> FeatureView:
    return replace(views[0], readers=("storms",), owner="sky-team")


def test_a_view_that_the_flow_may_not_read_at_all_is_refused_in_the_plan(closed, views):
    @flow
    def delays() -> None:
        deploy(proposed(), [], endpoint="late", views=[closed, views[1]])

    problems = [p for p in delays.plan().problems if p.rule == "owner"]

    assert [(p.problem, p.remedy) for p in problems] == [
        (
            "'deploy': The owner of feature view 'weather', sky-team, does not let flow 'delays' "
            "read 'wind', 'gust': its readers are 'storms'.",
            "Ask sky-team to write `readers=('storms', 'delays')` in view 'weather' and to "
            "publish it.",
        )
    ]


def test_an_endpoint_that_would_read_from_postgresql_is_refused_in_the_plan_and_after(
    home: Path, views
):
    problem = (
        "Endpoint 'late' looks up features, and the setting 'features_online_url' says PostgreSQL, "
        "where only Feast reads them: too slow to decide with."
    )
    remedy = (
        "Set 'features_online_url' to Redis, or leave it out for SQLite; materialize the views "
        "there, and start the services again."
    )

    @flow(grants=["feature:*"])
    def delays() -> None:
        """Deploy a model."""
        deploy(proposed(), [], endpoint="late", views=views)

    with using_settings(features_online_url="postgresql://me:pw@127.0.0.1:1/features"):
        planned = [p for p in delays.plan().problems if p.rule == "endpoint store"]
        with granting(["feature:*"], flow="delays"):
            with pytest.raises(DefinitionError) as refused:
                deploy(registered(ONE), [], endpoint="late", views=views)
            with pytest.raises(ServiceError, match="Ray Serve is not up"):
                deploy(registered(ONE), [], endpoint="late", views=views, space="replay")

    assert [(p.problem, p.remedy) for p in planned] == [(f"'deploy': {problem}", remedy)]
    assert (refused.value.problem, refused.value.remedy) == (problem, remedy)
    assert Endpoints().names() == []


def test_which_sensitive_features_an_endpoint_may_look_up_is_on_record_once(home: Path, views):
    personal = guarded(views[0], "gust", readers=("delays",))

    def allowed(*columns: str) -> None:
        lookups = [lookup_of(personal, columns), lookup_of(views[1])]
        with granting(["feature:weather/gust"], flow="delays"):
            features = require_allowed("late", [personal, views[1]], lookups)
            remember_deployed("late", features)

    for columns in (("wind",), ("wind",), ("wind", "gust"), ("wind", "gust")):
        allowed(*columns)

    assert [
        (r.sort, r.view, r.columns, r.endpoint, r.flow, r.rows, r.actor)
        for r in reads_of("weather")
    ] == [
        ("deployed", "weather", ("wind",), "late", "delays", None, "ada"),
        ("deployed", "weather", ("wind", "gust"), "late", "delays", None, "ada"),
    ]
    assert reads_of("tails") == []
