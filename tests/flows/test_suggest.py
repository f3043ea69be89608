from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VIEWS = '''
"""Views of a plant: one that helps, decoys, one that leaks, and some that nobody may try."""
from datetime import datetime
from typing import Annotated, Protocol

from features.view import Entity, FeatureView
from headrace import Col, Schema

MACHINE = Entity(name="machine", column="machine")

class Measured(Schema, Protocol):
    machine: str
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    value: float

class Value(Schema, Protocol):
    value: float

class Staffed(Schema, Protocol):
    value: Annotated[float, Col(sensitivity="personal")]

def as_measured(source):
    return source

def mean_of_all_time(source):
    frame = source.to_pandas()
    return frame.assign(value=frame.groupby("machine")["value"].transform("mean"))

def view(name, compute=as_measured, **more):
    given = dict(name=name, entities=(MACHINE,), source=Measured, features=Value,
                 compute=compute, owner="plant", description="A number about a machine.")
    return FeatureView(**(given | more))

heat = view("heat")
wear = view("wear")
decoy = view("decoy")
all_time = view("all_time", mean_of_all_time)
old = view("old", stage="deprecated")
staff = view("staff", features=Staffed)
'''
FLOW = '''
"""Flows of a plant: labels, views, and a first model's examples."""
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd

from features.publish import publish
from headrace import Col, Examples, Labels, Schema, Table, flow, operator
from operators.build import build
from operators.compute_features import compute_features
from plant_features.plant import Measured, all_time, decoy, heat, old, staff, wear

MACHINES, DAYS = 30, 60

class Fault(Schema, Protocol):
    case: Annotated[str, Col(role="entity")]
    machine: str
    decided_at: Annotated[datetime, Col(role="decision_time")]
    label_known_at: Annotated[datetime, Col(role="known_time")]
    load: Annotated[float, Col(role="feature", known_at="decided_at")]
    failed: Annotated[int, Col(role="label")]

def world():
    draw = np.random.default_rng(5)
    day = np.repeat(np.arange(DAYS), MACHINES)
    start = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
    frame = pd.DataFrame({
        "machine": np.tile([f"m{i:02}" for i in range(MACHINES)], DAYS),
        "decided_at": pd.to_datetime([start + timedelta(days=int(d)) for d in day]),
        "wear": np.tile(draw.normal(size=MACHINES), DAYS),
        "heat": draw.normal(size=len(day)), "load": draw.normal(size=len(day)),
        "decoy": draw.normal(size=len(day)),
    })
    odds = 0.9 * frame["wear"] + 1.2 * frame["heat"] + 0.6 * frame["load"] - 0.4
    frame["failed"] = (draw.uniform(size=len(day)) < 1 / (1 + np.exp(-odds))).astype(int)
    return frame

@operator()
def draw_labels() -> Labels[Fault]:
    """Draw labelled decisions."""
    frame = world()
    frame["case"] = [f"c{i}" for i in range(len(frame))]
    frame["label_known_at"] = frame["decided_at"] + timedelta(days=1)
    return Labels[Fault].of(frame)

@operator()
def draw_measured(*, column: str) -> Table[Measured]:
    """Draw what is measured of machines."""
    frame = world()
    known = frame["decided_at"] - timedelta(hours=1)
    return Table[Measured].of(pd.DataFrame({
        "machine": frame["machine"], "event_time": known, "known_time": known,
        "value": frame[column].astype(float),
    }))

@flow(grants=["feature:*", "feature:staff/value"])
def plant() -> Examples[Any]:
    """Publish the views of a plant, and build what a first model uses."""
    pairs = [(heat, "heat"), (wear, "wear"), (decoy, "decoy"), (all_time, "failed"),
             (old, "heat"), (staff, "heat")]
    rows = {}
    for view, column in pairs:
        rows[view.name] = compute_features(draw_measured(column=column), view=view)
        publish(rows[view.name], view=view)
    return build(draw_labels(), [rows["wear"]])
'''


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    (folder / "features").mkdir()
    (folder / "flows").mkdir()
    (folder / "features" / "plant.py").write_text(VIEWS)
    (folder / "flows" / "plant_flow.py").write_text(
        FLOW.replace("from plant_features.plant", "from plant")
    )
    (folder / "headrace.toml").write_text('roots = ["."]\nhome = "home"\n')
    done = headrace(folder, "run", "flows/plant_flow.py:plant", "--local")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def headrace(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
    return subprocess.run(
        [Path(sys.executable).parent / "headrace", *words],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(folder / "features"), "HEADRACE_ISOLATION": "none"},
        capture_output=True,
        text=True,
        check=False,
    )


def suggested(folder: Path, *words: str) -> dict[str, Any]:
    done = headrace(
        folder, "features", "suggest", "--for", "latest:plant/draw_labels", "--local", "--json",
        *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_views_not_used_yet_are_ranked_and_the_leaky_one_is_refused(repository: Path):
    found = suggested(repository)

    assert found["using"] == ["wear"]
    assert [(c["view"], c["verdict"]) for c in found["candidates"]] == [
        ("heat", "useful"),
        ("decoy", "no gain shown"),
        ("all_time", "refused"),
    ]
    refused = found["candidates"][-1]
    assert refused["reason"].startswith(
        "View 'all_time' uses what became known later: 'value' of machine 'm"
    )
    assert found["left_out"] == [
        {"view": "old", "reason": "It is deprecated."},
        {"view": "staff", "reason": "plant does not let 'suggest_features' read value."},
    ]


def test_views_can_be_named_and_the_table_says_why(repository: Path):
    done = headrace(
        repository, "features", "suggest", "--for", "latest:plant/draw_labels", "--local",
        "--using", "none", "--view", "wear", "--view", "all_time",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("wear") and "useful" in line for line in lines)
    assert "beside no view: log loss 0." in done.stdout
    assert "all_time: View 'all_time' uses what became known later" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--for", "latest:plant/draw_lables"),
            "There is no finished node of the flow 'plant' 'draw_lables'. Did you mean "
            "'draw_labels'?",
        ),
        (
            ("--for", "latest:plant/draw_labels", "--view", "haet"),
            "No view 'haet' is published. Did you mean 'heat'?\n"
            "  Fix: `headrace features list` shows what is.",
        ),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(
    repository: Path, words: tuple[str, ...], message: str
):
    done = headrace(repository, "features", "suggest", "--local", *words)

    assert done.returncode != 0
    assert message in done.stderr
