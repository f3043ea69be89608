"""This module holds flows whose mistake lies in a subflow, a mapped call, a condition or a list.

Each class of mistakes is here once more, by another way than in the modules beside.
"""

from __future__ import annotations

import functools
from typing import Any

from benchmarks._plan_corpus import composed_parts as c
from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import seeded
from headrace import (
    Model,
    Partitions,
    Report,
    SelectedModel,
    Table,
    flow,
    map_over,
    otherwise,
    when,
)


@seeded("wrong kind", "→ 'fitted/fit.train': the input takes TrainSet, got Test", shows_in=c.fitted)
@flow
def test_rows_in_a_subflows_fit() -> Model:
    """Hand the test set to a subflow that fits."""
    _, _, test = p.parted(p.label(p.flights()))
    return c.fitted(test)


@seeded("wrong kind", "'parted.test_set' → 'fit#2.train': the input takes TrainSet, got TestSet.")
@flow
def test_rows_among_mapped_fits() -> list[Model]:
    """Fit on both sets."""
    train, _, test = p.parted(p.label(p.flights()))
    return map_over(p.fit, [train, test])  # mistake


@seeded("wrong kind", "'test_days' → 'fit.train': the input takes TrainSet, got TestSet.")
@flow
def test_rows_in_a_fit_for_each_day() -> Partitions[Model]:
    """Fit on each day of the test set."""
    _, _, test = p.parted(p.label(p.flights()))
    return map_over(p.fit, c.test_days(test))  # mistake


@seeded("wrong kind", "'parted.test_set' → 'fit.validation': the input takes ValidationSet, got T")
@flow
def test_rows_fixed_in_a_map() -> list[Model]:
    """Stop early on the test set, in a mapped fit."""
    train, _, test = p.parted(p.label(p.flights()))
    return map_over(p.fit, [train], validation=test)  # mistake


@seeded("wrong kind", "'parted.test_set' → 'fit.train': the input takes TrainSet, got TestSet.")
@flow
def test_rows_in_a_fit_under_a_condition() -> None:
    """Fit on the test set where the flights are well."""
    rows = p.flights()
    _, validation, test = p.parted(p.label(rows))
    with when(p.checked(rows)):
        models = [p.fit(train=test)]  # mistake
        p.register(p.choose(models, validation), name="late")


@seeded("wrong kind", "'parted.test_set' → 'tidied.rows': the input takes Table, got TestSet.")
@flow
def test_rows_made_a_table() -> Table:
    """Launder the test set through an operator that takes any table."""
    _, _, test = p.parted(p.label(p.flights()))
    return p.tidied(test)  # mistake


@seeded("wrong kind", "'parted.test_set' → 'choose.validation': the input takes ValidationSet, go")
@flow
def test_rows_in_a_selection_by_keyword() -> SelectedModel:
    """Choose on the test set."""
    train, _, test = p.parted(p.label(p.flights()))
    return p.choose(validation=test, models=[p.fit(train)])  # mistake


@seeded("value as artifact", "'fit.train': the input takes TrainSet, got tuple (<TrainSet")
@flow
def sets_that_were_not_unpacked() -> Model:
    """Forget to unpack the three sets."""
    return p.fit(p.parted(p.label(p.flights())))  # mistake


@seeded("value as artifact", "'label.rows': the input takes Table[Flights], got Operator <operator")
@flow
def an_operator_that_was_not_called() -> Any:
    """Forget the parentheses."""
    return p.label(p.flights)  # mistake


@seeded("value as artifact", "'label.rows': the input takes Table[Flights], got DataFrame")
@flow
def a_frame_for_an_artifact() -> Any:
    """Pass a frame that was made in the body."""
    return p.label(c.frame())  # mistake


@seeded("missing column", "'flights' → 'tails/by_tail.rows': column 'tail_number", shows_in=c.tails)
@flow
def a_column_a_subflow_needs() -> Report:
    """Lack a column that only a subflow asks for."""
    return c.tails(p.flights())


@seeded("missing column", "'by_day' → 'by_tail.rows': column 'tail_number' of schema 'Tailed' is")
@flow
def a_column_each_day_lacks() -> Partitions[Report]:
    """Lack a column in partitions."""
    return map_over(p.by_tail, p.by_day(p.flights()))  # mistake


@seeded("missing column", "'flights#2' → 'by_tail#2.rows': column 'tail_number'")
@flow
def a_column_one_of_a_list_lacks() -> list[Report]:
    """Lack a column in the second table of two."""
    tables = [p.with_tail(p.flights(month=1)), p.flights(month=2)]
    return map_over(p.by_tail, tables)  # mistake


@seeded("missing column", "'flights' → 'by_tail.rows': column 'tail_number' of schema 'Tailed' is")
@flow
def a_column_missing_only_otherwise() -> None:
    """Lack a column where the flights are not well."""
    rows = p.flights()
    with otherwise(p.checked(rows)):
        p.publish(p.by_tail(rows))  # mistake


@seeded("wrong dtype", "'seats_in_words' → 'loose.rows': column 'seats' is string in 'Flights' but")
@flow
def text_put_in_the_place_of_a_number() -> Report:
    """Replace a number by words on the way."""
    return p.loose(c.seats_in_words(p.flights()))  # mistake


@seeded("wrong dtype", "'by_day' → 'numbered.rows': column 'flight_id' is string in 'Flights'")
@flow
def text_for_a_number_each_day() -> Partitions[Report]:
    """Pass text for a number, in partitions."""
    return map_over(p.numbered, p.by_day(p.flights()))  # mistake


@seeded("wrong unit", "'in_seconds_now' → 'in_minutes.rows': column 'delay' is in 's' in 'Flights'")
@flow
def a_unit_that_was_changed_on_the_way() -> Report:
    """Convert to seconds and go on in minutes."""
    return c.in_minutes(c.in_seconds_now(p.flights()))  # mistake


@seeded("wrong unit", "'flights' → 'seconds/in_seconds.rows': column 'delay' i", shows_in=c.seconds)
@flow
def minutes_for_a_subflows_seconds() -> Report:
    """Pass minutes to a subflow that reckons in seconds."""
    return c.seconds(rows=p.flights())


@seeded("wrong unit", "'by_day' → 'in_seconds.rows': column 'delay' is in 'min' in 'Flights'")
@flow
def minutes_for_seconds_each_day() -> Partitions[Report]:
    """Pass minutes for seconds, in partitions."""
    return map_over(p.in_seconds, p.by_day(p.flights()))  # mistake


@seeded(
    "wrong role", "'label_renamed' → 'late_as_feature.rows': column 'late' is the label in 'Late'"
)
@flow
def a_label_under_another_name_as_a_feature() -> Report:
    """Rename the label and learn from it."""
    return c.late_as_feature(c.label_renamed(p.label(p.flights())))  # mistake


@seeded("leak", "'late_sets': feature 'air_time' of the TrainSet is known at 'landed_at', not at")
@flow
def a_fit_on_what_is_known_after_landing() -> Model:
    """Fit on sets that nobody built as of the decision."""
    train, validation = c.late_sets()  # mistake
    return p.fit(train, validation)


@seeded(
    "leak", "'late_examples': feature 'air_time' of the Examples is known at 'landed_at', not at"
)
@flow
def examples_of_what_is_known_after_landing() -> Any:
    """Make examples of what was known too late, and give them away."""
    return c.late_examples()  # mistake


@seeded(
    "leak", "'undecided_sets': feature 'air_time' of the TrainSet is known at 'landed_at', not at"
)
@flow
def a_fit_on_outcomes_without_a_decision() -> Model:
    """Fit on what is known with the outcome, where no decision is declared."""
    return p.fit(c.undecided_sets())  # mistake


@seeded("missing grant", "'month_of/flights_from_file' reads 'file:flights/3.", shows_in=c.month_of)
@flow
def a_grant_that_only_the_subflow_has() -> Table:
    """Call a flow that may read, from one that may not."""
    return c.month_of(month=3)


@seeded(
    "missing grant", "'flights_from_file#2' reads 'file:flights/2.csv', but the flow is granted"
)
@flow(grants=["file:flights/1.csv"])
def a_grant_for_one_of_two_months() -> list[Table]:
    """Read two months with the grant of one."""
    return map_over(p.flights_from_file, [1, 2])  # mistake


@seeded("missing grant", "reads 'file:flights/2.csv', but the flow is granted 'file:flight/*'.")
@flow(grants=["file:flight/*"])
def a_misspelt_grant() -> Table:
    """Misspell the folder in the grant."""
    return p.flights_from_file(month=2)  # mistake


@seeded(
    "wrong parameter", "got a wrong parameter 'month': Input should be a valid integer, unable to"
)
@flow
def a_wrong_value_among_mapped_ones() -> list[Table]:
    """Count months in words, once."""
    return map_over(p.flights, [1, "two"])  # mistake


@seeded(
    "wrong parameter", "'depth': Input should be a valid integer, got a number with a fractional"
)
@flow
def a_fraction_bound_beforehand() -> Model:
    """Bind a wrong parameter with `partial`."""
    shallow = functools.partial(p.fit, depth=2.5)
    train, _, _ = p.parted(p.label(p.flights()))
    return shallow(train)  # mistake


@seeded("unknown argument", "Operator 'label' has no argument 'abve'. Did you mean 'above'?")
@flow
def a_misspelt_parameter_in_a_dictionary() -> Any:
    """Misspell a parameter among unpacked ones."""
    settings: dict[str, Any] = {"rows": p.flights(), "abve": 3.0}
    return p.label(**settings)  # mistake


@seeded(
    "wrong parameter", "Flow 'month_of' cannot start: there is no parameter 'monthh'. Did you me"
)
@flow
def a_misspelt_parameter_of_a_subflow() -> Table:
    """Misspell a subflow's parameter."""
    return c.month_of(monthh=2)  # mistake


@seeded("wrong parameter", "Flow 'month_of' cannot start: parameter 'month' is 'May'")
@flow
def a_wrong_parameter_of_a_subflow() -> Table:
    """Name a month to a subflow that counts them."""
    return c.month_of(month="May")  # mistake


@seeded("wrong task", "'choose': classification and estimation meet in one call.")
@flow
def a_choice_between_tasks_of_which_one_is_a_subflows() -> SelectedModel:
    """Choose between a subflow's classifier and an estimator."""
    train, validation, _ = p.parted(p.label(p.flights()))
    return p.choose([c.fitted(train), p.fit_regression(train)], validation)  # mistake


@seeded("hardware", "Operator 'on_gpus' needs 64 GPUs; this machine has", shows_in=c.on_many_gpus)
@flow
def too_many_gpus_in_a_subflow() -> Report:
    """Need GPUs in a subflow."""
    train, _, _ = p.parted(p.label(p.flights()))
    return c.on_many_gpus(train)


@seeded("hardware", "Operator 'in_memory' needs 900TB of memory; this machine has")
@flow
def too_much_memory_in_a_map() -> list[Report]:
    """Need memory for each of a list."""
    train, _, _ = p.parted(p.label(p.flights()))
    return map_over(p.in_memory, [train])  # mistake


@seeded("flow body", "The flow body raised ValueError: too many values to unpack (expected 2).")
@flow
def two_names_for_three_sets() -> Model:
    """Unpack three sets into two names."""
    train, _ = p.parted(p.label(p.flights()))  # mistake
    return p.fit(train)
