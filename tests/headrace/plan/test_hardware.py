"""What the plan says of operators that need what this machine does not have or does not give."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import Report, flow, operator
from headrace.errors import DefinitionError
from headrace.machine import machine
from headrace.settings import using_settings


@operator(limits=("warehose",))
def ask_warehouse() -> Report:
    """Ask a warehouse."""
    return Report.of({"passed": True})


@operator(gpu=1)
def on_a_gpu() -> Report:
    """Compute on a GPU."""
    return Report.of({"passed": True})


@operator(memory="4000TB")
def in_memory() -> Report:
    """Hold a lot."""
    return Report.of({"passed": True})


@flow
def asking() -> Report:
    """Ask a warehouse."""
    return ask_warehouse()


@flow
def computing() -> Report:
    """Compute on a GPU."""
    return on_a_gpu()


@flow
def holding() -> Report:
    """Hold a lot."""
    return in_memory()


def said(planned: object) -> list[tuple[str, str]]:
    problems = planned.plan_with({}).problems  # type: ignore[attr-defined]
    return [(problem.rule, f"{problem.problem}\n  Fix: {problem.remedy}") for problem in problems]


def test_a_limit_that_is_not_set_is_a_problem_and_never_silence():
    with using_settings(limits={"warehouse": 2, "licence": 1}):
        near = said(asking)
    with using_settings(limits={}):
        none = said(asking)

    fix = "  Fix: Set it in headrace.toml, in the table [limits]: `warehose = 1`."
    assert near == [
        (
            "unknown limit",
            "There is no limit 'warehose', which operator 'ask_warehouse' takes part in. "
            f"Did you mean 'warehouse'?\n{fix}",
        )
    ]
    assert none == [
        (
            "unknown limit",
            "There is no limit 'warehose', which operator 'ask_warehouse' takes part in. "
            f"There are none.\n{fix}",
        )
    ]


def test_a_limit_that_is_set_is_no_problem():
    with using_settings(limits={"warehose": 1}):
        assert said(asking) == []


def test_gpus_are_those_that_the_settings_give_to_flows(tmp_path: Path):
    with using_settings(gpus=1):
        one = said(computing)
    with using_settings(gpus=0):
        none = said(computing)

    assert one == []
    assert none == [
        (
            "hardware",
            "Operator 'on_a_gpu' needs 1 GPUs; this machine has 0.\n"
            "  Fix: Lower what the decorator declares, or run it where there is more.",
        )
    ]


def test_more_memory_than_there_is_is_a_problem():
    assert said(holding) == [
        (
            "hardware",
            f"Operator 'in_memory' needs 4000TB of memory; this machine has "
            f"{machine().memory / 1e9:.1f}GB.\n"
            "  Fix: Lower what the decorator declares, or run it where there is more.",
        )
    ]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        pytest.param(
            "warehouse",
            "`limits` is the text 'warehouse', not a tuple of names.\n"
            "  Fix: Write `limits=('warehouse',)`.",
            id="a text",
        ),
        pytest.param(
            ("",),
            "`limits` is ('',), not a tuple of different names.\n"
            "  Fix: Write each name once, as in `limits=('warehouse',)`.",
            id="an empty name",
        ),
        pytest.param(
            ("a", "a"),
            "`limits` is ('a', 'a'), not a tuple of different names.\n"
            "  Fix: Write each name once, as in `limits=('warehouse',)`.",
            id="a name twice",
        ),
        pytest.param(
            (1,),
            "`limits` is (1,), not a tuple of different names.\n"
            "  Fix: Write each name once, as in `limits=('warehouse',)`.",
            id="no name",
        ),
    ],
)
def test_limits_are_names(limits: object, said: str):
    with pytest.raises(DefinitionError) as refused:
        operator(limits=limits)  # type: ignore[arg-type]

    assert str(refused.value) == said


def test_names_may_come_in_a_list():
    @operator(limits=["a", "b"])
    def body() -> Report: ...

    assert body.options.limits == ("a", "b")
