"""This module hands out published features to those who may have them, and to nobody else.

Feast asks nobody who reads when it is used in a process of one's own; the store asks here. A flow
reads what its `grants` name and what the view's owner lets it read (`FeatureView.readers`), as the
view was last published; what is personal or secret is read only where both name it without a
wildcard, and every read of a view that holds such a feature is on record.

It is a border between flows and models. Who may read the files reads them without asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from features._published import Published, published, published_views, read_published
from features._versions import latest_number, parse_reference
from headrace.errors import DataError, ParameterError, StoreError, UnknownNameError, did_you_mean
from headrace.grants import (
    SENSITIVE,
    External,
    Feature,
    current_reader,
    require_all,
)
from headrace.schemas import Column, Sensitivity, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView
    from headrace.lineage import FeatureRead

_BY_SENSITIVITY: tuple[Sensitivity, ...] = ("public", "internal", "personal", "secret")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """This is what is on offer of a published view, as somebody asks for it.

    Args:
        record: What is published.
        schema: The columns that are asked for, with keys and times.
        features: The features among them, with who may read them.
        stage: "proposed", "active" or "deprecated".
        replaced_by: The view to use instead of a deprecated one; empty where there is none.
    """

    record: Published
    schema: TableSchema
    features: tuple[Feature, ...]
    stage: str = "active"
    replaced_by: str = ""

    def externals(self) -> list[External]:
        """Return the features as pieces of the outside world, known by the published content."""
        content = f"{self.record.version}:{self.record.digest}"
        return [
            External(name=f.name, fingerprint=lambda: content, feature=f) for f in self.features
        ]


def offered(reference: str, columns: Sequence[str] | None = None) -> Offer:
    """Return what is on offer of a view.

    Args:
        reference: "view" for what is published last, "view@v0" for a version of it.
        columns: Names of features; None for all.

    Raises:
        UnknownNameError: There is no such view, version or feature; the nearest are offered.
        ParameterError: No column is asked for, or one twice.
        DataError: The reference is none.
        StoreError: What is published cannot be read.
    """
    record = _record(reference)
    current = published(record.view) or record
    whole = _schema(record)
    wanted = _wanted(reference, whole, columns)
    schema = whole.keeping([c.name for c in whole.columns if c.role != "feature" or c in wanted])
    # what the owner says now counts, also for a version of long ago
    said = {c.name: c.sensitivity for c in _schema(current).with_role("feature")}
    sensitivities = {
        c.name: max(c.sensitivity, said.get(c.name, "public"), key=_BY_SENSITIVITY.index)
        for c in whole.with_role("feature")
    }
    features = tuple(
        Feature(
            view=record.view,
            column=column.name,
            owner=str(current.definition["owner"]),
            readers=tuple(current.definition["readers"]),
            sensitivity=sensitivities[column.name],
            version=record.number,
            rows=record.rows,
            guarded=any(each in SENSITIVE for each in sensitivities.values()),
        )
        for column in wanted
    )
    return Offer(
        record=record,
        schema=schema,
        features=features,
        stage=str(current.definition["stage"]),
        replaced_by=str(current.definition["replaced_by"]),
    )


def granted_rows(reference: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return published rows of a view if the running flow may read them, and put it on record.

    Args:
        reference: "view" or "view@v0".
        columns: Names of features; None for all. Keys and times always come along.

    Raises:
        GrantError: The flow may not read a feature; the message says whom to ask for what.
        StoreError: The read cannot be recorded, or the rows cannot be read.
        HeadraceError: As `offered`.
    """
    from headrace.conform import conform

    offer = offered(reference, columns)
    require_reads(offer)
    record, schema = offer.record, offer.schema
    rows = read_published(f"{record.view}@v{record.number}", list(schema.names))
    return conform(_with_dates(rows, schema), schema, where=f"What is published of '{reference}'")


def require_reads(offer: Offer) -> None:
    """Refuse features that the running flow may not read; record a read of sensitive views.

    Raises:
        GrantError: The flow may not read a feature.
        StoreError: The read cannot be recorded.
    """
    from headrace.lineage.feature_reads import remember_reads
    from headrace.recording import current_invocation
    from headrace.settings import settings

    require_all(offer.externals())
    reader, invocation = current_reader(), current_invocation()
    remember_reads(
        offer.features,
        sort="read",
        flow="" if reader is None else reader.flow,
        run_id=None if invocation is None else invocation.run_id,
        actor=settings().actor,
    )


def require_views(wanted: Mapping[str, Iterable[str]]) -> None:
    """Refuse what is read through Feast if the running flow may not; see `require_reads`.

    Args:
        wanted: Names of features by view, "view" or "view@v0". Views that were not published from
            here have no owner here, and nobody to ask.

    Raises:
        GrantError: The flow may not read a feature.
        StoreError: The read cannot be recorded.
    """
    for reference, columns in wanted.items():
        try:
            offer = offered(reference)
        except (UnknownNameError, DataError):
            continue
        names = set(columns)
        read = tuple(f for f in offer.features if f.column in names)
        require_reads(replace(offer, features=read))


def reads_of(view: str) -> list[FeatureRead]:
    """Return who read a view with sensitive features, oldest first; see `feature_reads`."""
    from headrace.lineage.feature_reads import reads_of

    return reads_of(view)


def features_of(view: FeatureView, columns: Iterable[str], *, version: int = 0) -> list[Feature]:
    """Return features of a view as its definition guards them, for a flow that has the view.

    Args:
        view: The view.
        columns: Names of its features.
        version: Number of its version.
    """
    wanted = set(columns)
    return [
        Feature(
            view=view.name,
            column=column.name,
            owner=view.owner,
            readers=view.readers,
            sensitivity=column.sensitivity,
            version=version,
            guarded=any(c.sensitivity in SENSITIVE for c in view.columns),
            own=True,
        )
        for column in view.columns
        if column.name in wanted
    ]


def guarded_columns(schemas: Iterable[TableSchema | None]) -> list[External]:
    """Return the sensitive features of views among the columns of tables, as what is read.

    A flow that computes such a view itself has not asked for it; where a model is to learn from
    it, it has to. Of a view that is not published nobody but the grant decides.
    """
    found: dict[tuple[str, str], Column] = {}
    for schema in schemas:
        for column in () if schema is None else schema.columns:
            if column.source is not None and column.sensitivity in SENSITIVE:
                found.setdefault((column.source, column.name), column)
    return [_guarded(source, column) for (source, _), column in found.items()]


def _guarded(source: str, column: Column) -> External:
    view = source.partition("@")[0]
    record = published(view)
    said: Mapping[str, Any] = {} if record is None else record.definition
    reader = current_reader()
    itself = () if reader is None else (reader.flow,)
    feature = Feature(
        view=view,
        column=column.name,
        owner=str(said.get("owner", "")),
        readers=tuple(said["readers"]) if "readers" in said else itself,
        sensitivity=column.sensitivity,
        guarded=True,
        own=True,
    )
    return External(name=feature.name, fingerprint=lambda: None, feature=feature)


def _record(reference: str) -> Published:
    found = published(reference)
    if found is None:
        view, _ = parse_reference(reference)
        names = [record.view for record in published_views()]
        raise UnknownNameError(
            f"No feature view '{view}' is published.{did_you_mean(view, names)}",
            remedy="Name a published view; `headrace features list` shows what there is.",
        )
    if not found.definition:
        raise StoreError(
            f"View '{reference}' was published before versions of views were kept.",
            remedy="Run the flow that publishes it again.",
        )
    return found


def _schema(record: Published) -> TableSchema:
    """Return the columns of published rows; of an older version they say so as their source."""
    schema = TableSchema.from_json(record.definition["schema"])
    if record.number == latest_number(record.view):
        return schema
    source = f"{record.view}@v{record.number}"
    return replace(
        schema,
        columns=tuple(
            replace(c, source=source) if c.role == "feature" else c for c in schema.columns
        ),
    )


def _wanted(
    reference: str, schema: TableSchema, columns: Sequence[str] | None
) -> tuple[Column, ...]:
    every = schema.with_role("feature")
    if columns is None:
        return every
    names = [c.name for c in every]
    for name in columns:
        if name not in names:
            raise UnknownNameError.of(
                f"feature of view '{reference}' called",
                name,
                names,
                remedy="Name features of the view; its keys and times always come along.",
            )
    if not columns or len(set(columns)) < len(columns):
        twice = next((n for n in columns if list(columns).count(n) > 1), None)
        what = "no feature" if twice is None else f"feature '{twice}' twice"
        raise ParameterError(
            f"The read of view '{reference}' asks for {what}.",
            remedy="Name each feature once, or leave `columns` out for all of them.",
        )
    return tuple(c for c in every if c.name in columns)


def _with_dates(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """Return the rows with dates as dates: Feast has none, so they are kept as midnights."""
    import pyarrow as pa

    for column in schema.columns:
        if column.dtype == "date" and pa.types.is_timestamp(rows.schema.field(column.name).type):
            dates = rows.column(column.name).cast(pa.timestamp("us")).cast(pa.date32())
            position = rows.schema.get_field_index(column.name)
            rows = rows.set_column(position, column.name, dates)
    return rows
