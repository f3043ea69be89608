"""This module is `headrace features skew`: were models given what training would have seen?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from collections.abc import Mapping


def skew(
    endpoint: Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")],
    *,
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="How many decisions to look at.")
    ] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Which ones.")] = 0,
    at_least: Annotated[
        float,
        typer.Option("--at-least", min=0, max=1, help="The share that every feature must reach."),
    ] = 0.999,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Compare what an endpoint served with the offline join for the same moments.

    The join is made of what is published of the views. The exit code is 1 where they differ.

    Example: headrace features skew flight_delay --sample 1000
    """
    from serving.skew import skew_of

    found = skew_of(endpoint, sample=sample, seed=seed, at_least=at_least).document
    if as_json:
        _screen.write_json(found)
    else:
        _write(found)
    if not found["passed"]:
        raise typer.Exit(1)


def _write(found: Mapping[str, Any]) -> None:
    _screen.write(f"{found['decisions']:,} decisions of '{found['endpoint']}': {found['told']}")
    rows = [
        (
            f"{each['view']}:{each['feature']}",
            f"{each['compared']:,}",
            "" if each["share"] is None else f"{each['share']:.3%}",
        )
        for each in found["features"]
    ]
    if rows:
        _screen.write()
        _screen.write_table(("feature", "compared", "equal"), rows)
    for each in found["features"]:
        for one in each["differing"]:
            entity = ", ".join(f"{key} {value}" for key, value in one["entity"].items())
            _screen.write(
                f"{each['view']}:{each['feature']} of {entity or 'everybody'} at {one['at']}: "
                f"served {_shown(one['served'])}, offline {_shown(one['offline'])} "
                f"(decision {one['decision']})"
            )
    for reference in found["unpublished"]:
        _screen.write(f"Nothing is published of '{reference}', so it was not compared.")


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)
