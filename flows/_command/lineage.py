"""This module is `headrace lineage`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen
from headrace.errors import ParameterError


def lineage(
    reference: Annotated[
        str, typer.Argument(help="run:<id>/<node>, latest:<flow>/<node>, or artifact:<digest>.")
    ],
    *,
    up: Annotated[bool, typer.Option("--up", help="What led to it (the default).")] = False,
    down: Annotated[bool, typer.Option("--down", help="What came of it.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Draw it as Mermaid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Follow an artifact to where it comes from, or to everything that came of it.

    Example: headrace lineage latest:flight_delay/select --up
    """
    from headrace.execution import Session
    from headrace.lineage import ArtifactRecord, InvocationRecord

    if up and down:
        raise ParameterError("Both --up and --down are given.", remedy="Choose one of them.")
    records = Session.of_settings().lineage
    found = records.resolve(reference)
    if isinstance(found, ArtifactRecord):
        start = found.digest
    elif isinstance(found, InvocationRecord):
        start = found.id
    else:
        raise ParameterError(
            f"'{reference}' is a run; lineage follows an artifact or a node.",
            remedy=f"Name a node of it: `headrace lineage {reference}/<node>`.",
        )
    graph = records.closure(start, "down" if down else "up")
    if as_json:
        _screen.write_json(graph.to_json())
    else:
        _screen.write(graph.mermaid() if mermaid else graph.table())
