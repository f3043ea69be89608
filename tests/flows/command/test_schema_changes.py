"""A schema that is edited between two runs: who is affected is said before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows._schema_changes import changes_before, describe
from headrace import Table, TrainSet, ValidationSet, flow, operator
from headrace.execution import Session
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings
from operators.train_xgboost import train_xgboost
from serving.bundles import keep_bundle
from serving.endpoints import Endpoints, EndpointSpec

RIDES = dedent(
    '''
    """Flows about rides."""

    from __future__ import annotations

    from datetime import datetime
    from typing import Annotated, Protocol, TypeVar

    from headrace import Col, Report, Schema, Table, flow, operator

    S = TypeVar("S", bound=Schema)


    class Rides(Schema, Protocol):
        """Rides."""

        bike: Annotated[str, Col(role="entity")]
        ended_at: datetime
        distance: Annotated[int, Col(unit="mi", role="feature")]
        price: float


    class Lengths(Schema, Protocol):
        """What a price is made of."""

        distance: Annotated[float, Col(unit="mi")]


    @operator()
    def read_rides() -> Table[Rides]:
        """Give a ride."""
        made = {"bike": ["a"], "ended_at": [], "distance": [3], "price": [1.5]}
        return Table[Rides].of({name: made.get(name, [3])[:0] for name in COLUMNS})


    COLUMNS = tuple(Rides.__annotations__)


    @operator()
    def longest(rides: Table[S]) -> Table[S]:
        """Keep the longest rides."""
        return rides


    @operator()
    def length(rides: Table[Lengths]) -> Report:
        """Say how long rides are."""
        return Report.of({"passed": True})


    @flow
    def rides() -> Report:
        """Say how long the longest rides are."""
        return length(longest(read_rides()))


    @flow
    def fares() -> Report:
        """Say how long rides are."""
        return length(read_rides())


    @flow
    def fares_of(*, bike: str) -> Report:
        """Say how long a bike's rides are."""
        return length(read_rides())
    '''
)

VIEW = dedent(
    '''
    """This view holds how far bikes went."""

    from rides import Rides

    from features.view import Entity, FeatureView
    from headrace.schemas import Column


    def compute(rides):
        """Give nothing."""
        return rides


    bike_wear = FeatureView(
        name="bike_wear",
        entities=(Entity(name="bike", column="bike"),),
        source=Rides,
        features=(Column(name="worn", dtype="float", nullable=True),),
        compute=compute,
        owner="rides",
        description="How worn a bike is.",
    )
    '''
)


NUMBERED = TableSchema(
    name="Rides",
    columns=(
        Column(name="bike", dtype="int", role="entity"),
        Column(name="ended_at", dtype="timestamp"),
        Column(name="distance", dtype="int", unit="mi", role="feature"),
        Column(name="price", dtype="float"),
    ),
)


@operator(produces=lambda call: NUMBERED)
def read_rides() -> Table[Any]:
    """Give no ride."""
    return Table.of({}, schema=NUMBERED)


@flow
def rides() -> Table[Any]:
    """Give rides whose bikes are numbers."""
    return read_rides()


class Project:
    """This is a repository whose flow `rides` ran once, before somebody edits it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = ("HEADRACE_", "PREFECT_", "MLFLOW_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in the repository's folder."""
        return subprocess.run(
            [Path(sys.executable).with_name("headrace"), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def edited(self, *changes: tuple[str, str]) -> str:
        """Edit the flows and return what the plan of `rides` says of schemas."""
        text = RIDES
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (self.folder / "work" / "rides.py").write_text(text, encoding="utf-8")
        planned = self("plan", "rides")
        assert planned.stderr == ""
        said, marker, changed = planned.stdout.partition("Schema changes since run:")
        assert said
        return dedent(changed[9:]).strip("\n") if marker else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the repository, run its flow, and let an endpoint answer with a model of distances."""
    folder = tmp_path_factory.mktemp("rides")
    (folder / "work" / "features").mkdir(parents=True)
    (folder / "work" / "rides.py").write_text(RIDES, encoding="utf-8")
    (folder / "work" / "features" / "bike_wear.py").write_text(VIEW, encoding="utf-8")
    (folder / "headrace.toml").write_text('roots = ["work"]\n', encoding="utf-8")
    ran = Project(folder)("run", "rides", "--local")
    assert (ran.returncode, ran.stderr) == (0, "")
    with using_settings(home=folder / "var"):
        _serve_a_model_of_distances()
    return folder


def _serve_a_model_of_distances() -> None:
    distance = Column(name="distance", dtype="int", unit="mi", role="feature")
    label = Column(name="late", dtype="int", role="label")
    schema = TableSchema(name="Late", columns=(distance, label))
    frame = pd.DataFrame({"distance": np.arange(200), "late": np.arange(200) // 100})
    train = TrainSet.of(frame, schema=schema)
    model = train_xgboost(train, ValidationSet.of(frame, schema=schema), n_estimators=2)
    keep_bundle(model, name="late_rides", version="1")
    spec = EndpointSpec(model="late_rides", task="classification", clock="live", space="rides")
    Endpoints().declare("rides", spec=spec, champion="late_rides/1", reason="first")


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    """Copy the repository, for one test to edit."""
    return Project(Path(shutil.copytree(made, tmp_path / "rides")))


def test_nothing_is_said_when_no_schema_changed(project: Project) -> None:
    assert project.edited(('"""Rides."""', '"""Rides of bikes."""')) == ""


def test_a_changed_unit_breaks_whoever_declares_it_or_learnt_from_it(project: Project) -> None:
    said = project.edited(('unit="mi", role', 'unit="km", role'))

    assert said == dedent(
        """\
        read_rides: column 'distance' of 'Rides' had the unit 'mi' and has 'km' (breaking)
          'length' cannot read it: 'longest' → 'length.rides': column 'distance' is in 'km' in \
'Rides' but in 'mi' in 'Lengths'.
          longest carries it
          flow 'fares' has it too, in read_rides, and cannot run: 'read_rides' → 'length.rides': \
column 'distance' is in 'km' in 'Rides' but in 'mi' in 'Lengths'.
          flow 'fares_of' was not looked at: it needs -p bike=…
          view 'bike_wear' is computed from it
          model 'late_rides/1' was trained on it as it was; train it again
          endpoint 'rides' answers with late_rides/1, which was trained on it as it was; train \
it again"""
    )


def test_a_widened_number_is_compatible_with_all_who_take_it(project: Project) -> None:
    said = project.edited(("Annotated[int, Col", "Annotated[float, Col"))

    assert said == dedent(
        """\
        read_rides: column 'distance' of 'Rides' was int and is float (compatible)
          length reads it
          longest carries it
          flow 'fares' has it too, in read_rides
          flow 'fares_of' was not looked at: it needs -p bike=…
          view 'bike_wear' is computed from it
          model 'late_rides/1' was trained on it
          endpoint 'rides' answers with late_rides/1, which was trained on it"""
    )


def test_a_renamed_column_is_one_that_is_gone_and_one_that_is_new(project: Project) -> None:
    said = project.edited(("        price: float".strip(), "fare: float"))

    assert said == dedent(
        """\
        read_rides: column 'price' of 'Rides' is gone; 'fare' may be its new name (compatible)
          longest carries it
          flow 'fares' has it too, in read_rides
          flow 'fares_of' was not looked at: it needs -p bike=…
          view 'bike_wear' reads 'Rides'; see that it does without the column
        read_rides: column 'fare' of 'Rides' is new: float (compatible)
          longest carries it
          flow 'fares' has it too, in read_rides
          flow 'fares_of' was not looked at: it needs -p bike=…"""
    )


def test_a_dropped_column_is_told_to_scripts_with_all_who_lose_it(project: Project) -> None:
    project.edited(('    distance: Annotated[int, Col(unit="mi", role="feature")]\n', ""))

    planned = json.loads(project("plan", "rides", "--json").stdout)

    run = _last_run(project)
    (change,) = planned["schema_changes"]["changes"]
    assert planned["schema_changes"]["since"] == f"run:{run}"
    missing = (
        "column 'distance' of schema 'Lengths' is missing from 'Rides'. Known: 'bike', 'ended_at', "
        "'price'."
    )
    assert change == {
        "output": "read_rides",
        "schema": "Rides",
        "column": "distance",
        "sort": "removed",
        "renamed": None,
        "was": {"name": "distance", "dtype": "int", "unit": "mi", "role": "feature"},
        "now": None,
        "said": "column 'distance' of 'Rides' is gone",
        "breaking": True,
        "nodes": [
            {"node": "longest", "how": "carries", "breaks": None},
            {"node": "length", "how": "reads", "breaks": f"'longest' → 'length.rides': {missing}"},
        ],
        "flows": [
            {
                "name": "fares",
                "said": "has it too, in read_rides, and cannot run: 'read_rides' → 'length.rides': "
                + missing,
                "breaks": True,
            },
            {
                "name": "fares_of",
                "said": "was not looked at: it needs -p bike=…",
                "breaks": False,
            },
        ],
        "views": [
            {
                "name": "bike_wear",
                "said": "reads 'Rides'; see that it does without the column",
                "breaks": False,
            }
        ],
        "models": [
            {
                "name": "late_rides/1",
                "said": "was trained on it as it was; train it again",
                "breaks": True,
            }
        ],
        "endpoints": [
            {
                "name": "rides",
                "said": "answers with late_rides/1, which was trained on it as it was; train it "
                "again",
                "breaks": True,
            }
        ],
    }


def test_a_flow_that_never_completed_has_nothing_to_compare_with(project: Project) -> None:
    planned = json.loads(project("plan", "fares", "--json").stdout)

    assert planned["schema_changes"] is None


def test_before_a_run_each_change_is_one_line(
    project: Project,
) -> None:
    with using_settings(home=project.folder / "var", roots=[]):
        session = Session.of_settings()
        changes = changes_before(rides.plan(), session)

    assert changes is not None
    assert describe(changes) == [
        f"Schema changed since run:{_last_run(project)[:8]}: read_rides: column 'bike' of 'Rides' "
        "was string and is int (compatible)"
    ]


def _last_run(project: Project) -> str:
    (run,) = json.loads(project("runs", "--json").stdout)
    found: str = run["run"] if "run" in run else run["id"]
    return found.removeprefix("run:")


LOOP = dedent(
    '''
    """This loop asks what a ride was for."""

    from rides import read_rides

    from flows.labeling import LabelLoop
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

    PURPOSE = LabelLoop(
        task=LabelTask(
            name="purpose",
            labels=LabelSchema(choices=("work", "sport")),
            entity="bike",
            show=("price",),
        ),
        pool=read_rides,
    )
    '''
)


def test_a_labeling_loop_whose_rows_have_the_column_is_among_those_who_meet_it(
    project: Project,
) -> None:
    (project.folder / "work" / "loops.py").write_text(LOOP, encoding="utf-8")

    said = project.edited(("Annotated[int, Col", "Annotated[float, Col"))

    assert "  flow 'label_round -p loop=purpose' has it too, in pool/read_rides\n" in said
    assert "label_collect" not in said
