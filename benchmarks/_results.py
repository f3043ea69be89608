"""This module judges rows against their goals, keeps them and shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.errors import DataError

KEYS = (
    "name", "value", "unit", "baseline", "baseline_value", "ratio", "higher_is_better", "goal",
    "meets", "detail", "at", "commit",
)  # fmt: skip


def complete(row: dict[str, Any], *, at: str, commit: str) -> dict[str, Any]:
    """Add to a row whether it meets its goal, when it was measured and on which commit.

    Raises:
        DataError: A key is missing or is none of those that a row has.
    """
    given = set(KEYS) - {"meets", "at", "commit"}
    if row.keys() != given:
        wrong = ", ".join(sorted(row.keys() ^ given))
        raise DataError(
            f"The benchmark row '{row.get('name')}' has the wrong keys: {wrong}.",
            remedy=f"Give each row {', '.join(key for key in KEYS if key in given)}.",
        )
    whole = row | {"meets": meets(row["value"], row["goal"]), "at": at, "commit": commit}
    return {key: whole[key] for key in KEYS}


def meets(value: float | None, goal: dict[str, float] | None) -> bool | None:
    """Judge a value: no value never meets a goal, and without a goal there is nothing to meet.

    Raises:
        DataError: The goal is none of `{"at_most": x}`, `{"at_least": x}` or both.
    """
    if not goal:
        return None
    if not goal.keys() <= {"at_most", "at_least"}:
        raise DataError(
            f"A benchmark's goal cannot be {goal}.",
            remedy='Say {"at_most": x}, {"at_least": x}, both, or None.',
        )
    if value is None:
        return False
    # written so that a value that is not a number meets nothing
    high = value <= goal["at_most"] if "at_most" in goal else True
    low = value >= goal["at_least"] if "at_least" in goal else True
    return high and low


def merge(rows: list[dict[str, Any]], path: Path) -> None:
    """Put rows into a file of results, in place of those of the same name.

    Raises:
        DataError: The file is there and is no list of rows.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        by_name = {row["name"]: row for row in [*kept, *rows]}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} is not a list of benchmark rows: {error}.",
            remedy="Restore the file from version control, or remove it.",
        ) from None
    half = path.with_suffix(".half")
    half.write_text(json.dumps([by_name[n] for n in sorted(by_name)], indent=2) + "\n")
    half.replace(path)


def table(rows: list[dict[str, Any]]) -> str:
    """Show rows in aligned columns, for a reader."""
    cells = [("benchmark", "value", "baseline", "ratio", "goal", "met")]
    for row in rows:
        unit, baseline = row["unit"] or "", row["baseline"] or ""
        against = "" if row["baseline_value"] is None else f"{_short(row['baseline_value'])} "
        cells.append(
            (
                row["name"],
                f"{_short(row['value'])} {unit}".strip(),
                (against + baseline).strip(),
                "" if row["ratio"] is None else _short(row["ratio"]),
                " and ".join(
                    f"{'≤' if kind == 'at_most' else '≥'} {_short(limit)}"
                    for kind, limit in (row["goal"] or {}).items()
                ),
                {True: "yes", False: "NO", None: ""}[row["meets"]],
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
