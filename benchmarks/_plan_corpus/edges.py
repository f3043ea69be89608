"""This module holds flows in which what arrives is not what the input declares."""

from __future__ import annotations

from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import seeded
from headrace import Evaluation, Model, Report, SelectedModel, Table, flow, map_over, when


@seeded("wrong kind", "'label' → 'fit.train': the input takes TrainSet, got Labels.")
@flow
def labels_into_a_fit(month: int = 1) -> Model:
    """Forget to split."""
    labels = p.label(p.flights(month=month))
    return p.fit(labels)  # mistake


@seeded("wrong kind", "'flights' → 'parted.rows': the input takes Labels, got Table.")
@flow
def a_table_into_a_split() -> Model:
    """Forget to label."""
    train, _, _ = p.parted(p.flights())  # mistake
    return p.fit(train)


@seeded("wrong kind", "'parted.test_set' → 'fit.train': the input takes TrainSet, got TestSet.")
@flow
def test_rows_in_a_fit() -> Model:
    """Fit on the test set."""
    _, _, test = p.parted(p.label(p.flights()))
    return p.fit(test)  # mistake


@seeded("wrong kind", "→ 'fit.validation': the input takes ValidationSet, got TestSet.")
@flow
def test_rows_in_early_stopping() -> Model:
    """Stop early on the test set."""
    train, _, test = p.parted(p.label(p.flights()))
    return p.fit(train, test)  # mistake


@seeded("wrong kind", "→ 'choose.validation': the input takes ValidationSet, got TestSet.")
@flow
def test_rows_in_a_selection() -> SelectedModel:
    """Select on the test set."""
    train, _, test = p.parted(p.label(p.flights()))
    return p.choose([p.fit(train), p.fit(train, depth=5)], test)  # mistake


@seeded("wrong kind", "'parted.train_set' → 'test.rows': the input takes TestSet, got TrainSet.")
@flow
def training_rows_in_a_test() -> Evaluation:
    """Test on what was learnt."""
    train, validation, _ = p.parted(p.label(p.flights()))
    chosen = p.choose([p.fit(train)], validation)
    return p.test(chosen, train)  # mistake


@seeded("wrong kind", "'fit' → 'test.model': the input takes SelectedModel, got Model.")
@flow
def an_unselected_model_in_a_test() -> Evaluation:
    """Forget to select."""
    train, _, test = p.parted(p.label(p.flights()))
    return p.test(p.fit(train), test)  # mistake


@seeded("wrong kind", "'fit' → 'register.model': the input takes SelectedModel, got Model.")
@flow
def an_unselected_model_registered() -> None:
    """Register any model."""
    train, _, _ = p.parted(p.label(p.flights()))
    p.register(p.fit(train), name="flights")  # mistake


@seeded("wrong kind", "'checked' → 'label.rows': the input takes Table[Flights], got Report.")
@flow
def a_report_for_a_table() -> Report:
    """Pass the check instead of what was checked."""
    report = p.checked(p.flights())
    labels = p.label(report)  # mistake
    return p.either(labels)


@seeded("wrong kind", "'either.rows': the input takes Table[Flights] | Labels[Flights], got TrainS")
@flow
def neither_of_two_kinds() -> Report:
    """Pass a kind that a union lacks."""
    train, _, _ = p.parted(p.label(p.flights()))
    return p.either(train)  # mistake


@seeded("wrong kind", "the input takes list[Model], got one Model.")
@flow
def one_model_for_a_list() -> SelectedModel:
    """Forget the brackets."""
    train, validation, _ = p.parted(p.label(p.flights()))
    return p.choose(p.fit(train), validation)  # mistake


@seeded("value as artifact", "'tidied.rows': the input takes Table, got list [")
@flow
def a_list_for_one_table() -> Table:
    """Pass two tables to an input for one."""
    return p.tidied([p.flights(), p.flights(month=2)])  # mistake


@seeded("value as artifact", "the input takes list[Model], got NoneType None.")
@flow
def a_hole_in_a_list() -> SelectedModel:
    """Leave None in a list."""
    train, validation, _ = p.parted(p.label(p.flights()))
    return p.choose([p.fit(train), None], validation)  # mistake


@seeded("wrong kind", "'checked' → 'choose.models': the input takes list[Model], got Report.")
@flow
def a_stranger_in_a_list() -> SelectedModel:
    """Put a report among the models."""
    table = p.flights()
    train, validation, _ = p.parted(p.label(table))
    report = p.checked(table)
    return p.choose([p.fit(train), report], validation)  # mistake


@seeded("wrong kind", "'by_day' → 'label.rows': the input takes one Table[Flights], but partitions")
@flow
def partitions_into_one_input() -> Report:
    """Pass partitions where one table belongs."""
    days = p.by_day(p.flights())
    return p.either(p.label(days))  # mistake


@seeded("wrong kind", "the input takes one Report, but partitions arrive.")
@flow
def partitioned_reports_into_one_input() -> None:
    """Publish many reports as one."""
    reports = map_over(p.checked, p.by_day(p.flights()))
    p.publish(reports)  # mistake


@seeded("wrong kind", "'together.days': the input takes Partitions[Table], got one Table.")
@flow
def one_table_for_partitions() -> Table:
    """Pass one table where partitions belong."""
    return p.together(p.flights())  # mistake


@seeded("wrong kind", "`when` takes one Report, got <Table to be made by flights>.")
@flow
def when_on_a_table() -> None:
    """Let a table decide."""
    table = p.flights()
    report = p.checked(table)
    with when(table):  # mistake
        p.publish(report)


@seeded("wrong kind", "`when` takes one Report, got True.")
@flow
def when_on_a_value() -> None:
    """Let a constant decide."""
    report = p.checked(p.flights())
    with when(True):  # mistake
        p.publish(report)


@seeded("wrong kind", "`when` takes one Report, got <Partitions[Report] to be made by checked>.")
@flow
def when_on_partitions() -> None:
    """Let many reports decide."""
    table = p.flights()
    reports = map_over(p.checked, p.by_day(table))
    with when(reports):  # mistake
        p.publish(p.checked(table))


@seeded("missing column", "column 'tail_number' of schema 'Tailed' is missing from 'Flights'.")
@flow
def a_column_nobody_made() -> Report:
    """Count by a column that is not there."""
    return p.by_tail(p.flights())  # mistake


@seeded("missing column", "column 'delay' of schema 'Whole' is missing from 'Flights'.")
@flow
def a_column_that_was_dropped() -> Report:
    """Use a column after dropping it."""
    rows = p.without_delay(p.flights())
    return p.whole(rows)  # mistake


@seeded("missing column", "column 'decided_at' of schema 'Decided' is missing from")
@flow
def columns_that_were_not_kept() -> None:
    """Check what keeps too little."""
    rows = p.only_names(p.flights())
    rows = p.with_tail(rows)
    p.publish(p.delay_free(rows))  # mistake


@seeded("missing column", "column 'carrier' of schema 'UnitedOnly' is missing from 'Flights'.")
@flow
def a_column_under_its_old_name() -> Report:
    """Use a column after renaming it."""
    rows = p.with_airline(p.flights())
    return p.united(rows)  # mistake


@seeded("missing column", "column 'flight_id' of schema 'Identified' is missing from 'Counted'.")
@flow
def an_input_column_the_output_lacks() -> Report:
    """Use a column of the input that the output does not declare."""
    counts = p.counted(p.flights())
    return p.identified(counts)  # mistake


@seeded("missing column", "column 'tail_number' of schema 'Tailed' is missing from 'Flights'.")
@flow
def a_column_missing_behind_a_type_variable() -> Report:
    """Carry columns through two operators, then ask for another."""
    rows = p.tidied(p.tidied(p.flights()))
    return p.by_tail(rows)  # mistake


@seeded("wrong dtype", "column 'flight_id' is string in 'Flights' but int in 'Numbered'.")
@flow
def text_for_a_number() -> Report:
    """Sum identities."""
    return p.numbered(p.flights())  # mistake


@seeded("wrong dtype", "column 'distance' is float in 'Flights' but int in 'Miles'.")
@flow
def a_float_for_an_integer() -> Report:
    """Ask for whole miles."""
    return p.whole_miles(p.flights())  # mistake


@seeded("wrong unit", "column 'delay' is in 'min' in 'Flights' but in 's' in 'InSeconds'.")
@flow
def minutes_for_seconds() -> Report:
    """Sum minutes as seconds."""
    return p.in_seconds(p.flights())  # mistake


@seeded("wrong unit", "column 'flights' is in no declared unit in 'Counted' but in '1' in")
@flow
def no_unit_for_a_unit() -> Report:
    """Use a column whose unit nobody says."""
    counts = p.counted(p.flights())
    return p.dimensionless(counts)  # mistake


@seeded("nulls", "column 'delay' may be null in 'Flights' but not in 'Whole'.")
@flow
def nulls_where_none_may_be() -> Report:
    """Sum delays of cancelled flights."""
    return p.whole(p.flights())  # mistake


@seeded("nulls", "column 'delay' may be null in 'Late' but not in 'Whole'.")
@flow
def nulls_behind_a_label() -> Report:
    """Sum delays of labelled flights."""
    labels = p.label(p.flights())
    return p.whole_labels(labels)  # mistake


@seeded("wrong time", "is the known_time column in 'Flights' but has role 'decision_time'")
@flow
def a_landing_for_a_decision() -> Report:
    """Take the time of landing for that of the decision."""
    return p.decided_at_landing(p.flights())  # mistake


@seeded("wrong time", "is known at 'landed_at' in 'Flights' but at 'decided_at' in 'KnownEarly'.")
@flow
def an_outcome_declared_known_early() -> Report:
    """Declare an outcome as known at the decision."""
    return p.delay_known_early(p.flights())  # mistake


@seeded("wrong role", "column 'label' is the label in 'Late' but has role 'feature'")
@flow
def the_label_as_a_feature() -> Report:
    """Learn from the label."""
    labels = p.label(p.flights())
    return p.peek_at_label(labels)  # mistake


@seeded("wrong role", "column 'distance' has role 'feature' in 'Late' but is the label")
@flow
def a_feature_as_the_label() -> Report:
    """Predict a feature."""
    labels = p.label(p.flights())
    return p.predict_distance(labels)  # mistake


@seeded("wrong categories", "may be 'AA' in 'Flights', which is not among its categories")
@flow
def a_category_too_many() -> Report:
    """Pass two carriers where one is known."""
    return p.united(p.flights())  # mistake


@seeded("different columns", "inputs 'train' and 'validation' must have the same columns, but diff")
@flow
def validation_with_other_columns() -> Model:
    """Validate on the columns of another split."""
    train, _, _ = p.parted(p.label(p.flights()))
    _, validation, _ = p.parted(p.shortened(p.label(p.flights())))
    return p.fit(train, validation)  # mistake


@seeded("different columns", "inputs 'one' and 'two' must have the same columns, but differ in 'c")
@flow
def two_tables_with_other_columns() -> Report:
    """Compare what cannot be compared."""
    table = p.flights()
    return p.same_rows(table, p.counted(table))  # mistake


@seeded("different columns", "inputs of 'parts' must have the same columns, but differ in 'delay'.")
@flow
def a_stack_of_other_columns() -> Table:
    """Stack tables of which one lacks a column."""
    table = p.flights()
    return p.stacked([table, table, p.without_delay(table)])  # mistake


@seeded("wrong task", "'test_classifier': classification and estimation meet in one call.")
@flow
def an_estimator_in_a_classifiers_test() -> Evaluation:
    """Test an estimator as a classifier."""
    train, validation, test = p.parted(p.label(p.flights()))
    chosen = p.choose([p.fit_regression(train)], validation)
    return p.test_classifier(chosen, test)  # mistake


@seeded("wrong task", "'choose': classification and estimation meet in one call.")
@flow
def a_choice_between_tasks() -> SelectedModel:
    """Choose between a classifier and an estimator."""
    train, validation, _ = p.parted(p.label(p.flights()))
    return p.choose([p.fit(train), p.fit_regression(train)], validation)  # mistake
