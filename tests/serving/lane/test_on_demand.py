"""A lane that computes features of the request: the same as offline, or a clear refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from features.catalog import catalog
from features.on_demand import OnDemandView
from features.on_demand_call import OnDemandCall, call_of
from features.online import OnlineStore
from features.online_lookup import lookup_of
from features.view import Entity, FeatureView
from headrace import Col, Labels, Report, Schema, Table, TrainSet, ValidationSet
from headrace.clock import as_us
from headrace.errors import DataError, DefinitionError
from headrace.promise import call_of as call_for
from headrace.settings import inherited_environment, settings, using_settings
from operators.build import build
from operators.bundle import write_bundle
from operators.compute_features import compute_features
from operators.train_xgboost import train_xgboost
from serving.deploy import _spec, deploy
from serving.endpoints import EndpointSpec
from serving.lane.table import LaneTable, Served
from serving.replay import asked_of
from serving.routing import Route

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
ROWS = 60
SOURCE = '''
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from features.on_demand import OnDemandView
from headrace import Col, Schema


class Asked(Schema, Protocol):
    """This is what a request says."""

    distance: float
    scheduled: datetime
    cabin: str
    now: Annotated[datetime, Col(role="decision_time")]


class Gusts(Schema, Protocol):
    """This is what is computed."""

    gust_factor: float
    hours_left: Annotated[float, Col(unit="h")]
    cabin_size: Literal["none", "small", "large"]
    is_far: bool


def gusts_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    winds = zip(values["wind"], values["gust"], strict=True)
    times = zip(values["scheduled"], values["now"], strict=True)
    return {
        "gust_factor": [None if g is None or w is None else g / w for w, g in winds],
        "hours_left": [None if t is None else (t - n).total_seconds() / 3600 for t, n in times],
        "cabin_size": [size_of(c) for c in values["cabin"]],
        "is_far": [None if d is None else d > FAR for d in values["distance"]],
    }


def size_of(cabin: str | None) -> str:
    return "none" if cabin is None else "small" if len(cabin) < 4 else "large"


FAR = 700.0
gusts = OnDemandView(
    name="gusts",
    request=Asked,
    views={"weather": ["wind", "gust"]},
    features=Gusts,
    compute=gusts_of,
    owner="flight-delay",
    description="Gusts against the wind.",
)
'''


class Departure(Schema, Protocol):
    """This is a flight to judge."""

    flight: Annotated[str, Col(role="entity")]
    origin: Annotated[str | None, Col(known_at="decided_at")]
    distance: Annotated[float | None, Col(role="feature", known_at="decided_at")]
    scheduled: Annotated[datetime | None, Col(known_at="decided_at")]
    cabin: Annotated[str | None, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]


class Observed(Schema, Protocol):
    """This is an observation."""

    origin: str
    event_time: datetime
    known_time: datetime
    wind: float | None
    gust: float | None


class Weather(Schema, Protocol):
    """These are its features."""

    wind: float
    gust: float


def as_given(source: pa.Table) -> pa.Table:
    return source


weather = FeatureView(
    name="weather",
    entities=(Entity(name="origin", column="origin"),),
    source=Observed,
    features=Weather,
    compute=as_given,
    owner="flight-delay",
    description="Wind at an airport.",
)


def observations() -> Any:
    source = {
        "origin": ["EWR", "JFK", "LGA"],
        "event_time": [NOON] * 3,
        "known_time": [NOON] * 3,
        "wind": [12.5, 3.25, None],
        "gust": [20.0, None, 8.0],
    }
    return compute_features(Table.of(source), view=weather)


def departures(rows: int = ROWS, seed: int = 5) -> Labels[Any]:
    random = np.random.default_rng(seed)

    def some(values: list[Any]) -> list[Any]:
        return [None if random.random() < 0.2 else value for value in values]

    decided = [NOON + timedelta(seconds=int(s), microseconds=7) for s in range(1, rows + 1)]
    table = {
        "flight": [f"F{n}" for n in range(rows)],
        "origin": some(random.choice(["EWR", "JFK", "LGA"], rows).tolist()),
        "distance": some(random.choice([199.5, 719.0, 2475.0], rows).tolist()),
        "scheduled": some(
            [NOON + timedelta(seconds=int(s)) for s in random.integers(0, 9e5, rows)]
        ),
        "cabin": some(random.choice(["eco", "business"], rows).tolist()),
        "decided_at": decided,
        "known_at": [each + timedelta(days=1) for each in decided],
        "late": random.integers(0, 2, rows).tolist(),
    }
    made: Labels[Any] = Labels[Departure].of(pa.table(table))
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's own root with the module of an on-demand view."""
    root = tmp_path_factory.mktemp("project") / "gusty"
    (root / "features").mkdir(parents=True)
    for folder in (root, root / "features"):
        (folder / "__init__.py").touch()
    (root / "features" / "gusts.py").write_text(SOURCE)
    with using_settings(roots=(root,)):
        yield root


@pytest.fixture(scope="module")
def gusts(project: Path) -> OnDemandView:
    """The view, found as the catalogue finds it."""
    [found] = catalog().on_demand
    return found


@pytest.fixture(scope="module")
def bundle(gusts: OnDemandView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes a value of the request and what is computed."""
    examples = build(
        departures(400, seed=1),
        [observations()],
        on_demand=[gusts],
        select=[f"gusts:{c.name}" for c in gusts.columns],
    )
    table, schema = examples.arrow(), examples.schema
    assert schema is not None
    model = train_xgboost(
        TrainSet.of(table.slice(0, 300), schema=schema),
        ValidationSet.of(table.slice(300), schema=schema),
        n_estimators=5,
    )
    folder = tmp_path_factory.mktemp("bundle") / "delays-1"
    write_bundle(folder, model)
    return folder


@pytest.fixture(scope="module")
def call(gusts: OnDemandView) -> OnDemandCall:
    """What is deployed."""
    return call_of(gusts, settings().roots)


@pytest.fixture
def lane_table(bundle: Path, call: OnDemandCall, tmp_path: Path) -> Callable[..., LaneTable]:
    with OnlineStore(tmp_path / "online.db", "replay") as store:
        at = as_us(NOON)
        rows = observations().arrow().to_pylist()
        store.push_rows(weather, [(r["origin"], at, at, r["wind"], r["gust"]) for r in rows])

    def make(**more: Any) -> LaneTable:
        first = LaneTable(
            endpoint="flight_delay",
            generation=1,
            champion=Served(ref="delays/1", folder=bundle),
            challenger=None,
            experiment=None,
            lookups=(lookup_of(weather, number=0),),
            clock="replayed",
            may_lack=frozenset(),
            online=tmp_path / "online.db",
            space="replay",
            log=tmp_path / "decisions",
            notices=tmp_path / "lanes",
            on_demand=(call,),
        )
        return replace(first, **more)

    return make


def asked(**changes: Any) -> dict[str, Any]:
    features = {
        "distance": 719,
        "scheduled": "2013-07-01T11:00:00-04:00",
        "cabin": "eco",
        **changes,
    }
    return {
        "entity": {"origin": "EWR"},
        "features": {k: v for k, v in features.items() if v != "left out"},
        "at": "2013-07-01T12:30:00Z",
    }


def test_what_is_served_is_what_was_computed_offline_nulls_included(
    lane_table, start_lane, logged, gusts
):
    table = lane_table()
    lane, labels = start_lane(table), departures()
    offline = build(labels, [observations()], on_demand=[gusts]).arrow().to_pylist()

    for row in labels.arrow().to_pylist():
        answer = lane.ask(
            "/v1/flight_delay/decide",
            {
                "id": row["flight"],
                "entity": {"origin": row["origin"]},
                "features": {
                    "distance": row["distance"],
                    "scheduled": row["scheduled"] and row["scheduled"].isoformat(),
                    "cabin": row["cabin"],
                },
                "at": row["decided_at"].isoformat(),
            },
        )
        assert answer.status == 200, answer.document

    names = ["distance", "gust_factor", "hours_left", "cabin_size", "is_far"]
    served = [logged(table, f"F{n}")["named"] for n in range(ROWS)]
    assert [{n: s[n] for n in names} for s in served] == [{n: o[n] for n in names} for o in offline]
    assert {type(v) for s in served for v in s.values()} == {float, str, bool, type(None)}


def test_the_log_has_the_values_that_it_was_computed_from(lane_table, start_lane, logged):
    table = lane_table()
    lane = start_lane(table)

    lane.ask("/v1/flight_delay/decide", {"id": "one", **asked()})

    assert logged(table, "one")["named"] == {
        "distance": 719.0,
        "gust_factor": 1.6,
        "hours_left": 2.5,
        "cabin_size": "small",
        "is_far": True,
        "scheduled": "2013-07-01T15:00:00+00:00",
        "cabin": "eco",
        "wind": 12.5,
        "gust": 20.0,
    }


def test_the_request_has_to_say_what_is_computed_from_once(lane_table, start_lane):
    lane = start_lane(lane_table())

    answer = lane.ask("/v1/flight_delay/decide", asked(scheduled="left out"))

    assert answer.status == 422
    assert answer.document["error"] == {
        "code": "missing_field",
        "field": "features.scheduled",
        "expected": "a moment as RFC 3339 with its offset, or null",
        "got": "nothing",
        "message": "The field 'features.scheduled' is missing: expected a moment as RFC 3339 with "
        "its offset, or null, got nothing.",
        "remedy": "give what on-demand view 'gusts' is computed from; give null where it isn't "
        "known.",
    }
    wrong = lane.ask("/v1/flight_delay/decide", asked(scheduled="tomorrow"))
    assert wrong.status == 422
    assert wrong.document["error"]["message"] == (
        "The field 'features.scheduled' must be a moment as RFC 3339 with its offset, "
        "got 'tomorrow' (text)."
    )
    inputs = lane.ask("/v1/flight_delay").document["inputs"]
    assert [each["name"] for each in inputs].count("distance") == 1


def test_a_value_of_the_request_may_stand_in_the_entity_too(lane_table, start_lane, logged):
    table = lane_table()
    lane = start_lane(table)
    body = asked(scheduled="left out", cabin="left out")
    body["entity"] |= {"scheduled": "2013-07-01T13:00:00Z", "cabin": None}

    answer = lane.ask("/v1/flight_delay/decide", {"id": "one", **body})

    assert answer.status == 200
    named = logged(table, "one")["named"]
    assert (named["hours_left"], named["cabin_size"]) == (0.5, "none")


def test_who_gives_what_would_be_computed_need_not_give_what_it_is_computed_from(
    lane_table, start_lane, logged
):
    table = lane_table()
    lane = start_lane(table)
    given = {"gust_factor": 2.0, "hours_left": None, "cabin_size": "large", "is_far": False}

    answer = lane.ask(
        "/v1/flight_delay/decide", {"id": "one", "features": {"distance": 5, **given}}
    )

    assert answer.status == 200
    decision = logged(table, "one")
    assert {name: decision["named"][name] for name in given} == given
    assert sorted(decision["overridden"]) == sorted(given)
    assert decision["named"]["wind"] is None
    partly = lane.ask("/v1/flight_delay/decide", {"features": {"distance": 5, "is_far": True}})
    assert partly.document["error"]["field"] == "entity.origin"


def test_one_value_may_be_overridden_and_so_may_one_that_is_looked_up(
    lane_table, start_lane, logged
):
    table = lane_table()
    lane = start_lane(table)

    lane.ask("/v1/flight_delay/decide", {"id": "one", **asked(is_far=False, gust=25.0)})

    decision = logged(table, "one")
    assert decision["overridden"] == ["is_far", "gust"]
    assert (decision["named"]["is_far"], decision["named"]["gust_factor"]) == (False, 2.0)


def test_an_unknown_entity_is_refused_unless_it_may_be_lacking(lane_table, start_lane, logged):
    body = {**asked(), "entity": {"origin": "ACK"}, "id": "one"}
    table = lane_table(may_lack=frozenset(["weather"]), generation=2)
    lane = start_lane(lane_table())

    refused = lane.ask("/v1/flight_delay/decide", body)
    lane.take(table)
    answered = lane.ask("/v1/flight_delay/decide", body)

    assert refused.document["error"]["code"] == "unknown_entity"
    assert answered.document["missing"] == ["weather"]
    assert logged(table, "one")["named"]["gust_factor"] is None


def test_a_function_that_raises_is_answered_with_what_and_counted(lane_table, start_lane):
    lane = start_lane(lane_table())

    refused = lane.ask("/v1/flight_delay/decide", asked(wind=0))
    answered = lane.ask("/v1/flight_delay/decide", asked())

    assert refused.status == 500
    assert refused.document["error"] == {
        "code": "on_demand_failed",
        "message": "On-demand view 'gusts' could not be computed: `gusts_of` raised "
        "ZeroDivisionError: float division by zero, in features/gusts.py, line 31.",
        "remedy": "give what view 'gusts' computes in 'features' to decide without it. Its owner: "
        "correct the function: it has to treat every value that it may be given, None among them.",
    }
    assert answered.status == 200
    about = lane.ask("/v1/flight_delay").document
    assert about["on_demand"] == {"gusts": {"computed": 1, "failed": 1}}
    assert about["log"]["decisions"] == 1


def test_other_code_than_at_deploy_is_refused_and_the_old_table_goes_on(
    lane_table, start_lane, project, logged
):
    table = lane_table()
    lane = start_lane(table)
    file = project / "features" / "gusts.py"
    other = SOURCE.replace("g / w", "g / w / 2")
    try:
        file.write_text(other)
        notice = lane.take(lane_table(generation=2, on_demand=(changed(table, "0" * 32),)))

        assert (notice.generation, notice.failed) == (1, 2)
        assert notice.message == (
            "On-demand view 'gusts' is computed by 'gusty.features.gusts.gusts_of', which is not "
            "what it was at deploy: its code, or a version of what it uses, has changed since.\n"
            "  Fix: Run the flow that deploys the endpoint again, with a model that was trained on "
            "what it computes now; or restore what was deployed."
        )
        lane.ask("/v1/flight_delay/decide", {"id": "old", **asked()})
        assert logged(table, "old")["named"]["gust_factor"] == 1.6
    finally:
        file.write_text(SOURCE)


def test_new_code_that_was_deployed_is_taken_though_the_module_was_imported_before(
    lane_table, start_lane, project, logged
):
    table = lane_table()
    lane = start_lane(table)
    file = project / "features" / "gusts.py"
    module = sys.modules["gusty.features.gusts"]
    try:
        file.write_text(SOURCE.replace("g / w", "g / w / 2"))
        code = code_in_another_process(project)
        notice = lane.take(lane_table(generation=2, on_demand=(changed(table, code),)))

        assert (notice.generation, notice.failed, notice.message) == (2, 0, "")
        lane.ask("/v1/flight_delay/decide", {"id": "new", **asked()})
        assert logged(table, "new")["named"]["gust_factor"] == 0.8
    finally:
        file.write_text(SOURCE)
        sys.modules[module.__name__] = module


def test_a_helper_that_changed_counts_as_code(call, project):
    file = project / "features" / "gusts.py"
    try:
        file.write_text(SOURCE.replace("FAR = 700.0", "FAR = 800.0"))

        assert code_in_another_process(project) != call.code
    finally:
        file.write_text(SOURCE)


@pytest.fixture
def home(tmp_path: Path, bundle: Path, project: Path) -> Iterator[Path]:
    """A home in which the model is registered."""
    folder = tmp_path / "home"
    shutil.copytree(bundle, folder / "serving" / "models" / "one")
    version = folder / "serving" / "versions" / "delays" / "1.json"
    version.parent.mkdir(parents=True)
    version.write_text(json.dumps({"digest": "one"}))
    with using_settings(home=folder, roots=(project,)):
        yield folder


def test_an_endpoint_is_deployed_with_what_its_models_need(home, gusts, call):
    spec = _spec("delays", ["delays/1"], [], [weather, gusts], None)

    assert [(e["view"], e["features"]) for e in spec.lookups] == [("weather", ["wind", "gust"])]
    assert spec.on_demand == (call.to_json(),)
    assert EndpointSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_an_endpoint_of_before_on_demand_views_is_read_as_it_was(home, gusts):
    document = _spec("delays", ["delays/1"], [], [weather, gusts], None).to_json()
    del document["on_demand"]

    assert EndpointSpec.from_json(document).on_demand == ()


def test_the_table_of_a_lane_survives_json(lane_table):
    table = lane_table()

    assert LaneTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_the_plan_finds_what_an_on_demand_view_of_an_endpoint_needs(gusts):
    report = Report.of({"name": "delays", "version": "1"})

    def found(*views: Any) -> list[str]:
        given = {"endpoint": "delays", "views": list(views), "clock": "live"}
        bound = deploy.signature.bind((report, []), given)
        assert deploy.options.check is not None
        return [f.problem for f in deploy.options.check(call_for(deploy, bound))]

    assert found(weather, gusts) == []
    assert found(gusts) == [
        "On-demand view 'gusts' needs 'weather:wind', but view 'weather' is not given. "
        "There are none.",
        "On-demand view 'gusts' needs 'weather:gust', but view 'weather' is not given. "
        "There are none.",
    ]
    assert found(weather, gusts, gusts) == ["The endpoint is given two views 'gusts'."]


def test_a_model_whose_on_demand_view_is_not_given_is_refused(home):
    with pytest.raises(DataError) as error:
        _spec("delays", ["delays/1"], [], [weather], None)

    assert error.value.problem == (
        "delays/1 takes feature 'gust_factor' of view 'gusts', which is not among the views of the "
        "endpoint. Known: 'weather'."
    )


def test_a_function_that_no_other_process_can_import_is_not_deployed(gusts):
    def here(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return values

    here.__qualname__ = "here"
    with pytest.raises(DefinitionError) as error:
        call_of(replace(gusts, compute=here), settings().roots)

    assert str(error.value) == (
        f"On-demand view 'gusts' computes with '{here.__module__}.here', which no other process "
        "can import.\n  Fix: Define it at the top level of a module under one of the roots in "
        "headrace.toml, under its own name."
    )


def test_a_replay_asks_with_what_is_computed_from(home, call):
    route = Route(
        endpoint="delays",
        generation=1,
        champion="delays/1",
        challenger=None,
        experiment=None,
        previous=None,
    )

    assert asked_of(route, []) == ["distance"]
    assert asked_of(route, [call.to_json()]) == ["cabin", "distance", "scheduled"]


def test_two_that_are_read_under_one_name_are_not_mixed_up(lane_table, start_lane, logged, call):
    renamed = tuple(
        replace(a, column="distance", name="distance", dtype="string") if a.name == "cabin" else a
        for a in call.arguments
        if a.name != "distance"
    )
    table = lane_table(on_demand=(replace(call, arguments=renamed),))

    notice = start_lane(lane_table()).take(replace(table, generation=2))

    assert notice.message == (
        "Input 'distance' is float from the request, but on-demand view 'gusts' takes it as string "
        "from the request.\n"
        "  Fix: Give one of them another name; an endpoint reads each input once."
    )


def test_another_process_finds_the_function_by_its_name(call, project):
    program = textwrap.dedent(
        f"""
        import json
        from headrace.settings import settings
        from features.on_demand_call import OnDemandCall, ready_function
        call = OnDemandCall.from_json(json.loads({json.dumps(call.to_json())!r}))
        function = ready_function(call, settings().roots)
        none = {{argument.name: [None] for argument in call.arguments}}
        print(function(none, 1))
        """
    )
    environment = {**inherited_environment(), "HEADRACE_ROOTS": str(project)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )

    assert done.stdout == (
        "{'gust_factor': [None], 'hours_left': [None], 'cabin_size': ['none'], 'is_far': [None]}\n"
    )


def changed(table: LaneTable, code: str) -> Any:
    return replace(table.on_demand[0], code=code)


def code_in_another_process(project: Path) -> str:
    """The digest of the function as a process computes it that imports the file now."""
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from features.catalog import catalog
        from features.on_demand_call import OnDemandCall, call_of
        roots = (Path({str(project)!r}),)
        print(call_of(catalog(roots).on_demand[0], roots).code)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
