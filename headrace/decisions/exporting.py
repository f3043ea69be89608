"""This module writes decisions to one file that other programs read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from headrace.clock import as_us
from headrace.decisions.view import open_view
from headrace.errors import ParameterError, ServiceError, UnknownNameError

Format = Literal["parquet", "jsonl", "csv"]
Beside = Literal["outcomes", "shadows"]
_OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "jsonl": "FORMAT json",
    "csv": "FORMAT csv, HEADER",
}
_LISTS = ("overridden", "missing", "candidates", "propensities", "experiments")
_MAPS = ("entity", "features", "texts")
_MOMENT = "strftime(make_timestamp(epoch_us({0})), '%Y-%m-%dT%H:%M:%S.%fZ')"
# What belongs to a decision: a list of objects each, empty where there is nothing.
_BESIDE = {
    "outcomes": (
        "outcomes",
        "list(struct_pack(name := name, value := value, known_at := {known_at}, "
        "corrected := corrected, late := late, source := source) ORDER BY name)",
    ),
    "shadows": (
        "shadows",
        "list(struct_pack(model := model, experiment := experiment, score := score, "
        "error := error) ORDER BY model, experiment)",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """This is what was written.

    Args:
        path: The file.
        decisions: How many decisions it holds.
        bytes: How long it is.
    """

    path: Path
    decisions: int
    bytes: int


def export(
    folder: Path,
    to: Path,
    *,
    format: Format,  # noqa: A002 - what everybody calls it
    since: datetime | None = None,
    until: datetime | None = None,
    beside: Collection[Beside] = (),
    replace: bool = False,
) -> Exported:
    """Write decisions to a file, whole or not at all; in the order in which they were decided.

    Args:
        folder: The folder of the endpoint.
        to: The file.
        format: "parquet"; "jsonl", an object a line; or "csv", lists and maps as JSON texts.
        since: The first moment of a decision, aware; None from the oldest.
        until: The moment before which they were decided, aware; None to the newest.
        beside: What is written with each decision: its outcomes, the scores of its shadows.
        replace: Whether a file that is there is replaced.

    Raises:
        ParameterError: The file is there already, or the format or what is beside is unknown.
        DamagedArtifactError: A record is damaged.
        ServiceError: The file cannot be written.
    """
    _check(to, format, beside, replace=replace)
    draft = to.with_name(f".{to.name}.draft")
    with open_view(folder) as connection:
        try:
            said = connection.execute(
                f"COPY ({_question(format, beside)}) TO {_quoted(draft)} ({_OPTIONS[format]})",
                {
                    "since": -(1 << 62) if since is None else as_us(since),
                    "until": 1 << 62 if until is None else as_us(until),
                },
            ).fetchone()
            draft.replace(to)
        except (OSError, _duckdb_error()) as error:
            raise ServiceError(
                f"The decisions cannot be written to '{to}': {str(error).splitlines()[0]}",
                remedy="Look at the disk and at who may write there, then export again.",
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    return Exported(path=to, decisions=said[0] if said else 0, bytes=to.stat().st_size)


def _check(to: Path, format: str, beside: Collection[str], *, replace: bool) -> None:  # noqa: A002
    if format not in _OPTIONS:
        raise UnknownNameError.of(
            "format of an export", format, get_args(Format), remedy="Choose one of them."
        )
    for name in beside:
        if name not in _BESIDE:
            raise UnknownNameError.of(
                "thing to export with a decision", name, _BESIDE, remedy="Choose some of them."
            )
    if to.exists() and not replace:
        raise ParameterError(
            f"'{to}' is there already.", remedy="Choose another file, or replace it."
        )


def _question(format: Format, beside: Collection[str]) -> str:  # noqa: A002
    plain = format != "parquet"
    changed = []
    if plain:
        changed = [f"{_MOMENT.format(n)} AS {n}" for n in ("decided_at", "logged")]
        changed += [f"{name}::JSON AS {name}" for name in ("answer", "more")]
    if format == "csv":
        changed += [f"to_json({name}) AS {name}" for name in (*_LISTS, *_MAPS)]
    columns = "d.* EXCLUDE (segment, place)"
    if changed:
        columns += f" REPLACE ({', '.join(changed)})"
    joined = ""
    known_at = _MOMENT.format("known_at") if plain else "known_at"
    for name in sorted(beside):
        view, listed = _BESIDE[name]
        listed = listed.format(known_at=known_at)
        grouped = f"SELECT id, {listed} AS {name} FROM {view} GROUP BY id"  # noqa: S608  ours
        joined += f" LEFT JOIN ({grouped}) USING (id)"
        found = f"coalesce({name}, [])"
        columns += f", {f'to_json({found})' if format == 'csv' else found} AS {name}"
    # moments are compared as whole microseconds: that needs no time zone database
    return (
        f"SELECT {columns} FROM decisions d{joined} "  # noqa: S608  nothing in it was given
        "WHERE epoch_us(d.decided_at) >= $since "
        "AND epoch_us(d.decided_at) < $until ORDER BY epoch_us(d.decided_at), d.id"
    )


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _duckdb_error() -> type[Exception]:
    import duckdb

    error: type[Exception] = duckdb.Error
    return error
