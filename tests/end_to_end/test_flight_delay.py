"""The golden flow on the real flights, once, with real servers: what it promises, it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import duckdb
import httpx
import numpy as np
import pandas as pd
import pytest

from features.nycflights13 import Flight
from features.view import Entity, FeatureView
from flows import _services
from flows.flight_delay import flight_delay
from flows.runtime import run_flow
from headrace import Col, Examples, Report, Schema, SelectedModel, Table, flow, operator
from headrace.decisions import open_view
from headrace.errors import LeakageError
from headrace.execution import FlowRun, Session, plan_status, run_plan
from headrace.plan.graph import PlanError
from headrace.settings import inherited_environment, settings, using_settings
from operators import nycflights13 as nyc
from operators.build import build
from operators.compute_features import compute_features
from operators.label_by_outcome import label_by_outcome
from operators.scoring import load as load_scorer
from serving.registry import Registry
from serving.rollout.assess import replay as judge_again

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.settings import Settings

pytestmark = pytest.mark.slow

FLIGHTS = 336_776
LANDED = 327_346
MODEL = "flight_delay_end_to_end"
# Of the defaults only the dates are changed: fewer months to train on take half the time.
PARAMETERS = {
    "model_name": MODEL,
    "validation_from": date(2013, 4, 1),
    "test_from": date(2013, 6, 1),
    "until": date(2013, 8, 1),
    "replay_until": date(2013, 8, 26),
}
TRAINED = ("train_sklearn", "train_torch", "train_xgboost")


@dataclass(frozen=True, kw_only=True)
class Runs:
    """These are two runs of the flow in one home, and what was known after each of them."""

    first: FlowRun
    second: FlowRun
    versions_after_first: int
    session: Session
    home: Path


@pytest.fixture(scope="module")
def runs(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run the flow twice in an empty home."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    home = tmp_path_factory.mktemp("end_to_end")
    with using_settings(home=home), served():
        first = run_flow(flight_delay, PARAMETERS).require_completed()
        versions = len(Registry().versions(MODEL))
        second = run_flow(flight_delay, PARAMETERS).require_completed()
        yield Runs(
            first=first,
            second=second,
            versions_after_first=versions,
            session=Session.of_settings(),
            home=home,
        )


@contextmanager
def served() -> Iterator[None]:
    """Hold Ray Serve for this home."""
    _services.up(only=("serving",))
    try:
        yield
    finally:
        _services.down(only=("serving",))


def states(run: FlowRun) -> dict[str, str]:
    return {path: outcome.state for path, outcome in run.outcomes.items()}


def made(run: FlowRun, name: str) -> Any:
    """Return an output of a run, of whichever kind."""
    return run[name]


def document(run: FlowRun, name: str) -> dict[str, Any]:
    found: dict[str, Any] = made(run, name).document
    return found


def ask_mlflow(endpoint: str, /, **body: Any) -> Any:
    """Ask the MLflow server."""
    url = f"{settings().mlflow_url}/api/2.0/mlflow/{endpoint}"
    answer = httpx.post(url, json=body) if "search" in endpoint else httpx.get(url, params=body)
    answer.raise_for_status()
    return answer.json()


def logged(run: FlowRun) -> dict[str, Any]:
    found: dict[str, Any] = ask_mlflow("runs/get", run_id=run.mlflow_run_id)["run"]
    return found


def children(run: FlowRun) -> dict[str, dict[str, Any]]:
    experiment = logged(run)["info"]["experiment_id"]
    condition = f"tags.`mlflow.parentRunId` = '{run.mlflow_run_id}'"
    found = ask_mlflow("runs/search", experiment_ids=[experiment], filter=condition)
    return {child["info"]["run_name"]: child for child in found.get("runs", [])}


def entries(run: dict[str, Any], sort: str) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in run["data"].get(sort, [])}


def files(run_id: str, folder: str = "") -> set[str]:
    listed = ask_mlflow("artifacts/list", run_id=run_id, path=folder).get("files", [])
    return {entry["path"].rpartition("/")[2] for entry in listed}


# --- the first run ---


def test_every_node_is_executed_and_three_models_compete(runs: Runs) -> None:
    candidates = {path: runs.first[path].digest for path in TRAINED}

    assert runs.first.state == "completed"
    assert len(runs.first.outcomes) == 30
    assert set(states(runs.first).values()) == {"executed"}
    assert len(set(candidates.values())) == 3
    assert runs.first["select.selected_model"].digest in candidates.values()


def test_no_flight_is_dropped_without_being_counted(runs: Runs) -> None:
    run = runs.first
    validated, labelled, split = (
        document(run, name)
        for name in ("validate.report", "label_by_outcome.report", "split_by_time.report")
    )

    rows = {
        name: made(run, name).rows for name in ("read_flights", "time_flights", "validate.table")
    }
    assert set(rows.values()) == {FLIGHTS}
    assert (validated["passed"], validated["rows"]) == (True, FLIGHTS)
    assert labelled["labelled"] == LANDED
    assert labelled["labelled"] + labelled["immature"] + labelled["censored"] == FLIGHTS
    assert made(run, "label_by_outcome.labels").rows == made(run, "build").rows == LANDED
    sets = {name: made(run, f"split_by_time.{name}_set").rows for name in split["rows"]}
    assert sets == split["rows"]
    assert sum(sets.values()) + sum(split["purged"].values()) + split["after_until"] == LANDED


def test_the_selected_model_is_the_best_on_validation(runs: Runs) -> None:
    losses = {
        made(runs.first, path).digest: made(runs.first, path).card.metrics["log_loss"]
        for path in TRAINED
    }

    selected = runs.first["select.selected_model"].digest

    assert losses[selected] == min(losses.values())
    assert document(runs.first, "select.report")["passed"] is True


def test_on_the_test_set_it_beats_the_baseline_beyond_chance(runs: Runs) -> None:
    tested = document(runs.first, "evaluate")

    assert tested["model"] == runs.first["select.selected_model"].digest
    assert (tested["on"], tested["block"], tested["blocks"]) == ("test", "day", 62)
    assert tested["baseline"]["auc"] == 0.5
    assert tested["metrics"]["auc"]["low"] > 0.5
    for metric in ("log_loss", "brier"):
        assert tested["metrics"][metric]["high"] < tested["baseline"][metric]
        assert tested["differences"][metric]["high"] < 0
    assert {s["column"] for s in tested["slices"]} == {"origin", "carrier"}


def test_the_test_figures_are_those_of_an_independent_calculation(runs: Runs) -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    model = made(runs.first, "select.selected_model")
    assert isinstance(model, SelectedModel)
    frame = made(runs.first, "split_by_time.test_set").frame()

    score = load_scorer(model).score({name: frame[name] for name in model.card.feature_names})

    metrics = document(runs.first, "evaluate")["metrics"]
    truth = frame["label"]
    assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(truth, score))
    assert metrics["brier"]["value"] == pytest.approx(brier_score_loss(truth, score))
    assert metrics["log_loss"]["value"] == pytest.approx(log_loss(truth, score))


# --- nothing from the future ---


def packaged(name: str, **how: Any) -> pd.DataFrame:
    """Read a file of the package with nothing of ours."""
    import importlib.metadata

    files = importlib.metadata.distribution("nycflights13").files or []
    (path,) = (file for file in files if file.name == name)
    content: Any = path.locate()
    read: pd.DataFrame = pd.read_csv(BytesIO(content.read_bytes()), **how)
    return read


def on_the_clock(days: pd.Series, clock: pd.Series, zones: pd.Series) -> pd.Series:
    """Return local clock times such as 1745 as instants."""
    local = days + pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="min")
    parts = [
        rows.dt.tz_localize(zone, ambiguous=True).dt.tz_convert("UTC")
        for zone, rows in local.groupby(zones)
    ]
    instants: pd.Series = pd.concat(parts).reindex(days.index)
    return instants


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Work out from the files alone when each flight was due, decided on, and landed."""
    read = packaged("flights.csv.zip", compression="zip")
    airports = packaged("airports.csv").set_index("faa")["tzone"]
    days = pd.to_datetime(read[["year", "month", "day"]])
    zones = read["dest"].map(airports).fillna("America/Puerto_Rico")
    new_york = pd.Series("America/New_York", index=read.index)
    due = on_the_clock(days, read["sched_dep_time"], new_york)
    arrival = on_the_clock(days, read["sched_arr_time"], zones)
    next_day = on_the_clock(days + timedelta(days=1), read["sched_arr_time"], zones)
    arrival = arrival.where(arrival >= due, next_day)
    number = read["carrier"] + read["flight"].astype(str)
    clock = read["sched_dep_time"].astype(str).str.zfill(4)
    return read.assign(
        flight_id=days.dt.strftime("%Y-%m-%d") + "/" + read["origin"] + "/" + number + "/" + clock,
        due=due,
        decided_at=due - timedelta(hours=2),
        landed_at=arrival + pd.to_timedelta(read["arr_delay"], unit="min"),
    ).set_index("flight_id")


@pytest.fixture(scope="module")
def sampled(runs: Runs) -> pd.DataFrame:
    """Draw some of the examples that the models saw."""
    examples = made(runs.first, "build").frame().set_index("flight_id")
    rows = np.random.default_rng(20131).choice(len(examples), 120, replace=False)
    drawn: pd.DataFrame = examples.iloc[rows]
    return drawn


def test_the_decision_and_the_label_are_those_of_the_files(
    sampled: pd.DataFrame, flights: pd.DataFrame
) -> None:
    same = flights.loc[sampled.index]

    assert (sampled["decided_at"] == same["decided_at"]).all()
    assert (sampled["label_known_at"] == same["landed_at"]).all()
    assert (sampled["label"] == (same["arr_delay"] > 15)).all()
    assert (sampled["label_known_at"] > sampled["decided_at"]).all()


def test_of_an_aircraft_the_last_landing_that_was_known_is_seen(
    sampled: pd.DataFrame, flights: pd.DataFrame
) -> None:
    landed = flights[flights["landed_at"].notna()].sort_values(["landed_at", "due"])
    by_tail = dict(iter(landed.groupby("tailnum")))

    seen = 0
    for flight_id, example in sampled.iterrows():
        history = by_tail.get(flights.at[flight_id, "tailnum"], landed[:0])
        known = history[history["landed_at"] <= example["decided_at"]]
        recent = known[known["landed_at"] >= example["decided_at"] - timedelta(days=30)]
        if recent.empty:
            assert np.isnan(example["last_arrival_delay"])
            continue
        seen += 1
        assert example["last_arrival_delay"] == recent["arr_delay"].iloc[-1]
        assert example["last_departure_delay"] == recent["dep_delay"].iloc[-1]
    assert seen > 60


def test_of_a_carrier_only_landings_that_were_known_are_counted(
    sampled: pd.DataFrame, flights: pd.DataFrame
) -> None:
    landed = flights[flights["landed_at"].notna()]

    for flight_id, example in sampled[:40].iterrows():
        own = landed[landed["carrier"] == flights.at[flight_id, "carrier"]]
        known = own[own["landed_at"] <= example["decided_at"]]
        day = known[known["landed_at"] >= known["landed_at"].max() - timedelta(days=1)]
        assert example["carrier_landings_day"] == len(day)
        assert example["late_share_day"] == pytest.approx((day["arr_delay"] > 15).mean())


def test_the_weather_is_the_last_that_was_published(sampled: pd.DataFrame) -> None:
    weather = packaged("weather.csv", parse_dates=["time_hour"])
    published = weather["time_hour"] + timedelta(hours=1)

    seen = 0
    for flight_id, example in sampled.iterrows():
        here = weather["origin"] == str(flight_id).split("/")[1]
        decided = example["decided_at"]
        usable = (published <= decided) & (weather["time_hour"] >= decided - timedelta(hours=6))
        known = weather[here & usable].sort_values("time_hour")
        if known.empty:
            assert np.isnan(example["temp"])
            continue
        seen += 1
        assert example["temp"] == pytest.approx(known["temp"].iloc[-1], nan_ok=True)
    assert seen > 60


# --- what the servers hold ---


def test_the_model_is_registered_once_with_its_test_figures(runs: Runs) -> None:
    version, second = (Registry().version(MODEL, role) for role in ("champion", "challenger"))

    auc = document(runs.first, "evaluate")["metrics"]["auc"]
    assert runs.versions_after_first == 2
    assert (second.digest, second.aliases) == (runs.first["runner_up"].digest, ("challenger",))
    assert version.digest == runs.first["select.selected_model"].digest
    assert version.aliases == ("candidate", "champion")
    assert float(version.tags["test_auc"]) == pytest.approx(auc["value"], abs=1e-5)
    assert f"{auc['low']:.4f}" in version.description
    assert f"{auc['high']:.4f}" in version.description
    assert document(runs.first, "register")["created"] is True
    assert document(runs.second, "register")["created"] is False


def test_mlflow_has_a_run_with_a_child_for_each_model(runs: Runs) -> None:
    parent, trained = logged(runs.first), children(runs.first)

    assert parent["info"]["status"] == "FINISHED"
    assert entries(parent, "params")["late_minutes"] == "15.0"
    auc = document(runs.first, "evaluate")["metrics"]["auc"]["value"]
    assert entries(parent, "metrics")["test_auc"] == pytest.approx(auc)
    assert files(runs.first.mlflow_run_id or "", "evaluation/evaluate") >= {
        "roc.png",
        "precision_recall.png",
        "calibration.png",
        "slices.png",
    }
    assert sorted(trained) == sorted(TRAINED)
    sets = {
        role: runs.first[f"split_by_time.{role}_set"].digest for role in ("train", "validation")
    }
    for name, child in trained.items():
        model = made(runs.first, name)
        figures, params = entries(child, "metrics"), entries(child, "params")
        assert child["info"]["status"] == "FINISHED"
        assert figures["validation_log_loss"] == pytest.approx(model.card.metrics["log_loss"])
        assert figures["fit_seconds"] > 0
        assert params["model.digest"] == model.digest
        assert {role: params[f"data.{role}"] for role in sets} == sets
        datasets = {
            entry["tags"][0]["value"]: entry["dataset"]["digest"]
            for entry in child["inputs"]["dataset_inputs"]
        }
        assert datasets == {
            "training": sets["train"][:36],
            "validation": sets["validation"][:36],
        }
        assert files(child["info"]["run_id"]) >= {"roc.png", "importance.png"}


# --- what was answered ---


@pytest.fixture(scope="module")
def log(runs: Runs) -> duckdb.DuckDBPyConnection:
    """Open what the endpoint decided."""
    return open_view(runs.home / "decisions" / MODEL)


def test_every_later_flight_was_decided_and_shadowed_and_its_outcome_told(
    runs: Runs, log: duckdb.DuckDBPyConnection, flights: pd.DataFrame
) -> None:
    days = [
        pd.Timestamp(PARAMETERS[name], tz="America/New_York") for name in ("until", "replay_until")
    ]
    asked = flights["decided_at"].between(*days, inclusive="left").sum()

    counts = log.sql(
        "SELECT count(DISTINCT d.id), count(DISTINCT s.id), count(DISTINCT o.id) FROM decisions d "
        "LEFT JOIN shadows s USING (id) LEFT JOIN outcomes o USING (id)"
    ).fetchall()

    replayed = document(runs.first, "replay")
    assert replayed["decisions"] == asked
    assert counts == [(asked, asked, replayed["outcomes"])]


def test_online_features_are_those_of_the_offline_join(
    runs: Runs, log: duckdb.DuckDBPyConnection
) -> None:
    offline = made(runs.first, "build").frame().set_index("flight_id")
    rows = log.sql("SELECT entity['flight_id'], features FROM decisions").fetchall()

    online = pd.DataFrame([features for _, features in rows], index=[row[0] for row in rows])
    same = offline.index.intersection(online.index)
    wanted = offline.loc[same, online.columns].astype("float64")
    assert len(same) > 0.95 * len(online)  # flights that never landed are not among the examples
    pd.testing.assert_frame_equal(
        online.loc[same].astype("float64"), wanted, check_names=False, check_exact=True
    )


def test_the_verdict_says_why_and_can_be_judged_again(runs: Runs) -> None:
    promoted = document(runs.first, "promote")

    verdict = judge_again(promoted["trace"])

    assert verdict.action == promoted["action"]
    assert promoted["why"].startswith(("Hold", "Promote", "Withdraw"))
    assert document(runs.second, "promote")["action"] == promoted["action"]


# --- the second run ---


def test_a_second_run_executes_no_pure_operator_and_adds_nothing(runs: Runs) -> None:
    acted = {path for path, state in states(runs.second).items() if state == "executed"}

    assert runs.second.state == "completed"
    assert runs.second.pure_executed() == 0
    assert acted == {
        "register",
        "publish:airport_congestion",
        "publish:airport_weather",
        "publish:carrier_history",
        "publish:tail_history",
        "publish_on_demand:flight_calendar",
        "register_challenger",
        "deploy",
        "replay",
        "promote",
    }
    assert set(states(runs.second).values()) == {"executed", "cached"}
    assert {path: runs.second[path].digest for path in TRAINED} == {
        path: runs.first[path].digest for path in TRAINED
    }
    assert children(runs.second) == {}
    assert len(Registry().versions(MODEL)) == 2
    assert not any(document(runs.second, name)["changed"] for name in ("deploy", "replay"))
    assert entries(logged(runs.second), "metrics")["test_auc"] == pytest.approx(
        entries(logged(runs.first), "metrics")["test_auc"]
    )


_SHOWING_MODULES = """
import json, os, sys
import flows._command.main as command

def leaving(self):
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
    os._exit(self.code)

command._Leaving.__call__ = leaving
command.main()
"""


def test_a_run_that_reuses_everything_imports_no_engine_for_its_effects(runs: Runs) -> None:
    words = [f"--parameter={name}={value}" for name, value in PARAMETERS.items()]

    done = subprocess.run(
        [sys.executable, "-c", _SHOWING_MODULES, "run", "flight_delay", "--json", *words],
        env={**inherited_environment(), **_services.client_environment()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pure_executed"] == 0
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert {"prefect", "sqlalchemy"} <= modules
    assert modules & {
        "duckdb", "fastapi", "feast", "great_expectations", "matplotlib", "mlflow", "onnx",
        "onnxruntime", "pandas", "pyarrow", "ray", "scipy", "sklearn", "torch", "xgboost",
    } == set()  # fmt: skip


def test_every_pure_node_can_be_cached(runs: Runs) -> None:
    status = plan_status(flight_delay.plan_with(PARAMETERS), runs.session)

    assert status.share_uncached == 0
    assert dict(status.uncached) == {}
    assert len(status.cached) == 20


# --- proof ---


def test_the_registered_model_leads_back_to_the_flights(runs: Runs) -> None:
    version = Registry().version(MODEL, "champion")

    graph = runs.session.lineage.closure(version.digest, "up")

    made_by = {n.label.rpartition(".")[2] for n in graph.nodes if n.sort == "invocation"}
    assert made_by >= {"read_flights", "time_flights", "label_by_outcome", "build", "split_by_time"}
    assert runs.first["read_flights"].digest in {n.id for n in graph.nodes}


def test_the_test_set_was_looked_at_once(runs: Runs) -> None:
    digest = runs.first["split_by_time.test_set"].digest

    (look,) = runs.session.lineage.looks(digest)

    assert (look.run_id, look.node, look.state) == (runs.first.id, "evaluate", "executed")


# --- planted leaks ---


class MadeUpTime(Flight, Protocol):
    """A flight with the minutes that it made up in the air, which are known when it landed."""

    made_up: Annotated[float | None, Col(role="feature", unit="min", known_at="landed_at")]


@operator()
def add_made_up_time(flights: Table[Flight]) -> Table[MadeUpTime]:
    """Add the minutes that a flight made up."""
    frame = flights.frame()
    return Table.of(frame.assign(made_up=frame["departure_delay"] - frame["arrival_delay"]))


@flow(grants=["package:nycflights13/*"])
def leak_in_declaration() -> Report:
    """Take what is known at the landing for a feature."""
    flights = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    flights_too = add_made_up_time(flights)
    _, report = label_by_outcome(
        flights_too, outcome="arrival_delay", above=15.0, window_hours=36.0
    )
    return report


def test_a_feature_declared_as_known_later_is_refused_before_anything_runs(runs: Runs) -> None:
    with pytest.raises(PlanError) as caught:
        run_flow(leak_in_declaration, {})

    (problem,) = caught.value.problems
    assert problem.rule == "leak"
    assert "test_flight_delay.py" in str(problem.location)
    assert str(problem).endswith(
        ": leak: 'add_made_up_time' → 'label_by_outcome.table': Feature 'made_up' is known at "
        "'landed_at', not at the decision ('decided_at').\n"
        "  Fix: Take the role 'feature' from it, or, if it is known by then, declare "
        '`known_at="decided_at"`.'
    )
    assert runs.session.lineage.runs(flow="leak_in_declaration") == []


class LastMinutes(Schema, Protocol):
    """What somebody says was known of a flight at its decision."""

    minutes: Annotated[float, Col(unit="min")]


def minutes_of_the_same_flight(flights: pa.Table) -> pa.Table:
    """Take each flight's own delay, and claim that it was known at the decision."""
    return (
        flights.select(["flight_id", "arrival_delay", "decided_at"])
        .rename_columns({"arrival_delay": "minutes", "decided_at": "event_time"})
        .append_column("known_time", flights["decided_at"])
    )


too_good = FeatureView(
    name="too_good",
    entities=(Entity(name="flight", column="flight_id", description="A flight."),),
    source=Flight,
    features=LastMinutes,
    compute=minutes_of_the_same_flight,
    owner="nobody",
    description="The delay of the flight itself.",
)


@flow(grants=["package:nycflights13/*"])
def leak_in_data() -> Examples[Any]:
    """Build examples with a view that lies about its times."""
    flights = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    labels, _ = label_by_outcome(flights, outcome="arrival_delay", above=15.0, window_hours=36.0)
    return build(labels, [compute_features(flights, view=too_good)])


def test_a_view_that_lies_about_when_it_knew_is_refused_at_the_run(runs: Runs) -> None:
    plan = leak_in_data.plan().require_sound()  # by its declaration nothing is wrong

    finished = run_plan(plan, runs.session)

    failed = finished.outcomes["build"]
    assert (finished.state, failed.state) == ("failed", "failed")
    assert isinstance(failed.error, LeakageError)
    assert failed.message == (
        "There is a leak in the data: feature 'minutes' of view 'too_good' separates label "
        "'label' almost perfectly; it alone tells it with an AUC of 1.000.\n"
        "  Fix: Look at when its values are known and correct the known time, or leave it out; "
        "if it is right, list it: trusted=['too_good:minutes']."
    )
