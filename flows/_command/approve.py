"""This module is `headrace approve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows._command import _screen
from headrace.errors import ParameterError

if TYPE_CHECKING:
    from headrace.lineage import Approval


def approve(
    run: Annotated[str, typer.Argument(help="A run that waits: run:<id> or latest:<flow>.")],
    node: Annotated[
        str | None, typer.Argument(help="The node that asks, where several do.")
    ] = None,
    *,
    refuse: Annotated[bool, typer.Option("--refuse", help="Answer no.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.")] = "",
    show: Annotated[
        bool, typer.Option("--show", help="Only show what is asked and was answered.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Answer what a paused run asks; you are recorded as who did (HEADRACE_ACTOR).

    A run that a server started goes on by itself; take up any other with `headrace resume`.

    Example: headrace approve latest:flight_delay --note "checked the slices"
    """
    from headrace.execution import Session
    from headrace.lineage import RunRecord

    lineage = Session.of_settings().lineage
    found = lineage.resolve(run)
    if not isinstance(found, RunRecord):
        raise ParameterError(f"'{run}' is no run.", remedy="Name one, as `headrace runs` lists it.")
    asked = lineage.approvals(found.id)
    if show:
        _write(asked, as_json)
        return
    question = _chosen(asked, node, f"run:{found.id[:12]}")
    from flows._answering import give_answer

    answered, goes_on = give_answer(lineage, found, question, approved=not refuse, note=note)
    _write([answered], as_json)
    if not as_json and not goes_on:
        _screen.write(f"Go on with `headrace resume run:{found.id[:12]}`.")


def _chosen(asked: list[Approval], node: str | None, run: str) -> Approval:
    from headrace.errors import UnknownNameError

    waiting = [a for a in asked if a.approved is None]
    if node is not None:
        for each in asked:
            if each.node == node:
                return each
        raise UnknownNameError.of(
            f"question of {run} at the node",
            node,
            [a.node for a in asked],
            remedy=f"`headrace approve {run} --show` lists them.",
        )
    if len(waiting) == 1:
        return waiting[0]
    if not waiting:
        raise ParameterError(
            f"{run} waits for no answer.",
            remedy="`headrace runs` shows which runs are paused.",
        )
    names = ", ".join(f"'{a.node}'" for a in waiting)
    raise ParameterError(
        f"{run} asks at several nodes: {names}.",
        remedy=f"Name one, as in `headrace approve {run} {waiting[0].node}`.",
    )


def _write(asked: list[Approval], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        _screen.write_json([asdict(each) for each in asked])
        return
    for each in asked:
        if each.approved is None:
            answer = "no answer yet"
        else:
            verdict = "approved" if each.approved else "refused"
            answer = f"{verdict} by {each.actor}" + (f": {each.note}" if each.note else "")
        _screen.write(f"{each.node}: {answer}")
        for line in each.question.splitlines():
            _screen.write(f"    {line}".rstrip())
