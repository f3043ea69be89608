"""This module holds flows whose bodies do what a body that is only read cannot do."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor

from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus import seeded
from headrace import Model, Report, Table, flow, otherwise, when

_kept: list[Table] = []


@seeded("data touched", "uses `frame()` of the Table from 'flights'")
@flow
def a_frame_in_a_body() -> Table:
    """Look at the rows."""
    table = p.flights()
    rows = table.frame()  # mistake
    return p.flights(month=len(rows))


@seeded("data touched", "uses `arrow()` of the Table from 'flights'")
@flow
def an_arrow_table_in_a_body() -> Table:
    """Look at the rows as Arrow."""
    return p.flights(month=p.flights().arrow().num_rows)  # mistake


@seeded("data touched", "uses `rows` of the Table from 'flights'")
@flow
def rows_in_a_body() -> Table:
    """Count the rows."""
    table = p.flights()
    return p.flights(month=table.rows)  # mistake


@seeded("data touched", "uses `digest` of the Table from 'flights'")
@flow
def a_digest_in_a_body() -> None:
    """Name something by its content."""
    p.announce(text=p.flights().digest)  # mistake


@seeded("data touched", "uses `len()` of the Table from 'flights'")
@flow
def a_length_in_a_body() -> Table:
    """Take a table for a list."""
    table = p.flights()
    return p.flights(month=len(table))  # mistake


@seeded("data touched", "uses `iteration` of the Table from 'by_day'")
@flow
def a_loop_over_partitions() -> list[Report]:
    """Loop over what only the data knows."""
    days = p.by_day(p.flights())
    return [p.checked(day) for day in days]  # mistake


@seeded("data touched", "uses `items` of the Table from 'by_day'")
@flow
def items_of_partitions() -> list[Report]:
    """Take partitions apart."""
    days = p.by_day(p.flights())
    return [p.checked(day) for day in days.items.values()]  # mistake


@seeded("data touched", "uses `[...]` of the Table from 'flights'")
@flow
def a_column_in_a_body() -> Table:
    """Take a column."""
    table = p.flights()
    return p.tidied(table["delay"])  # mistake


@seeded("data touched", "uses `metrics` of the Report from 'checked'")
@flow
def an_attribute_that_is_data() -> Table:
    """Take a number out of a report."""
    report = p.checked(p.flights())
    return p.flights(month=report.metrics)  # mistake


@seeded("data touched", "uses `card` of the Model from 'fit'")
@flow
def a_card_in_a_body() -> None:
    """Look at a model's card."""
    train, _, _ = p.parted(p.label(p.flights()))
    model = p.fit(train)
    p.announce(text=model.card.task)  # mistake


@seeded("data touched", "uses `==` of the Report from 'checked'")
@flow
def a_comparison() -> None:
    """Compare reports that are not there yet."""
    one, two = p.checked(p.flights()), p.checked(p.flights(month=2))
    if one == two:  # mistake
        p.publish(one)
    p.publish(two)


@seeded("data touched", "uses `>` of the Report from 'checked'")
@flow
def an_order() -> None:
    """Order reports that are not there yet."""
    one = p.checked(p.flights())
    if one > 3:  # mistake
        p.publish(one)


@seeded("data touched", "uses `in` of the Report from 'checked'")
@flow
def a_membership() -> None:
    """Search in a report that is not there yet."""
    report = p.checked(p.flights())
    if "passed" in report:  # mistake
        p.publish(report)


@seeded("data touched", "uses `pickle` of the Table from 'flights'")
@flow
def a_pickle() -> Table:
    """Pickle what is not there yet."""
    table = p.flights()
    pickle.dumps(table)  # mistake
    return table


@seeded("data touched", "uses `frame()` of the Table from 'flights'")
@flow
def data_behind_except_exception() -> Table:
    """Catch what looking raises."""
    table = p.flights()
    try:
        month = len(table.frame())  # mistake
    except Exception:
        month = 1
    return p.flights(month=month)


@seeded("data touched", "uses `frame()` of the Table from 'flights'")
@flow
def data_behind_a_bare_except() -> Table:
    """Catch everything."""
    table = p.flights()
    with contextlib.suppress(BaseException):
        table.frame()  # mistake
    return table


@seeded("branch on a symbol", "branches on the Report from 'checked'")
@flow
def a_branch_on_a_report() -> None:
    """Branch on a report."""
    report = p.checked(p.flights())
    if report:  # mistake
        p.publish(report)


@seeded("branch on a symbol", "branches on the Report from 'checked'")
@flow
def a_branch_on_passed() -> None:
    """Branch on what a report says."""
    report = p.checked(p.flights())
    if report.passed:  # mistake
        p.publish(report)


@seeded("branch on a symbol", "branches on the Table from 'flights'")
@flow
def a_default_by_or() -> Table:
    """Fall back with `or`."""
    return p.flights() or p.flights(month=2)  # mistake


@seeded("branch on a symbol", "branches on the Report from 'checked'")
@flow
def a_loop_until_passed() -> None:
    """Loop until a report passes."""
    report = p.checked(p.flights())
    while not report:  # mistake
        report = p.checked(p.flights(month=2))
    p.publish(report)


@seeded("idle condition", "`when(...)` stands alone, so nothing depends on it.")
@flow
def when_without_with() -> None:
    """Forget `with`."""
    report = p.checked(p.flights())
    when(report)  # mistake
    p.publish(report)


@seeded("idle condition", "`otherwise(...)` stands alone, so nothing depends on it.")
@flow
def otherwise_without_with() -> None:
    """Forget `with`."""
    report = p.checked(p.flights())
    otherwise(report)  # mistake
    p.publish(report)


@seeded("thread", "Operator 'flights' is called in a thread that the flow body started")
@flow
def operators_in_threads() -> Table:
    """Start threads."""
    with ThreadPoolExecutor(1) as pool:
        table = pool.submit(lambda: p.flights(month=2)).result()  # mistake
    return table


@seeded("flow body", "The flow body raised ZeroDivisionError: integer division or mod")
@flow
def a_body_that_raises(months: int = 0) -> Table:
    """Divide by nothing."""
    return p.flights(month=12 // months)  # mistake


@seeded("flow body", "The flow body raised AttributeError: module")
@flow
def an_operator_that_is_not_there() -> Table:
    """Misspell an operator."""
    return p.fligths()  # mistake


@seeded("recursion", "Flow 'a_flow_that_calls_itself' is called 50 subflows deep")
@flow
def a_flow_that_calls_itself(month: int = 1) -> Table:
    """Never end."""
    return a_flow_that_calls_itself(month + 1)  # mistake


@seeded("foreign artifact", "The Table from 'flights' belongs to the plan of another flow")
@flow
def an_artifact_of_another_flow() -> Table:
    """Take an artifact out of another plan."""
    _other.plan()
    return p.tidied(_kept[-1])  # mistake


@flow
def _other() -> Table:
    """Leave an artifact behind."""
    _kept.append(p.flights())
    return _kept[-1]


@seeded("definition", "Flow '_other' is run inside the body of a flow that is only planned.")
@flow
def a_run_in_a_body() -> Table:
    """Run a flow while another is planned."""
    return _other.run().returned()  # mistake


@seeded("flow result", "returns dict {'model': <Model to be made by fit>}; a flow")  # mistake
@flow
def a_dict_returned() -> dict[str, Model]:
    """Return a dictionary."""
    train, _, _ = p.parted(p.label(p.flights()))
    return {"model": p.fit(train)}


@seeded("flow result", "in it int 3; a flow returns artifacts.")  # mistake
@flow
def a_number_returned() -> tuple[Table, int]:
    """Return a number beside a table."""
    return p.flights(), 3
