"""This module says what became of votes: the method, what was left out, raters and agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.labels.schema import LabelSchema
from operators._agreement import Opinion, agreement_of_opinions
from operators._vote_choices import Outcome
from operators._votes_read import VotesRead

if TYPE_CHECKING:
    import pandas as pd


def report_of(
    read: VotesRead,
    outcome: Outcome | None,
    columns: Mapping[str, Any],
    schema: LabelSchema,
    asked: str,
) -> dict[str, Any]:
    """Return what there is to say about an aggregation, JSON-like."""
    rows = read.rows
    without = rows[rows["label"].isna()]
    skips = without[without["skipped"].notna()]
    abstentions = without[without["skipped"].isna()]
    labels = columns["label"]
    return {
        "passed": True,
        "schema_version": schema.version,
        "method": "none" if outcome is None else outcome.method,
        "method_asked": asked,
        **({} if outcome is None else outcome.findings),
        "items": int(rows["entity"].nunique()),
        "labelled": len(labels),
        "left_out": read.left_out,
        "votes": int(read.items["votes"].sum()),
        "superseded": read.superseded,
        "skips": len(skips),
        "skips_by_reason": _counted(skips["skipped"]),
        "abstentions": len(abstentions),
        "abstentions_by_rater": _counted(abstentions["rater"]),
        "conflicts": int(read.items["conflict"].sum()),
        "gold": sum(source == "gold" for source in columns["source"]),
        "adjudicated": sum(source == "adjudicator" for source in columns["source"]),
        "by_slice": _counted(columns["slice"]),
        "by_source": _counted(columns["source"]),
        "by_label": _counted(labels) if schema.kind == "single" else {},
        "agreement": agreement_of_opinions(_opinions(rows), schema).to_json(),
    }


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(map(str, values)).items()))


def _opinions(rows: pd.DataFrame) -> list[Opinion]:
    """Return rows, which are in a fixed order, as opinions."""
    values = (_plain(rows[name]) for name in Opinion._fields)
    return [Opinion(*row) for row in zip(*values, strict=True)]


def _plain(column: pd.Series[Any]) -> list[Any]:
    missing = column.isna()
    listed = column.astype(object).tolist()
    return [None if gone else value for value, gone in zip(listed, missing, strict=True)]
