"""This module is `headrace rules thin`: old verdicts that held, and changed nothing, get short."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows._command import _screen


def thin(
    endpoint: Annotated[
        str | None, typer.Argument(help="The endpoint, such as flight_delay; all by default.")
    ] = None,
    *,
    days: Annotated[
        float, typer.Option("--days", min=1, help="Of how many of the last days all are kept.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say which it would be.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Drop the evidence of old verdicts that held: of each day the last one stays whole.

    What changed a route, what people acted or spoke on, and the first and last verdict of each
    comparison stay for ever. Of the others their line and the digest of their trace stay.

    Example: headrace rules thin flight_delay --days 90 --dry-run
    """
    from serving.endpoints import Endpoints
    from serving.rollout.thinning import thin as thin_verdicts

    endpoints = Endpoints()
    told: list[dict[str, Any]] = []
    for name in endpoints.names() if endpoint is None else [endpoint]:
        found, size = thin_verdicts(endpoints, name, keep_days=days, dry_run=dry_run)
        numbers = [line.number for line in found]
        told.append({"endpoint": name, "thinned": numbers, "bytes": size})
    if as_json:
        _screen.write_json({"dry_run": dry_run, "endpoints": told})
        return
    verb = "would be thinned" if dry_run else "were thinned"
    for each in told:
        count, size = len(each["thinned"]), each["bytes"]
        _screen.write(f"{each['endpoint']}: {count:,} verdicts {verb}, {size / 1e6:,.1f} MB.")
    if not told:
        _screen.write("There is no endpoint yet; a flow that serves a model makes one.")
