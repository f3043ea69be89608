"""These operators are the small steps between those that a labeling loop is made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, TypeVar

from headrace import Report, Schema, Table, Votes, operator
from headrace.calls import PlannedCall
from headrace.labels.columns import Vote
from headrace.schemas import TableSchema
from operators._selection_pool import pool_of

S = TypeVar("S", bound=Schema)
SUGGESTED = ("suggested", "suggested_by", "confidence")
_ROUTES = ("route", "routed_to", "proposed", "expected_error", "expected_gain", "cost")


@operator()
def items_left(pool: Table[S], votes: Votes[Vote], *, entity: str) -> Report:
    """Count the items that nobody was asked about; `passed` is whether there are any."""
    items = {str(each) for each in pool.arrow()[entity].to_pylist()}
    asked = set(votes.arrow()["entity"].to_pylist())
    left = len(items - asked)
    return Report.of(
        {"passed": left > 0, "items": len(items), "asked": len(items & asked), "left": left}
    )


def _suggesting(call: PlannedCall) -> TableSchema | None:
    return suggesting(call.schema("table"))


def suggesting(schema: TableSchema | None) -> TableSchema | None:
    """Return a schema with the columns of suggestions."""
    from headrace.schemas import Column

    if schema is None:
        return None
    return schema.adding(
        [
            Column(name="suggested", dtype="string", nullable=True),
            Column(name="suggested_by", dtype="string", nullable=True),
            Column(name="confidence", dtype="float", nullable=True),
        ]
    )


@operator(produces=_suggesting)
def suggest_by_votes(table: Table[S], votes: Votes[Vote], *, entity: str) -> Table[Any]:
    """Let rows suggest what most votes of rules or models say of them; ties suggest nothing.

    Rows of the slice "random" get none, because suggestions sway raters, and models are judged by
    these. What is suggested already stays.
    """
    said = _said(votes)
    rows = table.arrow()
    slices = rows["slice"].to_pylist() if "slice" in rows.column_names else ["gold"] * len(rows)
    before = [
        rows[name].to_pylist() if name in rows.column_names else [None] * len(rows)
        for name in SUGGESTED
    ]
    added: list[tuple[Any, ...]] = []
    for item, part, *there in zip(rows[entity].to_pylist(), slices, *before, strict=True):
        kept = there[0] is not None or part == "random"
        added.append(tuple(there) if kept else said.get(str(item), (None, None, None)))
    import pyarrow as pa

    kept_rows = rows.drop_columns([name for name in SUGGESTED if name in rows.column_names])
    for position, name in enumerate(SUGGESTED):
        sort = pa.float64() if name == "confidence" else pa.string()
        kept_rows = kept_rows.append_column(name, pa.array([a[position] for a in added], sort))
    return Table.of(kept_rows.select(_order(rows.column_names)), schema=suggesting(table.schema))


@operator(produces=lambda call: call.schema("selected"))
def with_suspects(
    selected: Table[S], suspects: Table[Any], votes: Votes[Vote], *, entity: str
) -> Table[Any]:
    """Add items whose label is in doubt to a selection, unless they were asked again before.

    Those of the random slice are none of them: if a model said which of the labels it is judged by
    are looked at again, and showed what it believes instead, it would look better than it is.
    """
    import pyarrow as pa

    rows, doubtful = selected.arrow(), suspects.arrow()
    given = votes.arrow().select(["entity", "slice"]).to_pylist()
    before = {each["entity"] for each in given if each["slice"] in ("audit", "random")}
    before |= {str(item) for item in rows[entity].to_pylist()}
    fresh = [str(item) not in before for item in doubtful[entity].to_pylist()]
    more = doubtful.filter(pa.array(fresh, pa.bool_())).select(rows.column_names).cast(rows.schema)
    return Table.of(pa.concat_tables([rows, more]), schema=selected.schema)


@operator(produces=lambda call: call.schema("pool"))
def part_of_pool(
    pool: Table[S], votes: Votes[Vote], *, reserve: bool, share: float, salt: str
) -> Table[Any]:
    """Take the evaluation reserve of a pool, or all but it, as `select_for_labeling` sees it.

    Copies are on one side: of a family that is kept, none is given to people because a model is
    unsure of it, as the family would then be learnt from, and the reserve left without it.
    """
    import pyarrow as pa

    kept = pool_of(pool, votes, share=share, salt=salt).sides.reserved
    return Table.of(pool.arrow().filter(pa.array(kept == reserve)), schema=pool.schema)


@operator(produces=lambda call: call.schema("tables"))
def together(tables: list[Table[S]]) -> Table[Any]:
    """Put tables of the same columns under each other."""
    import pyarrow as pa

    return Table.of(pa.concat_tables([each.arrow() for each in tables]), schema=tables[0].schema)


def _without_routes(call: PlannedCall) -> dict[str, TableSchema | None]:
    schema = call.schema("routed")
    return {"table": None if schema is None else _unrouted(schema)}


@operator(produces=_without_routes)
def sent_to_people(routed: Table[S]) -> tuple[Table[Any], Report]:
    """Take the rows that were routed to people; `passed` is whether there are any."""
    import pyarrow.compute as pc

    rows = routed.arrow()
    people = rows.filter(pc.equal(rows["route"], "person")).drop_columns(list(_ROUTES))
    schema = None if routed.schema is None else _unrouted(routed.schema)
    found: Table[Any] = Table.of(people, schema=schema)
    return found, Report.of({"passed": people.num_rows > 0, "items": people.num_rows})


def _unrouted(schema: TableSchema) -> TableSchema:
    return schema.dropping(_ROUTES)


def _said(votes: Votes[Vote]) -> dict[str, tuple[str, str, float | None]]:
    """Return what most votes say of an item, who says so, and how sure they are on average."""
    given: dict[str, list[tuple[str, str, float | None]]] = defaultdict(list)
    rows = votes.arrow().select(["entity", "label", "rater", "confidence"]).to_pylist()
    for row in rows:
        if row["label"] is not None:
            given[row["entity"]].append((row["label"], row["rater"], row["confidence"]))
    found = {}
    for item, opinions in given.items():
        ranked = Counter(label for label, _, _ in opinions).most_common(2)
        if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
            continue
        agreed = [(rater, sure) for label, rater, sure in opinions if label == ranked[0][0]]
        sures = [sure for _, sure in agreed if sure is not None]
        by = ", ".join(sorted({rater for rater, _ in agreed}))
        mean = sum(sures) / len(sures) if sures else None
        found[item] = (ranked[0][0], by if len(by) <= 200 else f"{by[:199]}…", mean)
    return found


def _order(names: list[str]) -> list[str]:
    return [*names, *(name for name in SUGGESTED if name not in names)]
