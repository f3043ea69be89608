"""This operator reads what is published of a feature view, so that no flow computes it again.

    @flow(grants=["feature:carrier_history/*"])
    def late_flights() -> Evaluation:
        examples = build(labels, [read_features(view="carrier_history")])
        ...

The key is the published content: a view that is published again with the same rows is read from
the cache, and so is all that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from features.access import granted_rows, offered
from features.view import FeatureView
from headrace import Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import HeadraceError, UnknownNameError

if TYPE_CHECKING:
    from headrace.grants import External
    from headrace.schemas import TableSchema


class _Name:
    """This lets a parameter take a view or its name, and gives the name: the rows are published."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def name_of(value: object) -> str:
            if isinstance(value, FeatureView):
                return value.name
            if isinstance(value, str):
                return value
            raise PydanticCustomError("view", "a feature view or its name is needed")

        return core_schema.no_info_plain_validator_function(name_of)


Reference = Annotated[FeatureView | str, _Name()]


def _reads(parameters: Mapping[str, Any]) -> Sequence[External]:
    try:
        return offered(parameters["view"], parameters["columns"]).externals()
    except HeadraceError:  # the check says what is wrong
        return []


def _rows_schema(call: PlannedCall) -> TableSchema | None:
    try:
        return offered(call.parameters["view"], call.parameters["columns"]).schema
    except HeadraceError:
        return None


def _check(call: PlannedCall) -> list[Finding]:
    reference = call.parameters["view"]
    try:
        offer = offered(reference, call.parameters["columns"])
    except HeadraceError as error:
        found = _not_published_yet(reference) if isinstance(error, UnknownNameError) else None
        problem, remedy = found or (error.problem, error.remedy)
        return [Finding(problem=problem, remedy=remedy, rule="published view")]
    if offer.stage != "deprecated":
        return []
    instead = f"Read '{offer.replaced_by}' instead." if offer.replaced_by else "Ask its owner why."
    return [
        Finding(
            problem=f"View '{offer.record.view}' is deprecated.",
            remedy=instead,
            rule="deprecated view",
            warning=True,
        )
    ]


def _not_published_yet(reference: str) -> tuple[str, str] | None:
    """Return what to say of a view that is only defined; None where it is not even that."""
    from features._published import published
    from features.catalog import catalog

    name = reference.partition("@")[0]
    known = any(view.name == name for view in catalog().list())
    if not known or published(name) is not None:
        return None
    return (
        f"View '{name}' is defined, but nothing of it is published yet.",
        "Run the flow that publishes it; a flow that computes it has its rows already.",
    )


@operator(reads=_reads, check=_check, produces=_rows_schema, named_by="view")
def read_features(*, view: Reference, columns: list[str] | None = None) -> Table[Any]:
    """Read the published rows of a feature view, as far as the flow is granted them.

    Args:
        view: The view, its name for what is published last, or "view@v0" for a version of it.
        columns: Names of features; None for all. Keys and times always come along.

    Returns:
        The view's rows as `compute_features` made them: keys, event time, known time, with a ttl
        `expires_at`, and the features. Features of an older version have "view@v0" as source.

    Raises:
        GrantError: The flow is not granted a feature, or its owner does not let the flow read it.
        UnknownNameError: There is no such view, version or feature.
        ParameterError: `columns` is empty, or names one twice.
        StoreError: The rows cannot be read, or the read of sensitive ones not be recorded.
    """
    reference = str(view)  # the call has put the name in a view's place
    return Table.of(granted_rows(reference, columns), schema=offered(reference, columns).schema)
