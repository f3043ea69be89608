"""A flow is a typed function that calls operators; it is planned, run, found and called by name."""

from __future__ import annotations

import pickle

import pytest

from headrace import Report, Table, flow, operator
from headrace.errors import DefinitionError, ParameterError
from headrace.workflow import find_flow


@operator()
def made(*, n: int) -> Table:
    """Make a row."""
    return Table.of({"n": [n]})


@flow
def one(n: int = 1, *, twice: bool = False) -> Table:
    """Make one row.

    More about it.
    """
    return made(n=2 * n if twice else n)


@flow(grants=["file:*"])
def granted(table: Table) -> Table:
    """Give back what it got."""
    return table


def test_a_flow_has_a_name_a_summary_and_grants():
    assert (one.name, one.summary, one.grants) == ("one", "Make one row.", ())
    assert granted.grants == ("file:*",)
    assert repr(one).startswith("<flow ")


def test_planning_takes_the_same_arguments_as_calling():
    plan = one.plan(3, twice=True)

    assert plan.parameters == {"n": 3, "twice": True}
    assert plan.node("made").parameters == {"n": 6}
    assert one.plan_with({"n": "3", "twice": "true"}) == plan  # as a form or command line says it


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((1, 2), {}, "Flow 'one' takes 1 positional arguments but got 2."),
        ((1,), {"n": 2}, "Flow 'one' is given 'n' twice."),
        ((), {"m": 2}, "Flow 'one' cannot start: there is no parameter 'm'. Known: 'n', 'twice'."),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args, kwargs, said: str):
    with pytest.raises(ParameterError) as refused:
        one.plan(*args, **kwargs)

    assert refused.value.problem == said


def test_a_flow_that_takes_artifacts_is_planned_on_real_ones():
    table = made(n=1)

    plan = granted.plan(table)

    assert [node.path for node in plan.nodes] == ["given"]
    assert plan.parameters == {}


def test_a_flow_is_pickled_by_its_name():
    assert find_flow(one.module, "one") is one
    assert pickle.loads(pickle.dumps(one)) is one  # noqa: S301


def test_what_is_no_flow_is_not_found_as_one():
    for name in ("made", "nowhere"):
        with pytest.raises(DefinitionError) as refused:
            find_flow(__name__, name)
        assert str(refused.value) == (
            f"'{__name__}.{name}' is not a flow that can be found by its name.\n"
            "  Fix: Define it at the top of a module and decorate it with `@flow`."
        )


def test_what_is_no_plain_function_is_no_flow():
    async def later() -> Table:
        return made(n=1)

    def one_by_one() -> Table:
        yield made(n=1)  # type: ignore[misc]

    said = []
    for body in (later, one_by_one, made, lambda: flow(grants="file:*")(one.body)):
        with pytest.raises(DefinitionError) as refused:
            body() if getattr(body, "__name__", "") == "<lambda>" else flow(body)
        said.append(str(refused.value))

    assert said == [
        "Flow 'later' is asynchronous, so that calling it does nothing yet.\n"
        "  Fix: Write `def` instead of `async def`; nodes run in parallel by themselves.",
        "Flow 'one_by_one' is a generator, so that calling it does nothing yet.\n"
        "  Fix: Return the artifacts instead of yielding them.",
        "Flow 'made' is of type Operator, not a function.\n"
        "  Fix: Decorate a function defined with `def`, once.",
        "Flow 'one' is granted the text 'file:*', not a list.\n"
        "  Fix: Write `@flow(grants=['file:*'])`.",
    ]


def test_a_flow_may_plan_another_flow_without_mixing_them():
    @flow
    def planner() -> Report:
        inner = one.plan()
        made(n=len(inner.nodes))
        return checked(made(n=3))

    plan = planner.plan().require_sound()

    assert [node.parameters for node in plan.nodes] == [{"n": 3}, {}]


@operator()
def checked(table: Table) -> Report:
    """Check."""
    return Report.of({"passed": True})
