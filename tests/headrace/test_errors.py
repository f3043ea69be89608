"""Errors say what is wrong and how to put it right, in every process."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import errors
from headrace.errors import DataQualityError, HeadraceError, UnknownNameError, did_you_mean
from headrace.plan import Location, Problem
from headrace.plan.graph import PlanError

KINDS = sorted(
    (k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, HeadraceError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS)
@given(problem=st.text(), remedy=st.text())
def test_an_error_survives_pickling_with_its_remedy(
    kind: type[HeadraceError], problem: str, remedy: str
):
    error = kind(problem, remedy=remedy)

    for back in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301
        assert type(back) is kind
        assert (back.problem, back.remedy, back.args) == (problem, remedy, (problem,))
        assert str(back) == f"{problem}\n  Fix: {remedy}"


def test_what_an_error_carries_survives_too():
    problem = Problem(
        rule="nulls", problem="x", remedy="y", location=Location(file="flow.py", line=3)
    )
    quality = DataQualityError("It failed.", remedy="Look.", report={"failed": 2})
    plan = PlanError("It does not fit.", remedy="Correct it.", problems=(problem,))

    back = pickle.loads(pickle.dumps([quality, plan]))  # noqa: S301

    assert back[0].report == {"failed": 2}
    assert back[1].problems == (problem,)


def test_each_error_says_whose_fault_it_is():
    faults = {kind.__name__: kind.fault for kind in KINDS}

    assert faults["ParameterError"] == faults["SchemaError"] == "definition"
    assert faults["BoundaryError"] == faults["LeakageError"] == "data"
    assert faults["StoreError"] == faults["DamagedArtifactError"] == "system"


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        pytest.param("abov", ["above", "below"], " Did you mean 'above'?", id="one is near"),
        pytest.param(
            "delay",
            ["delays", "delayed"],
            " Did you mean 'delays' or 'delayed'?",
            id="two are near",
        ),
        pytest.param("x", ["carrier", "tail"], " Known: 'carrier', 'tail'.", id="none is near"),
        pytest.param("x", [], " There are none.", id="there are none"),
        pytest.param(
            "x",
            [f"n{i:02}" for i in range(14)],
            " Known: " + ", ".join(f"'n{i:02}'" for i in range(12)) + " and 2 more.",
            id="there are many",
        ),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_the_list(name: str, known: list[str], said: str):
    assert did_you_mean(name, known) == said


def test_an_unknown_name_is_a_whole_message():
    error = UnknownNameError.of("flow", "demmo", ["demo"], remedy="See `headrace flows`.")

    assert str(error) == (
        "There is no flow 'demmo'. Did you mean 'demo'?\n  Fix: See `headrace flows`."
    )
