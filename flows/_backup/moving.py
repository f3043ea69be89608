"""This module makes a restored home name its own place where it names the one it was made in.

What is read goes by digest or by a place in the home; these are the addresses that people and
libraries see: of artifacts in lineage, in MLflow and in waiting records, of results in Prefect, of
rows in Feast. What logs and messages say of the past stays as it was said.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

# text columns with addresses in JSON, by database; `(database, table, column)`
_IN_JSON = (
    ("mlflow/mlflow.db", "datasets", "dataset_source"),
    ("prefect/prefect.db", "artifact", "data"),
)


def move(folder: Path, *, old: Path, new: Path) -> dict[str, int]:
    """Rewrite the addresses in a home that lies in `folder` for now, and will lie at `new`.

    Args:
        folder: The home, which nobody uses.
        old: Where it lay when it was backed up.
        new: Where it will lie.

    Returns:
        How many addresses were rewritten, by where they were.
    """
    if old == new:
        return {}
    done = {}
    ours = folder / "headrace.db"
    if ours.is_file():
        done["headrace.db"] = _move_artifacts(ours, f"{old.as_uri()}/", f"{new.as_uri()}/")
    for name, table, column in _IN_JSON:
        if (folder / name).is_file():
            done[name] = _move_json(folder / name, table, column, old, new)
    stages = (folder / "spool").rglob("stage.json")
    done["spool"] = sum(_move_text(path, old, new) for path in stages)
    return {where: count for where, count in done.items() if count}


def _move_artifacts(database: Path, old: str, new: str) -> int:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(
            "UPDATE artifact SET uri = ? || substr(uri, ?) WHERE substr(uri, 1, ?) = ?",
            (new, len(old) + 1, len(old), old),
        ).rowcount


def _move_json(database: Path, table: str, column: str, old: Path, new: Path) -> int:
    count = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        if not connection.execute(
            "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)
        ).fetchone():
            return 0  # another version of that server keeps it elsewhere
        for before, after in _spellings(old, new):
            count += connection.execute(
                f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '  # noqa: S608  ours
                f'WHERE instr("{column}", ?)',
                (before, after, before),
            ).rowcount
    return count


def _move_text(path: Path, old: Path, new: Path) -> int:
    text = before_all = path.read_text(encoding="utf-8")
    for before, after in _spellings(old, new):
        text = text.replace(before, after)
    if text == before_all:
        return 0
    path.write_text(text, encoding="utf-8")
    return 1


def _spellings(old: Path, new: Path) -> list[tuple[str, str]]:
    """Return how JSON spells the two places: as addresses and as paths, up to the next folder."""
    plain = [json.dumps(f"{each}/")[1:-1] for each in (old, new)]
    return [(f"{old.as_uri()}/", f"{new.as_uri()}/"), (f'"{plain[0]}', f'"{plain[1]}')]
