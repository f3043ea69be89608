"""This operator brings the online store up to date with a view's rows, as known at a moment.

It writes in batches, so that millions of rows need little memory, and goes on where it was stopped.
Rows known since the last time are enough, as long as those known by then are still the same. A new
version of a view is filled beside the old one, and read once it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features._rows_fit import columns_missing
from features.catalog import ViewOrName, catalog
from features.view import EXPIRES
from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.clock import as_us, current_clock, from_us
from headrace.errors import DataError, DefinitionError, ParameterError, StoreError
from headrace.recording import say

if TYPE_CHECKING:
    from features._materialize_run import Outcome
    from features._online_layout import Layout
    from features._online_source import RowSource

__all__ = ["Materialization", "materialize", "materialize_published"]


@dataclass(frozen=True, kw_only=True)
class Materialization:
    """This is what `materialize` did.

    Args:
        passed: True, as in every report: what cannot be materialized raises.
        changed: Whether anything online changed.
        view: Name of the view.
        space: The online space.
        until: As known at this moment, ISO 8601.
        rows: How many rows were known by then.
        entities: Of how many entities; of what was online before, when rows since then sufficed.
        written: How many entities got a row that the store had not.
        older: For how many the store had a newer event.
        same: How many had their row already.
        number: Number of the view's version.
        since: Rows known by this moment were online already; None when all were looked at.
        resumed: Whether it went on with what was stopped before.
    """

    passed: bool = True
    changed: bool
    view: str
    space: str
    until: str
    rows: int
    entities: int
    written: int
    older: int
    same: int
    number: int
    since: str | None
    resumed: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return asdict(self)


def rows_fit(call: PlannedCall) -> Sequence[Finding]:
    """Find the columns of the view that the rows lack, and a store that only Feast writes."""
    missing = columns_missing(call, "materialize", needless=[EXPIRES])
    view, space = call.parameters.get("view"), call.parameters.get("space", "headrace")
    try:
        _require_writable(getattr(view, "name", str(view)), str(space))
    except DefinitionError as error:
        return [
            *missing,
            Finding(problem=error.problem, remedy=error.remedy, rule="online store"),
        ]
    return missing


@operator(effect=True, check=rows_fit, named_by="view")
def materialize(
    view_rows: Table[Any],
    *,
    view: ViewOrName,
    until: datetime | None = None,
    space: str = "headrace",
    full: bool = False,
) -> Report:
    """Write each entity's newest row into the online store; the same rows change nothing.

    An entity for which the store has a newer event keeps it.

    Args:
        view_rows: Rows of the view, as `compute_features` makes them.
        view: The view, or its name in the catalogue.
        until: Rows known later than this moment are left out; None for now.
        space: The online space: "headrace" for live decisions.
        full: Whether to look at all rows again. Without it, rows known since the last time are
            enough where those known by then are still the same.

    Returns:
        The view and space; until when it was known; how many `rows` and `entities` there were by
        then; how many entities were `written`, were `older` than what the store has, or the `same`;
        whether this call `changed` anything; the version's `number`; `since` when rows were needed,
        None for all; and whether work that was stopped was `resumed`.

    Raises:
        DataError: There are no rows, or one cannot be stored; nothing is written.
        BoundaryError: The rows do not fit the view.
        LeakageError: `until` lies in the future, and so do rows.
        ParameterError: `until` lies in the future, or has no zone.
        DefinitionError: The settings say PostgreSQL, which Feast itself writes.
        StoreError: The store cannot be written. What was readable stays so, and the next call goes
            on where this one stopped.
    """
    from features._online_layout import layout_of
    from features._online_rows import conformed
    from features._online_source import rows_of_table
    from features._published import number_of

    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    if not view_rows.rows:
        raise DataError(
            f"View '{view.name}' has no rows to materialize.",
            remedy="Look at its source; what is online already stays as it is.",
        )
    _require_writable(view.name, space)
    moment = _moment(until)
    table = conformed(view, view_rows.arrow())
    layout = layout_of(view)
    with rows_of_table(layout, table) as source:
        done = _brought_up(layout, number_of(view), source, moment, space=space, full=full, say=say)
    return Report.of(done.document())


def materialize_published(
    reference: str,
    *,
    until: datetime | None = None,
    full: bool = False,
    space: str = "headrace",
    say: Callable[[str], None] = say,
) -> Materialization:
    """Bring the online store up to date with what is published of a view.

    The published file is read in parts: memory stays the same however many rows it has.

    Args:
        reference: Name of the view, "view@v0" for an earlier version of it.
        until: Rows known later than this moment are left out; None for now.
        full: Whether to look at all rows again; see `materialize`.
        space: The online space: "headrace" for live decisions.
        say: Told how far it is.

    Raises:
        UnknownNameError: There is no such view, or it has no such version.
        StoreError: Nothing is published of it, or the store cannot be written.
        DataError: A row cannot be stored; nothing is written.
        DefinitionError: The settings say PostgreSQL, which Feast itself writes.
        ParameterError: `until` lies in the future, or has no zone.
    """
    from features._online_layout import published_layout
    from features._online_source import rows_of_file
    from features._published import published, rows_file
    from features._versions import parse_reference

    moment = _moment(until)
    record = published(reference)
    if record is None:
        catalog().view(parse_reference(reference)[0])  # refuses a name that no view has
        raise StoreError(
            f"Nothing is published of view '{reference}', so that there is nothing to materialize.",
            remedy="Run the flow that publishes it.",
        )
    _require_writable(record.view, space)
    layout = published_layout(record)
    with rows_of_file(layout, rows_file(record)) as source:
        return _brought_up(layout, record.number, source, moment, space=space, full=full, say=say)


def _moment(until: datetime | None) -> datetime:
    now = current_clock().now()
    if until is None:
        return now
    if until.tzinfo is None:
        raise ParameterError(
            f"The argument 'until' is {until.isoformat()}, a time without a zone.",
            remedy="Say the zone, for example with tzinfo=UTC.",
        )
    return until


def _brought_up(
    layout: Layout,
    number: int,
    source: RowSource,
    until: datetime,
    *,
    space: str,
    full: bool,
    say: Callable[[str], None],
) -> Materialization:
    from features._view_rules import require_name

    require_name("Online space", space)
    now = current_clock().now()
    until_us, now_us = as_us(until), as_us(now)
    source.check(until_us, now_us)
    if until > now:
        raise ParameterError(
            f"The argument 'until' is {until.isoformat()}, in the future: now it is "
            f"{now.isoformat()}.",
            remedy="Leave it out, or name a moment that has come.",
        )
    done = _written(
        layout,
        number,
        source,
        (until_us, now_us),
        space=space,
        full=full,
        say=lambda text: say(f"materialize {layout.name}: {text}"),
    )
    return Materialization(
        changed=done.written > 0,
        view=layout.name,
        space=space,
        until=until.isoformat(),
        rows=done.rows,
        entities=done.entities,
        written=done.written,
        older=done.older,
        same=done.same,
        number=number,
        since=None if done.since_us is None else from_us(done.since_us).isoformat(),
        resumed=done.resumed,
    )


def _written(
    layout: Layout,
    number: int,
    source: RowSource,
    moments: tuple[int, int],
    *,
    space: str,
    full: bool,
    say: Callable[[str], None],
) -> Outcome:
    """Write rows known until the first moment, where the space lies; the second is now."""
    from features._materialize_run import Target, bring_up
    from features._online_place import online_address
    from features.online import online_file

    until_us, now_us = moments
    url = online_address(space)
    if url is None:
        target = Target(layout=layout, number=number, space=space, path=online_file())
        return bring_up(target, source, until_us=until_us, now_us=now_us, full=full, say=say)
    from features.redis_materialize import bring_up_in_redis  # which looks at all rows each time

    return bring_up_in_redis(url, layout, number, source, space=space, until_us=until_us, say=say)


def _require_writable(view: str, space: str) -> None:
    from features._online_place import only_feast_has

    if only_feast_has(space):
        raise DefinitionError(
            f"View '{view}' cannot be materialized: the setting 'features_online_url' says "
            "PostgreSQL, whose tables Feast itself writes.",
            remedy="Let Feast do it, with features.store.feature_store().materialize(start_date, "
            f"end_date, feature_views=['{view}']), or set 'features_online_url' to Redis.",
        )
