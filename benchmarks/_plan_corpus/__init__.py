"""This package holds flows that a plan must refuse, each with one mistake, and flows it must not.

A seeded flow names the rule it breaks and a phrase of the message, and marks its line with the
comment `mistake`; `judged` says whether the plan found exactly that.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import Flow
from headrace.errors import HeadraceError

SEEDED = ("edges", "calls", "bodies", "bundled", "composed")
CORRECT = ("correct", "correct_bundled", "correct_odd")


@dataclass(frozen=True, kw_only=True)
class Case:
    """This is a flow of the corpus; `rule` and `says` are empty where nothing is wrong with it."""

    flow: Flow[..., Any]
    rule: str = ""
    says: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    shows_in: Flow[..., Any] | None = None

    @property
    def name(self) -> str:
        """Module and name of the flow."""
        return f"{self.flow.module.rpartition('.')[2]}.{self.flow.name}"

    def seeded_line(self) -> str:
        """Return file and line of the mistake, as a plan writes them."""
        body = (self.shows_in or self.flow).body
        lines, first = inspect.getsourcelines(body)
        at = next(i for i, line in enumerate(lines) if "# mistake" in line)
        file = Path(inspect.getsourcefile(body) or "")
        shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
        return f"{shown}:{first + at}"


_cases: list[Case] = []


def seeded(
    rule: str, says: str, *, shows_in: Flow[..., Any] | None = None, **arguments: Any
) -> Callable[[Flow[..., Any]], Flow[..., Any]]:
    """Put a flow with one mistake into the corpus.

    Args:
        rule: The rule that the plan must name; "" for wrong flow parameters, which need no plan.
        says: A phrase that the message must hold.
        shows_in: The subflow whose line the plan must name, where it is not the flow's own.
        **arguments: Flow parameters to plan with.
    """

    def add(flow: Flow[..., Any]) -> Flow[..., Any]:
        _cases.append(Case(flow=flow, rule=rule, says=says, arguments=arguments, shows_in=shows_in))
        return flow

    return add


def right(flow: Flow[..., Any]) -> Flow[..., Any]:
    """Put a flow with which nothing is wrong into the corpus."""
    _cases.append(Case(flow=flow))
    return flow


def cases(modules: tuple[str, ...]) -> list[Case]:
    """Return the flows of modules of this package, in their order."""
    names = [importlib.import_module(f"{__name__}.{module}").__name__ for module in modules]
    return [case for case in _cases if case.flow.module in names]


def judged(case: Case) -> str:
    """Return "" where the plan found what is wrong and nothing else, or else what it said."""
    return "; ".join(_complaints(case))


def _complaints(case: Case) -> Iterator[str]:
    try:
        plan = case.flow.plan_with(case.arguments)
    except HeadraceError as error:  # wrong flow parameters: refused before the body is read
        if case.rule or case.says not in error.problem or not error.remedy:
            yield f"refused: {error}"
        return
    if not case.says:
        yield from map(str, plan.problems)
        return
    if len(plan.problems) != 1:
        yield f"{len(plan.problems)} problems: {'; '.join(map(str, plan.problems))}"
        return
    problem = plan.problems[0]
    if problem.rule != case.rule:
        yield f"rule '{problem.rule}' instead of '{case.rule}'"
    if case.says not in problem.problem:
        yield f"the message lacks '{case.says}': {problem.problem}"
    if not problem.remedy.endswith("."):
        yield f"no remedy: '{problem.remedy}'"
    if str(problem.location) != case.seeded_line():
        yield f"location {problem.location} instead of {case.seeded_line()}"
