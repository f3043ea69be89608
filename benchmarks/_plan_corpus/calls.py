"""This module holds flows that call an operator, a flow or the machine for what it is not."""

from __future__ import annotations

from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import seeded
from headrace import Evaluation, Model, Report, Table, flow, map_over


@seeded("unknown argument", "has no argument 'abovee'. Did you mean 'above'?")
@flow
def a_misspelt_parameter() -> Report:
    """Misspell a parameter."""
    return p.either(p.label(p.flights(), abovee=3.0))  # mistake


@seeded("unknown argument", "Operator 'label' has no argument 'flight'. Known: 'above', 'rows'.")
@flow
def a_parameter_from_elsewhere() -> Report:
    """Pass what the operator never took."""
    table = p.flights()
    return p.either(p.label(table, flight=3.0))  # mistake


@seeded("missing parameter", "Operator 'register' needs parameter 'name', which is not given.")
@flow
def a_missing_parameter() -> None:
    """Register without a name."""
    train, validation, _ = p.parted(p.label(p.flights()))
    chosen = p.choose([p.fit(train)], validation)
    p.register(chosen)  # mistake


@seeded("missing parameter", "Operator 'archive' needs parameter 'year', which is not given.")
@flow(grants=["file:*"])
def a_missing_parameter_of_a_reader() -> Table:
    """Read no year."""
    return p.archive()  # mistake


@seeded(
    "missing input", "Operator 'label' needs input 'rows' (Table[Flights]), which is not given."
)
@flow
def a_missing_input() -> Report:
    """Label nothing."""
    return p.either(p.label(above=3.0))  # mistake


@seeded("missing input", "Operator 'fit' needs input 'train' (TrainSet), which is not given.")
@flow
def none_for_an_input() -> Model:
    """Fit on None."""
    return p.fit(None)  # mistake


@seeded("wrong parameter", "got a wrong parameter 'above': Input should be a valid number")
@flow
def text_for_a_threshold() -> Report:
    """Say a number in words."""
    return p.either(p.label(p.flights(), above="fifteen"))  # mistake


@seeded("wrong parameter", "'above': Input should be a number, not text, got '15'.")
@flow
def a_number_in_quotes() -> Report:
    """Put a number in quotes."""
    return p.either(p.label(p.flights(), above="15"))  # mistake


@seeded("wrong parameter", "'style': Input should be 'long' or 'wide', got 'narrow'.")
@flow
def a_choice_that_is_none() -> Table:
    """Choose what is not offered."""
    return p.styled(p.flights(), style="narrow")  # mistake


@seeded("wrong parameter", "'weights.UA': Input should be a valid number, unable to parse string")
@flow
def a_wrong_value_in_a_dict() -> Report:
    """Weigh with a word."""
    return p.weighed(p.flights(), weights={"UA": "much"})  # mistake


@seeded("wrong parameter", "'month': Input should be a valid integer, got None.")
@flow
def none_for_a_parameter() -> Table:
    """Pass None for a number."""
    return p.flights(month=None)  # mistake


@seeded("wrong arguments", "Operator 'label' takes 1 positional arguments but got 2.")
@flow
def a_parameter_by_position() -> Report:
    """Pass a keyword by position."""
    return p.either(p.label(p.flights(), 3.0))  # mistake


@seeded("wrong arguments", "Argument 'rows' of operator 'label' is given twice.")
@flow
def an_argument_twice() -> Report:
    """Pass an input twice."""
    table = p.flights()
    return p.either(p.label(table, rows=table))  # mistake


@seeded("artifact as parameter", "Parameter 'above' of operator 'label' got a Report")
@flow
def an_artifact_as_a_parameter() -> Report:
    """Pass a report as the threshold."""
    table = p.flights()
    report = p.checked(table)
    return p.either(p.label(table, above=report))  # mistake


@seeded("artifact as parameter", "Parameter 'weights' of operator 'weighed' got a Report")
@flow
def an_artifact_inside_a_parameter() -> Report:
    """Hide a report in a dictionary."""
    table = p.flights()
    return p.weighed(table, weights={"UA": p.checked(table)})  # mistake


@seeded("artifact as parameter", "a text made from <Model to be made by fit>")
@flow
def an_artifact_in_an_f_string() -> None:
    """Name something after an artifact."""
    train, _, _ = p.parted(p.label(p.flights()))
    p.announce(text=f"trained {p.fit(train)}")  # mistake


@seeded("value as artifact", "'label.rows': the input takes Table[Flights], got str 'flights.csv'.")
@flow
def a_path_for_a_table() -> Report:
    """Pass a path where a table belongs."""
    return p.either(p.label("flights.csv"))  # mistake


@seeded("value as artifact", "the input takes list[Table], got generator <generator object")
@flow
def a_generator_for_a_list() -> Table:
    """Pass a generator where a list belongs."""
    return p.stacked(p.flights(month=m) for m in (1, 2))  # mistake


@seeded("value as artifact", "'tidied.rows': the input takes Table, got tuple (")
@flow
def the_whole_split_for_a_part() -> Model:
    """Forget to take the split apart."""
    p.tidied(p.parted(p.label(p.flights())))  # mistake
    train, _, _ = p.parted(p.label(p.flights()))
    return p.fit(train)


@seeded("missing grant", "reads 'file:flights/3.csv', but the flow is granted nothing.")
@flow
def no_grant() -> Table:
    """Read without a grant."""
    return p.flights_from_file(month=3)  # mistake


@seeded(
    "missing grant", "reads 'file:flights/3.csv', but the flow is granted 'file:flights/1.csv'."
)
@flow(grants=["file:flights/1.csv"])
def a_grant_for_another_month() -> Table:
    """Read another month than granted."""
    p.flights_from_file(month=1)
    return p.flights_from_file(month=3)  # mistake


@seeded("definition", "There are no files before 2000.")
@flow(grants=["file:*"])
def a_year_without_files() -> Table:
    """Read what never was."""
    return p.archive(year=1999)  # mistake


@seeded("hardware", "Operator 'on_gpus' needs 64 GPUs; this machine has")
@flow
def more_gpus_than_there_are() -> Report:
    """Ask for 64 GPUs."""
    train, _, _ = p.parted(p.label(p.flights()))
    return p.on_gpus(train)  # mistake


@seeded("hardware", "Operator 'in_memory' needs 900TB of memory; this machine has")
@flow
def more_memory_than_there_is() -> Report:
    """Ask for 900 TB."""
    train, _, _ = p.parted(p.label(p.flights()))
    return p.in_memory(train)  # mistake


@seeded("hardware", "Operator 'on_cores' needs 100000 cores; this machine has")
@flow
def more_cores_than_there_are() -> Report:
    """Ask for 100,000 cores."""
    train, _, _ = p.parted(p.label(p.flights()))
    return p.on_cores(train)  # mistake


@seeded("unknown column", "has no column 'dealy'. Did you mean 'delay'?")
@flow
def an_unknown_column_kept() -> Table:
    """Keep a column that is not there."""
    return p.keeping_misspelt(p.flights())  # mistake


@seeded("unknown column", "Schema 'Flights' has no column 'tail'.")
@flow
def an_unknown_column_dropped() -> Table:
    """Drop a column that is not there."""
    return p.dropping_unknown(p.flights())  # mistake


@seeded("unknown column", "has no column 'carier'. Did you mean 'carrier'?")
@flow
def an_unknown_column_renamed() -> Table:
    """Rename a column that is not there."""
    return p.renaming_misspelt(p.flights())  # mistake


@seeded("definition", "Renaming gives schema 'Flights' the column 'flight_id' twice.")
@flow
def a_name_given_twice() -> Table:
    """Rename a column onto another."""
    return p.renaming_onto_another(p.flights())  # mistake


@seeded("unknown column", "'flights' → 'summed.rows': There is no column 'delays' to sum.")
@flow
def an_operators_own_check() -> Report:
    """Sum a column that is not there."""
    return p.summed(p.flights(), column="delays")  # mistake


@seeded("", "there is no parameter 'mont'. Did you mean 'month'?", mont=1)
@flow
def an_unknown_flow_parameter(month: int = 1) -> Table:
    """Misspell a flow parameter."""
    return p.flights(month=month)


@seeded("", "parameter 'month' is 'x': input should be a valid integer", month="x")
@flow
def a_wrong_flow_parameter(month: int = 1) -> Table:
    """Pass a word for a number."""
    return p.flights(month=month)


@seeded("", "parameter 'month' is required.")
@flow
def a_missing_flow_parameter(month: int) -> Table:
    """Leave out what has no default."""
    return p.flights(month=month)


@flow
def of_month(month: int = 1) -> Table:
    """Give a month's flights."""
    return p.flights(month=month)


@flow
def tested(rows: Table[p.Flights]) -> Evaluation:
    """Label, fit, choose and test."""
    train, validation, test = p.parted(p.label(rows))
    return p.test(p.choose([p.fit(train)], validation), test)


@seeded("wrong parameter", "Flow 'of_month' cannot start: there is no parameter 'mnth'.")
@flow
def an_unknown_parameter_of_a_subflow() -> Table:
    """Misspell a parameter of a flow that is called."""
    return of_month(mnth=2)  # mistake


@seeded("wrong parameter", "parameter 'month' takes a plain value, got the artifact <Table")
@flow
def an_artifact_for_a_subflows_parameter() -> Table:
    """Pass a table for a month."""
    return of_month(month=p.flights())  # mistake


@seeded("wrong parameter", "'rows' takes Table[Flights], got int 3.")
@flow
def a_number_for_a_subflows_artifact() -> Evaluation:
    """Pass a month for a table."""
    return tested(3)  # mistake


@seeded("wrong parameter", "artifact 'rows' (Table[Flights]) is required.")
@flow
def a_missing_artifact_of_a_subflow() -> Evaluation:
    """Call a flow without its table."""
    return tested()  # mistake


@seeded("wrong arguments", "Operator 'label' takes 1 positional arguments but got 2.")
@flow
def a_mistake_in_a_comprehension() -> list[Report]:
    """Call wrongly in a comprehension."""
    return [
        p.either(p.label(p.flights(month=m), 3.0))  # mistake
        for m in (1,)
    ]


@seeded("unknown argument", "Operator 'flights' has no argument 'day'.")
@flow
def a_mistake_in_map_over() -> list[Table]:
    """Fix an argument that is not there."""
    return map_over(p.flights, [1], day=3)  # mistake


@seeded("definition", "`map_over` of operator 'flights' fixes every argument.")
@flow
def nothing_left_to_map() -> list[Table]:
    """Fix what should take the items."""
    return map_over(p.flights, [1, 2], month=3)  # mistake


@seeded("definition", "`map_over` takes an operator, got <flow")
@flow
def a_flow_mapped() -> list[Table]:
    """Map a flow."""
    return map_over(of_month, [1, 2])  # mistake
