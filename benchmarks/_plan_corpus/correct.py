"""This module holds flows with which nothing is wrong, the tricky ones among them."""

from __future__ import annotations

import copy
import functools

import pandas as pd

from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import right
from headrace import (
    Evaluation,
    Model,
    Report,
    SelectedModel,
    Table,
    ValidationSet,
    flow,
    map_over,
    otherwise,
    when,
)


@right
@flow
def the_plain_chain(month: int = 1, above: float = 15.0) -> Evaluation:
    """Label, split, fit, choose and test."""
    train, validation, test = p.parted(p.label(p.flights(month=month), above=above))
    return p.test(p.choose([p.fit(train, validation)], validation), test)


@right
@flow
def more_columns_than_asked_for() -> Report:
    """Pass a superset of the columns."""
    return p.identified(p.flights())


@right
@flow
def an_integer_for_a_float_and_a_category_for_text() -> Report:
    """Widen integers to floats and categories to text."""
    return p.loose(p.flights())


@right
@flow
def columns_through_a_split() -> Model:
    """Carry every column through type variables."""
    train, _, _ = p.parted(p.label(p.tidied(p.flights())))
    return p.fit(train)


@right
@flow
def a_list_of_models() -> SelectedModel:
    """Choose among models made in a comprehension."""
    train, validation, _ = p.parted(p.label(p.flights()))
    return p.choose([p.fit(train, depth=d) for d in (2, 3, 4)], validation)


@right
@flow
def a_tuple_for_a_list() -> Table:
    """Pass a tuple where a list is asked for."""
    return p.stacked((p.flights(), p.flights(month=2)))


@right
@flow
def the_same_artifact_twice() -> Report:
    """Compare a table with itself."""
    table = p.flights()
    return p.same_rows(table, table)


@right
@flow
def when_and_otherwise() -> None:
    """Publish or announce."""
    report = p.checked(p.flights())
    with when(report):
        p.publish(report)
    with otherwise(report):
        p.announce(text="nothing to publish")


@right
@flow
def conditions_in_conditions() -> None:
    """Decide twice."""
    table = p.flights()
    one, two = p.checked(table), p.identified(table)
    with when(one), otherwise(two):
        p.publish(two)


@right
@flow
def mapped_over_values() -> list[Table]:
    """Make a node for each month."""
    return map_over(p.flights, [1, 2, 3])


@right
@flow
def mapped_over_artifacts() -> list[Report]:
    """Check each month."""
    return map_over(p.checked, map_over(p.flights, [1, 2]))


@right
@flow
def mapped_over_partitions() -> Table:
    """Count each day, as many as the data has, and put the counts together."""
    counts = map_over(p.counted, p.by_day(p.flights()), least=1)
    return p.stacked(counts)


@right
@flow
def partitions_as_a_whole() -> Table:
    """Take partitions apart and together."""
    return p.together(p.by_day(p.flights()))


@flow
def of_month(month: int = 1) -> Table:
    """Give a month's labelled flights."""
    return p.flights(month=month)


@right
@flow
def a_subflow_twice() -> Report:
    """Call a flow twice."""
    return p.same_rows(of_month(1), of_month(month=2))


@right
@flow
def a_recursion_with_an_end(months: int = 3) -> Table:
    """Call itself until the parameter says stop."""
    if months <= 1:
        return p.flights()
    return p.stacked([a_recursion_with_an_end(months - 1), p.flights(month=months)])


@right
@flow
def an_edge_nobody_can_check() -> Report:
    """Pass columns that only the run will know."""
    return p.identified(p.anything())


@right
@flow
def a_tuple_of_results() -> tuple[Model, ValidationSet, Report]:
    """Return three artifacts."""
    table = p.flights()
    train, validation, _ = p.parted(p.label(table))
    return p.fit(train), validation, p.checked(table)


@right
@flow
def a_table_handed_in() -> Report:
    """Take a table from the notebook."""
    return p.identified(Table[p.Identified].of(pd.DataFrame({"flight_id": ["a"]})))


@flow
def with_more(rows: Table[p.Flights], more: Table[p.Flights] | None = None) -> Report:
    """Check flights, and more of them if there are."""
    return p.checked(rows if more is None else p.stacked([rows, more]))


@right
@flow
def optional_artifacts() -> tuple[Report, Report]:
    """Give and leave out an optional table."""
    return with_more(p.flights()), with_more(p.flights(), more=p.flights(month=2))


@right
@flow
def optional_inputs() -> SelectedModel:
    """Fit without and with a validation set."""
    train, validation, _ = p.parted(p.label(p.flights()))
    models = [p.fit(train), p.fit(train, None), p.fit(train, validation)]
    return p.choose(models, validation)


@right
@flow
def effects_only() -> None:
    """Say something and return nothing."""
    p.announce(text="started")
    p.announce(text="ended")


@right
@flow
def branches_on_parameters(month: int = 1, careful: bool = True) -> Report:
    """Branch on what is known."""
    table = p.flights(month=month)
    if careful and month > 6:
        table = p.tidied(table)
    return p.checked(table)


@right
@flow
def transformers_in_a_row() -> Report:
    """Keep, add and use what was added."""
    return p.by_tail(p.with_tail(p.only_names(p.flights())))


@right
@flow
def either_of_two_kinds() -> tuple[Report, Report]:
    """Pass both kinds of a union."""
    table = p.flights()
    return p.either(table), p.either(p.label(table))


@right
@flow
def a_selected_model_as_a_model() -> SelectedModel:
    """Choose again among chosen models."""
    train, validation, _ = p.parted(p.label(p.flights()))
    chosen = p.choose([p.fit(train)], validation)
    return p.choose([chosen, p.fit(train, depth=9)], validation)


@right
@flow(grants=["file:flights/*"])
def granted_by_a_pattern() -> list[Table]:
    """Read what a pattern grants."""
    return map_over(p.flights_from_file, [1, 2, 12])


@right
@flow
def a_dictionary_in_the_body() -> Report:
    """Keep artifacts in a dictionary and take them out again."""
    tables = {month: p.flights(month=month) for month in (1, 2)}
    names = {table: month for month, table in tables.items()}
    return p.same_rows(tables[1], next(t for t, month in names.items() if month == 2))


@right
@flow
def partials_and_helpers() -> Report:
    """Call operators through a partial and a helper."""
    label_long = functools.partial(p.label, above=60.0)
    return _checked_labels(label_long(p.flights()))


def _checked_labels(labels: object) -> Report:
    return p.either(labels)  # type: ignore[arg-type]


@right
@flow
def a_copied_handle() -> Table:
    """Copy a handle, which stays the same artifact."""
    return p.tidied(copy.deepcopy(p.flights()))


@right
@flow
def an_inferred_output() -> Report:
    """Use a column that was found by trying."""
    return p.summed(p.twice(p.flights()), column="twice")


@right
@flow
def an_integer_parameter_for_a_float() -> Report:
    """Write 15 for 15.0."""
    return p.either(p.label(p.flights(), above=15))


@right
@flow
def an_empty_list() -> Table:
    """Stack nothing: the operator may say so, not the plan."""
    return p.stacked([])


@right
@flow
def a_question_by_identity() -> Report:
    """Ask with `is` whether two names are one artifact."""
    one, two = p.flights(), p.flights(month=2)
    chosen = one if one is not two and two is not None else two
    return p.checked(chosen)


@right
@flow
def a_text_about_a_parameter(month: int = 1) -> None:
    """Write a parameter into a text."""
    p.announce(text=f"month {month} of <Table> to be made")
