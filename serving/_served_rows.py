"""This module makes a table of the features in a decision log that were looked up in views."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.access import offered
from headrace.clock import as_us
from headrace.errors import StoreError, UnknownNameError
from headrace.grants import External, Feature, current_reader, require_all
from headrace.schemas import Column, TableSchema
from serving._endpoint_documents import LookedUp, Lookups

if TYPE_CHECKING:
    import pyarrow as pa


_ALL_TIME = (-(1 << 63), (1 << 63) - 1)
# Which decisions are read does not depend on how the log lies on disk.
_DECISIONS = """
SELECT id, epoch_us(decided_at) AS at_us, generation, overridden, entity, features, texts FROM (
    SELECT * FROM decisions
    WHERE epoch_us(decided_at) BETWEEN $since AND $until
    ORDER BY md5(concat($seed, ':', id)), id LIMIT $sample
) ORDER BY at_us, id
"""
_MOST = 1 << 62


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """This is a feature that is looked up: its column in the table, its names in the log."""

    column: Column
    view: str
    number: int
    names: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        return self.column.dtype == "string"


def read_served(
    folder: Path,
    endpoint: str,
    looked_up: LookedUp,
    *,
    sample: int | None,
    seed: int,
    between: tuple[datetime | None, datetime | None],
) -> tuple[pa.Table, TableSchema]:
    """Return what models were given of the views that an endpoint looks up, and its schema.

    Args:
        folder: Folder of the endpoint's decision log.
        endpoint: Its name.
        looked_up: What it looks up: which version of a view a decision read depends on its
            generation.
        sample: How many decisions; None for all.
        seed: Which ones.
        between: First and last moment, None where there is no limit.
    """
    import pyarrow as pa

    from headrace.decisions import open_view

    looked = list(_looked_up(looked_up.lookups))
    keys = {column: dtype for lookup in looked_up.lookups for column, dtype in lookup["keys"]}
    schema = TableSchema(
        name=f"served by {endpoint}",
        columns=(
            Column(name="decision", dtype="string", role="entity"),
            Column(name="decided_at", dtype="timestamp", role="decision_time"),
            *(_key_column(name, dtype) for name, dtype in keys.items()),
            *(each.column for each in looked),
            Column(name="not_looked_up", dtype="string"),
        ),
    )
    limits = [
        bound if at is None else as_us(at) for at, bound in zip(between, _ALL_TIME, strict=True)
    ]
    asked = {"since": limits[0], "until": limits[1], "seed": str(seed), "sample": sample or _MOST}
    with open_view(folder) as connection:
        found = connection.execute(_DECISIONS, asked).fetchall()
    numbers = {
        generation: {each["view"]: each.get("number", 0) for each in lookups}
        for generation, lookups in looked_up.by_generation.items()
    }
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in found:
        _add(columns, row, keys, looked, numbers)
    at = pa.array(columns.pop("decided_at"), pa.timestamp("us", tz="UTC"))
    return pa.table({**{n: _array(v, schema.column(n)) for n, v in columns.items()},
                     "decided_at": at}), schema  # fmt: skip


def _add(
    columns: dict[str, list[Any]],
    row: Sequence[Any],
    keys: Mapping[str, str],
    looked: Sequence[_Looked],
    numbers: Mapping[int, Mapping[str, int]],
) -> None:
    decision, at_us, generation, overridden, entity, features, texts = row
    columns["decision"].append(decision)
    columns["decided_at"].append(at_us)
    for key, dtype in keys.items():
        value = (entity or {}).get(key)
        columns[f"entity.{key}"].append(int(value) if value and dtype == "int" else value)
    versions, given, absent = numbers.get(generation, {}), set(overridden or ()), []
    for each in looked:
        name = next((n for n in each.names if n in features or n in texts), "")
        if not name or name in given or versions.get(each.view) != each.number:
            absent.append(each.column.name)
        columns[each.column.name].append((texts if each.is_text else features).get(name))
    columns["not_looked_up"].append(json.dumps(absent) if absent else "")


def _looked_up(lookups: Lookups) -> Iterator[_Looked]:
    from features._versions import latest_number

    uses = Counter(name for lookup in lookups for name in lookup["features"])
    for lookup in lookups:
        view, number = lookup["view"], lookup.get("number", 0)
        newest = latest_number(view) in (None, number)
        for name, dtype in zip(lookup["features"], lookup["dtypes"], strict=True):
            yield _Looked(
                column=Column(
                    name=f"{view}:{name}",
                    dtype="string" if dtype in ("string", "category") else "float",
                    nullable=True,
                    role="feature",
                    source=view if newest else f"{view}@v{number}",
                    known_at="decided_at",
                ),
                view=view,
                number=number,
                # of two views with one name, the log has each under its long one
                names=(name, f"{view}__{name}") if uses[name] == 1 else (f"{view}__{name}",),
            )


def guarded(lookups: Lookups) -> list[External]:
    """Return what an endpoint looks up that is sensitive, as its owners published it."""
    return [
        External(name=feature.name, fingerprint=lambda: None, feature=feature)
        for feature in _features(lookups)
        if feature.sensitive
    ]


def require_served(endpoint: str, lookups: Lookups) -> None:
    """Refuse decisions that the running flow may not read.

    Raises:
        GrantError: It is not granted the decisions, or what is sensitive among them.
    """
    log = External(name=f"decisions:{endpoint}", fingerprint=lambda: None)
    require_all([log, *guarded(lookups)])


def remember_served(lookups: Lookups, rows: int) -> None:
    """Put on record that decisions with features of sensitive views are read.

    Raises:
        StoreError: It cannot be recorded.
    """
    from headrace.lineage.feature_reads import remember_reads
    from headrace.recording import current_invocation
    from headrace.settings import settings

    reader, invocation = current_reader(), current_invocation()
    remember_reads(
        [replace(feature, rows=rows) for feature in _features(lookups)],
        sort="read",
        flow="" if reader is None else reader.flow,
        run_id=None if invocation is None else invocation.run_id,
        actor=settings().actor,
    )


def _features(lookups: Lookups) -> list[Feature]:
    found: list[Feature] = []
    for lookup in lookups:
        try:
            offer = offered(lookup["view"])
        except (UnknownNameError, StoreError):  # nothing is published that says what is sensitive
            continue
        found += [
            replace(feature, version=lookup.get("number", 0))
            for feature in offer.features
            if feature.column in lookup["features"]
        ]
    return found


def _key_column(name: str, dtype: str) -> Column:
    return Column(name=f"entity.{name}", dtype="int" if dtype == "int" else "string", nullable=True)


def _array(values: list[Any], column: Column) -> pa.Array:
    import pyarrow as pa

    from headrace.conform import arrow_type

    return pa.array(values, arrow_type(column))
