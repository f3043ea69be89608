"""Reading a flow: what is recorded, in which order, and what the plan says about it."""

from __future__ import annotations

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._plan_corpus import CORRECT, cases
from benchmarks._plan_corpus import parts as p
from headrace import Report, Table, flow, operator
from headrace.errors import UnknownNameError
from headrace.plan import Plan
from headrace.plan.graph import PlanError
from headrace.plan.planner import derived_seed


def test_nodes_are_named_after_operators_and_numbered_when_they_repeat(plan: Plan):
    paths = [node.path for node in plan.nodes]

    assert paths == [
        "flights",
        "label",
        "parted",
        "checked",
        "anything",
        "identified#2",
        "publish",
        "announce",
        "fit",
    ]


def test_what_nobody_uses_is_pruned_with_a_warning(plan: Plan):
    assert plan.pruned == ("identified",)
    assert len(plan.warnings) == 1
    assert plan.warnings[0].endswith(": nobody uses what 'identified' makes, so it will not run.")


def test_conditions_are_upstream_of_the_nodes_they_decide(plan: Plan):
    publish, announce = plan.node("publish"), plan.node("announce")

    assert [str(c) for c in publish.conditions] == ["when checked"]
    assert [str(c) for c in announce.conditions] == ["unless checked"]
    assert list(publish.upstream()) == ["checked", "identified#2"]
    assert list(announce.upstream()) == ["checked"]


def test_an_edge_whose_columns_nobody_knows_is_shown_as_unchecked(plan: Plan):
    unchecked = [(str(e.source), e.target, e.input) for e in plan.edges if not e.checked]

    assert unchecked == [("anything", "identified#2", "rows")]


def test_an_unknown_node_is_named_with_the_nearest(plan: Plan):
    with pytest.raises(UnknownNameError) as refused:
        plan.node("fitt")

    assert str(refused.value) == (
        "There is no node 'fitt'. Did you mean 'fit'?\n"
        "  Fix: See the nodes with `headrace plan whole`."
    )


@pytest.mark.parametrize("case", cases(CORRECT), ids=lambda case: case.name)
def test_the_laws_of_a_plan_hold_for_every_correct_flow(case):
    one, two = case.flow.plan(), case.flow.plan()

    seen: set[str] = set()
    for node in one.nodes:  # the order is topological
        assert set(node.upstream()) <= seen
        seen.add(node.path)
    assert not seen & set(one.pruned)
    assert {e.target for e in one.edges} | {e.source.node for e in one.edges} <= seen
    assert {ref.node for ref in one.results} <= seen
    without_given = [n for n in one.nodes if n.given is None]  # each run hands in its own
    assert without_given == [n for n in two.nodes if n.given is None]
    assert (one.edges, one.pruned, one.warnings) == (two.edges, two.pruned, two.warnings)


@operator()
def start(*, at: int) -> Table:
    """Begin."""
    return Table.of({"x": [at]})


@operator()
def join(tables: list[Table]) -> Table:
    """Join."""
    return tables[0]


@operator(effect=True)
def send(table: Table) -> None:
    """Send."""


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 25))
def test_any_graph_is_read_in_an_order_in_which_it_can_run_and_splits_into_kept_and_pruned(
    seed: int, size: int
):
    @flow
    def drawn(seed: int, size: int) -> Table:
        draw = random.Random(seed)  # noqa: S311  no secret
        made = [start(at=0)]
        for at in range(size):
            some = draw.sample(made, draw.randint(0, min(3, len(made))))
            made.append(join(some) if some else start(at=at))
            if draw.random() < 0.1:
                send(draw.choice(made))
        return draw.choice(made)

    plan = drawn.plan(seed, size)

    position = {node.path: i for i, node in enumerate(plan.nodes)}
    needed = {ref.node for ref in plan.results} | {n.path for n in plan.nodes if n.effect}
    used = {up for node in plan.nodes for up in node.upstream()}
    assert plan.problems == ()
    assert all(position[up] < position[n.path] for n in plan.nodes for up in n.upstream())
    assert set(position) == needed | used
    assert not set(position) & set(plan.pruned)
    starts_and_joins = {path.split("#")[0] for path in plan.pruned}
    assert starts_and_joins <= {"start", "join"}


def test_every_problem_is_reported_at_once():
    @flow
    def three():
        table = p.flights(mont=3)
        p.by_tail(table)
        return p.whole(table)

    with pytest.raises(PlanError) as refused:
        three.plan().require_sound()

    assert [problem.rule for problem in refused.value.problems] == [
        "unknown argument",
        "missing column",
        "nulls",
    ]
    assert refused.value.problem.startswith("Flow 'three' has 3 problems:\n")
    assert refused.value.remedy == "Correct the flow; nothing has run."


def test_what_follows_a_look_at_data_is_said_to_be_unread_and_nothing_is_called_unused():
    @flow
    def looks():
        table = p.flights()
        p.tidied(table)
        return p.checked(table.frame())

    plan = looks.plan()

    (problem,) = plan.problems
    assert problem.problem == (
        "The flow body uses `frame()` of the Table from 'flights', which has no data while the "
        "flow is planned. What follows in the flow could not be checked."
    )
    assert problem.remedy == (
        "Move what needs the data into an operator and pass the artifact to it."
    )
    assert [node.path for node in plan.nodes] == ["flights", "tidied"]
    assert (plan.pruned, plan.warnings) == ((), ())


def test_no_body_runs_while_a_flow_is_planned():
    ran = []

    @operator()
    def runs() -> Report:
        """Say that it ran."""
        ran.append("ran")
        return Report.of({"passed": True})

    @flow
    def one() -> Report:
        return runs()

    one.plan()
    runs()

    assert ran == ["ran"]


def test_a_seed_left_open_comes_from_the_flows_seed_and_the_nodes_path():
    @operator()
    def drawn(*, seed: int | None = None) -> Report:
        """Draw."""
        return Report.of({"passed": True, "seed": seed})

    @flow
    def draws(seed: int = 0):
        return drawn(), drawn(), drawn(seed=7)

    first, again, other = draws.plan(), draws.plan(), draws.plan(seed=1)

    seeds = [node.parameters["seed"] for node in first.nodes]
    assert seeds == [derived_seed(0, "drawn"), derived_seed(0, "drawn#2"), 7]
    assert seeds == [node.parameters["seed"] for node in again.nodes]
    assert seeds[:2] != [node.parameters["seed"] for node in other.nodes][:2]
    assert [node.seed for node in first.nodes] == [*seeds[:2], None]


def test_a_default_is_read_in_its_type_so_that_it_equals_the_same_value_passed():
    @operator()
    def above(*, least: float = 15) -> Report:
        """Compare."""
        return Report.of({"passed": True})

    @flow
    def both():
        return above(), above(least=15), above(least=15.0)

    values = [node.parameters["least"] for node in both.plan().nodes]

    assert [repr(value) for value in values] == ["15.0", "15.0", "15.0"]


def test_a_subflow_is_a_folder_and_its_mistakes_are_shown_where_they_are():
    @flow
    def inner() -> Report:
        return p.by_tail(p.flights())

    @flow
    def outer():
        return inner(), inner()

    plan = outer.plan()

    assert [n.path for n in plan.nodes] == [
        "inner/flights",
        "inner/by_tail",
        "inner#2/flights",
        "inner#2/by_tail",
    ]
    assert [x.problem.split(":")[0] for x in plan.problems] == [
        "'inner/flights' → 'inner/by_tail.rows'",
        "'inner#2/flights' → 'inner#2/by_tail.rows'",
    ]


def test_an_artifact_that_is_handed_in_twice_is_one_node():
    table = Table[p.Identified].of(pd.DataFrame({"flight_id": ["a"]}))

    @flow
    def twice():
        return p.identified(table), p.same_rows(table, table)

    plan = twice.plan()

    assert [n.path for n in plan.nodes] == ["given", "identified", "same_rows"]
    assert plan.problems == ()


def test_kernel_files_elsewhere_with_a_similar_name_are_the_users(tmp_path):
    folder = tmp_path / "headrace_flows"
    folder.mkdir()
    file = folder / "mine.py"
    file.write_text("def body(flights):\n    return flights(mont=1)\n")
    space: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)  # noqa: S102  our own text

    from headrace.plan import plan_flow

    plan = plan_flow("mine", space["body"], {"flights": p.flights}, parameters={})

    assert str(plan.problems[0].location) == f"{file}:2"
