"""What a flow says beyond calls belongs into a flow; `map_over` works anywhere."""

from __future__ import annotations

import pytest

from headrace import Partitions, Report, Table, flow, map_over, operator, otherwise, when
from headrace.errors import DefinitionError, ParameterError


@operator()
def made(*, n: int, times: int = 1) -> Table:
    """Make a row."""
    return Table.of({"n": [n * times]})


@operator()
def seen(table: Table, *, n: int = 0) -> Report:
    """Report a row."""
    return Report.of({"passed": True, "n": int(table.frame().iloc[0, 0]) + n})


@operator()
def apart() -> Partitions[Table]:
    """Make two partitions."""
    return Partitions.of({"a": made(n=1), "b": made(n=2)})


def test_map_over_calls_once_for_each_item_outside_a_flow_too():
    tables = map_over(made, [1, 2], times=3)
    reports = map_over(seen, apart(), n=10)

    assert [t.frame().iloc[0, 0] for t in tables] == [3, 6]
    assert {k: r.document["n"] for k, r in reports.items.items()} == {"a": 11, "b": 12}


def test_map_over_with_nothing_left_to_map_is_refused():
    with pytest.raises(ParameterError) as refused:
        map_over(made, [1], n=1, times=2)

    assert str(refused.value) == (
        "`map_over` of operator 'made' fixes every argument.\n"
        "  Fix: Leave out the argument that takes the items."
    )


@pytest.mark.parametrize(("use", "name"), [(when, "when"), (otherwise, "otherwise")])
def test_conditions_belong_into_a_flow(use, name: str):
    with pytest.raises(DefinitionError) as refused:
        use(Report.of({"passed": True}))

    assert str(refused.value) == (
        f"`{name}` is used outside a flow.\n"
        "  Fix: Use it in the body of a function decorated with `@flow`."
    )


def test_partitions_that_only_the_data_knows_are_one_node():
    @flow
    def both():
        return map_over(seen, apart(), n=1), *map_over(made, [5, 6])

    plan = both.plan().require_sound()

    assert [(n.path, n.over) for n in plan.nodes] == [
        ("apart", None),
        ("seen", "table"),
        ("made", None),
        ("made#2", None),
    ]
    assert plan.node("seen").outputs["result"].partitioned


def test_conditions_nest_and_end_with_their_block():
    @flow
    def nested():
        one, two = seen(made(n=1)), seen(made(n=2))
        with when(one):
            first = made(n=3)
            with otherwise(two):
                second = made(n=4)
        return first, second, made(n=5)

    plan = nested.plan().require_sound()

    assert [[str(c) for c in n.conditions] for n in plan.nodes[4:]] == [
        ["when seen"],
        ["when seen", "unless seen#2"],
        [],
    ]
