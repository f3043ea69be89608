"""This module finds out before anything runs whether the services that a plan needs are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import ServiceError

if TYPE_CHECKING:
    from headrace.calls import Finding
    from headrace.plan import Plan


def require_needs(plan: Plan) -> None:
    """Refuse a plan with a node that would fail for want of a service.

    A node that runs only if a report turns out so is not asked: it may never need anything.

    Raises:
        ServiceError: A service is away; the message names the nodes, and the first service's
            remedy.
    """
    found: dict[str, tuple[Finding, list[str]]] = {}
    for node in plan.nodes:
        operator = node.operator
        if operator is None or operator.options.needs is None or node.conditions:
            continue
        lacking = operator.options.needs(node.parameters)
        if lacking is not None:
            found.setdefault(lacking.problem, (lacking, []))[1].append(node.path)
    if not found:
        return
    said = [f"{_quoted(paths)}: {problem}" for problem, (_, paths) in found.items()]
    first, _ = next(iter(found.values()))
    raise ServiceError(f"{' '.join(said)} Nothing has run.", remedy=first.remedy)


def _quoted(paths: list[str]) -> str:
    return ", ".join(f"'{path}'" for path in paths)
