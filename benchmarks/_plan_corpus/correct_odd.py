"""This module holds odd flows with which nothing is wrong: unusual Python, handed to a plan."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._plan_corpus import composed_parts as c
from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import right
from headrace import (
    Labels,
    Model,
    Partitions,
    Report,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
    flow,
    map_over,
    otherwise,
    when,
)

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sets:
    """These are three sets, held by a value of the body's own."""

    train: TrainSet[Any]
    validation: ValidationSet[Any]
    test: TestSet[Any]


@right
@flow
def sets_in_a_dataclass() -> Model:
    """Hold artifacts in a value."""
    sets = Sets(*p.parted(p.label(p.flights())))
    return p.fit(sets.train, sets.validation)


@right
@flow
def arguments_in_a_dictionary() -> Model:
    """Unpack inputs and parameters."""
    names = ("train", "validation", "test")
    sets: dict[str, Any] = dict(zip(names, p.parted(p.label(p.flights())), strict=True))
    del sets["test"]
    return p.fit(**sets, depth=2)


@right
@flow
def a_parameter_bound_beforehand() -> Model:
    """Bind a parameter with `partial`."""
    deep = functools.partial(p.fit, depth=9)
    train, *_ = p.parted(p.label(p.flights()))
    return deep(train)


@right
@flow
def operators_folded_over_a_table() -> Report:
    """Fold operators over a table."""
    steps = [p.without_delay, p.with_tail]
    return p.by_tail(functools.reduce(lambda rows, step: step(rows), steps, p.flights()))


@right
@flow
def tables_from_a_generator() -> Table:
    """Spread a generator into a list."""
    return p.stacked([*(p.flights(month=month) for month in range(1, 4))])


@right
@flow
def a_number_of_numpys() -> Table:
    """Pass a number that numpy made."""
    return p.flights(month=np.int64(3))


@right
@flow
def a_whole_number_for_a_float() -> Labels:
    """Pass 15 where 15.0 is meant."""
    return p.label(p.flights(), above=15)


@right
@flow
def tables_in_a_set() -> list[Table]:
    """Ask whether a table was seen, by identity."""
    seen: set[Table] = set()
    for rows in (p.flights(month=1), p.flights(month=2)):
        if rows not in seen:
            seen.add(rows)
    return sorted(seen, key=id)


@right
@flow
def a_table_or_none(rows: Table[p.Flights] | None = None) -> Report:
    """Make what was not handed in."""
    if rows is None:
        rows = p.flights()
    return p.checked(rows)


@right
@flow
def a_condition_in_the_other() -> None:
    """Nest conditions of both sorts."""
    report = p.checked(p.flights())
    with when(report), otherwise(p.checked(p.flights(month=2))):
        p.publish(report)


@right
@flow
def a_body_that_tries() -> Table:
    """Try, and clean up."""
    try:
        return p.flights()
    finally:
        LOGGER.debug("planned")


@right
@flow
def artifacts_in_a_log() -> Table:
    """Write an artifact into a log, as what it is for now."""
    rows = p.flights()
    LOGGER.debug("made %r", rows)
    return rows


@right
@flow
def a_subflow_for_each_depth() -> list[Model]:
    """Call a subflow in a loop."""
    train, _, _ = p.parted(p.label(p.flights()))
    return [c.fitted(train, depth=depth) for depth in (1, 2, 3)]


@right
@flow
def partitions_there_and_back() -> Table:
    """Part, map and put together."""
    return p.together(map_over(p.tidied, p.by_day(p.flights())))


@right
@flow
def partitions_for_a_list() -> Table:
    """Hand partitions to an operator that takes a list."""
    return p.stacked(p.by_day(p.flights()))


@right
@flow
def one_table_for_two_inputs() -> Report:
    """Pass a table by position and by keyword."""
    rows = p.flights()
    return p.same_rows(rows, two=rows)


@right
@flow
def a_kind_that_is_asked_for() -> Table:
    """Ask for the class of an artifact, which is known."""
    rows = p.flights()
    if isinstance(rows, Table):
        return rows
    raise TypeError(type(rows))


@right
@flow
def reports_for_each_day() -> Partitions[Report]:
    """Report on each day, and nothing more."""
    return map_over(p.identified, p.by_day(p.flights()))


@right
@flow
def none_for_an_optional_input() -> Model:
    """Say that there is no validation set."""
    train, _, _ = p.parted(p.label(p.flights()))
    return p.fit(train, None)
