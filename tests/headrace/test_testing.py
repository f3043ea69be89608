"""`check_operator` accepts an operator that keeps the contract and names the law another breaks."""

from __future__ import annotations

import itertools
import random
from typing import Any, Protocol

import pandas as pd
import pytest

import headrace.testing
from benchmarks._plan_corpus import parts
from headrace import Report, Schema, Table, operator
from headrace.errors import DataError
from headrace.store import contract
from headrace.testing import check_operator


class Delays(Schema, Protocol):
    """A delay."""

    delay: float


ROWS = Table[Delays].of(pd.DataFrame({"delay": [1.0, 2.0, 3.0]}))


@operator()
def mean(rows: Table[Delays], *, least: float = 0.0) -> Report:
    """Report the mean delay."""
    if not rows.rows:
        raise DataError("There are no delays.", remedy="Pass at least one.")
    return Report.of({"passed": True, "mean": float(rows.frame()["delay"].mean())})


@operator()
def doubled(rows: Table[Delays]) -> Table[Delays]:
    """Double the delays; no rows stay no rows."""
    return Table.of(rows.frame() * 2)


@operator(deterministic=False)
def lucky(rows: Table[Delays]) -> Report:
    """Draw a number, as it says it does."""
    return Report.of({"passed": True, "drawn": random.random()})  # noqa: S311


called: list[str] = []


@operator(effect=True)
def sends(rows: Table[Delays]) -> Report:
    """Send once."""
    called.append("sent")
    return Report.of({"passed": True})


@pytest.mark.parametrize("one", [mean, doubled, lucky])
def test_an_operator_that_keeps_the_contract_passes(one: Any):
    check_operator(one, ROWS)


def test_lists_partitions_and_documents_can_be_examples():
    check_operator(parts.flights, month=2)
    check_operator(parts.label, parts.flights(), above=3.0)
    check_operator(parts.parted, parts.label(parts.flights()))
    check_operator(parts.publish, Report.of({"passed": True}))


def test_an_effect_is_called_once():
    called.clear()

    check_operator(sends, ROWS)

    assert called == ["sent"]


@operator()
def silent(rows: Table[Delays]) -> Report:
    return Report.of({"passed": True})


@operator()
def rambling(rows: Table[Delays]) -> Report:
    """This goes on and on.
    And on.
    """
    return Report.of({"passed": True})


@operator()
def lost(rows: Table[Delays]) -> Report:
    """Be replaced by another of the same name."""
    return Report.of({"passed": True})


_lost = lost


@operator()
def lost(rows: Table[Delays]) -> Report:  # type: ignore[no-redef]
    """Take the other's name."""
    return Report.of({"passed": True})


def _nested() -> Any:
    @operator()
    def nested(rows: Table[Delays]) -> Report:
        """Hide in a function."""
        return Report.of({"passed": True})

    return nested


@operator()
def drawing(rows: Table[Delays]) -> Report:
    """Draw without a seed."""
    return Report.of({"passed": True, "drawn": random.random()})  # noqa: S311


_count = itertools.count()


@operator()
def shuffling(rows: Table[Delays]) -> Table[Delays]:
    """Give the rows in another order each time."""
    return Table.of(rows.frame().iloc[:: 1 if next(_count) % 2 else -1])


@operator()
def greedy(rows: Table[Delays], *, names: list[str] = []) -> Report:  # noqa: B006
    """Change a parameter."""
    names.append("more")
    return Report.of({"passed": True})


@operator()
def careless(rows: Table[Delays]) -> Report:
    """Change the memory of its input."""
    values = rows.arrow()["delay"].chunk(0).buffers()[1]
    memory = memoryview(bytearray(values))
    import ctypes

    ctypes.memset(values.address, 0, len(memory))
    return Report.of({"passed": True})


@operator()
def needs_a_row(rows: Table[Delays]) -> Report:
    """Take the first row."""
    return Report.of({"passed": True, "first": float(rows.frame()["delay"].iloc[0])})


@operator()
def curt(rows: Table[Delays]) -> Report:
    """Refuse without help."""
    if not rows.rows:
        raise DataError("No.", remedy="")
    return Report.of({"passed": True})


@operator()
def taking_anything(rows: Table[Delays], *, frame: Any = None) -> Report:
    """Take data as a parameter."""
    return Report.of({"passed": True})


def _refuse(call: Any) -> Any:
    raise KeyError("delay")


@operator(check=_refuse)
def unplanned(rows: Table[Delays]) -> Report:
    """Cannot be planned."""
    return Report.of({"passed": True})


@pytest.mark.parametrize(
    ("one", "more", "said"),
    [
        (silent, {}, "Operator 'silent' has no summary. Begin its docstring with one sentence"),
        (rambling, {}, "The summary of operator 'rambling' goes on in its second line."),
        (_lost, {}, "The name 'lost' of module"),
        (_nested(), {}, "Operator 'nested' cannot be pickled by its name, so no other process can "
         "run it. Define it at the top of a module"),
        (drawing, {}, "Operator 'drawing' made another 'result' from the same inputs. Take random"),
        (shuffling, {}, "Operator 'shuffling' made another 'result' from the same inputs."),
        (greedy, {"names": ["a"]}, "Operator 'greedy' changed its input 'names'. Work on a copy"),
        (careless, {}, "Operator 'careless' changed its input 'rows'. Work on a copy"),
        (needs_a_row, {}, "Operator 'needs_a_row' fails on empty tables with IndexError: single"),
        (curt, {}, "Operator 'curt' refuses empty tables without a remedy: No. Say what to do"),
        (taking_anything, {"frame": object()}, "Parameter 'frame' of operator 'taking_anything' is "
         "object, which no form and no plan can show."),
        (unplanned, {}, "A plan refuses operator 'unplanned' on this example: 'unplanned': `check` "
         "of operator 'unplanned' raised KeyError: 'delay'."),
    ],
)  # fmt: skip
def test_a_broken_law_is_named_with_what_to_do(one: Any, more: dict[str, Any], said: str):
    rows = Table[Delays].of(pd.DataFrame({"delay": [1.0, 2.0, 3.0]}))

    with pytest.raises(AssertionError) as broken:
        check_operator(one, rows, **more)

    assert str(broken.value).startswith(said)


def test_the_contract_of_stores_is_here_too():
    assert headrace.testing.StoreContract is contract.StoreContract
    with pytest.raises(AttributeError, match=r"module 'headrace\.testing' has no attribute 'x'"):
        _ = headrace.testing.x
