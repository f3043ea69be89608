"""This module puts decisions together as columns, from batches as the log's views give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.schemas import Column, DType, TableSchema
from operators._decision_table import outcome_columns
from serving._arrow_maps import numbers_of, texts_of
from serving._served_columns import (
    NOTES,
    KnownFeature,
    KnownFeatures,
    feature_column,
    outcome_schema,
)
from serving.outcome_kinds import OutcomeKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

Made = tuple[Column, "pa.ChunkedArray"]


class ServedParts:
    """This takes batches of decisions apart; any of them may have features that others lack.

    Args:
        schema: Of the batches.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._numbers: dict[str, dict[int, npt.NDArray[np.float64]]] = {}
        self._texts: dict[str, dict[int, pa.Array]] = {}
        self._entity: dict[str, dict[int, pa.Array]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch, with the maps features, texts and entity."""
        number = len(self._batches)
        for name, values in numbers_of(batch.column("features")):
            self._numbers.setdefault(name, {})[number] = values
        for found, maps in ((self._texts, "texts"), (self._entity, "entity")):
            for name, texts in texts_of(batch.column(maps)):
                found.setdefault(name, {})[number] = texts
        self._batches.append(batch.drop_columns(["features", "texts", "entity"]))

    def columns(
        self,
        as_of: int,
        *,
        keys: Mapping[str, str],
        kinds: Sequence[OutcomeKind],
        features: KnownFeatures,
    ) -> list[Made]:
        """Return all columns with their values.

        Args:
            as_of: The moment whose knowledge is used, in microseconds since 1970.
            keys: Columns of entities that views are looked up by, each with its type.
            kinds: The outcomes.
            features: What is known of features.
        """
        import pyarrow as pa

        moment = pa.scalar(as_of, pa.timestamp("us", tz="UTC"))
        made: list[Made] = [
            self._plain(Column(name="id", dtype="string", role="entity")),
            self._plain(Column(name="decided_at", dtype="timestamp", role="decision_time")),
            (
                Column(name="as_of", dtype="timestamp"),
                pa.chunked_array([pa.repeat(moment, self._rows)]),
            ),
        ]
        made += [self._key(name, keys.get(name)) for name in sorted({*self._entity, *keys})]
        made += [self._plain(Column(name=n, dtype=t, nullable=True)) for n, t in NOTES]
        for kind in kinds:
            made += self._outcome(kind)
        taken = {column.name for column, _ in made}
        there = {**self._numbers, **self._texts}
        first = [name for name in features.by_name if name in there]
        for name in [*first, *sorted(there.keys() - set(first))]:
            made.append(self._feature(name, features.of(name), taken))
        return made

    @property
    def _rows(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def _plain(self, column: Column) -> Made:
        place = self._schema.get_field_index(column.name)
        return column, _chunked(
            [batch.column(column.name) for batch in self._batches], self._schema.field(place).type
        )

    def _key(self, name: str, dtype: str | None) -> Made:
        column = Column(
            name=f"entity.{name}",
            dtype="int" if dtype == "int" else "string",
            nullable=True,
            known_at="decided_at",
        )
        return column, self._chunks(self._entity.get(name, {}))

    def _outcome(self, kind: OutcomeKind) -> Iterator[Made]:
        import pyarrow.compute as pc

        _, values = self._plain(Column(name=outcome_columns(kind.name).value, dtype="float"))
        whole = kind.kind != "number"
        if whole:  # what was told before it was declared may be something else
            whole = bool(pc.all(pc.equal(values, pc.floor(values)), min_count=0).as_py())
        for column in outcome_schema(kind, whole=whole):
            yield self._plain(column)

    def _feature(self, name: str, known: KnownFeature, taken: set[str]) -> Made:
        import numpy as np
        import pyarrow as pa

        dtype: DType = known.dtype or ("string" if name in self._texts else "float")
        if dtype == "string":
            column = feature_column(name, known, dtype, taken)
            return column, self._chunks(self._texts.get(name, {}))
        found = self._numbers.get(name, {})
        parts = [
            found[n] if n in found else np.full(batch.num_rows, np.nan)
            for n, batch in enumerate(self._batches)
        ]
        if dtype != "float" and not all(_fits(part, dtype) for part in parts):
            dtype = "float"
        arrays = [pa.array(part, from_pandas=True) for part in parts]
        return feature_column(name, known, dtype, taken), _chunked(arrays, pa.float64())

    def _chunks(self, found: Mapping[int, pa.Array]) -> pa.ChunkedArray:
        import pyarrow as pa

        arrays = [
            found[n] if n in found else pa.nulls(batch.num_rows, pa.string())
            for n, batch in enumerate(self._batches)
        ]
        return _chunked(arrays, pa.string())


def table_of(name: str, made: Sequence[Made]) -> tuple[pa.Table, TableSchema]:
    """Return the table of some columns, each in the type of its schema."""
    import pyarrow as pa

    from headrace.conform import arrow_type

    schema = TableSchema(name=name, columns=tuple(column for column, _ in made))
    return (
        pa.table({column.name: values.cast(arrow_type(column)) for column, values in made}),
        schema,
    )


def _chunked(arrays: list[pa.Array], of: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array(arrays, of)


def _fits(values: npt.NDArray[np.float64], dtype: DType) -> bool:
    """Return whether numbers are whole, or 0 and 1, as their models take them; NaN is null."""
    import numpy as np

    there = values[~np.isnan(values)]
    if dtype == "bool":
        return bool(np.isin(there, (0.0, 1.0)).all())
    return bool((np.abs(there) < 1 << 53).all() and (there == np.floor(there)).all())
