"""This module compares a run with the past run that it repeats: parameters, results, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows._command import _screen
from flows._command._runs_text import figure, value_in_a_line

if TYPE_CHECKING:
    from headrace.lineage import InvocationRecord, Lineage, RunRecord

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Compared:
    """This is a past run beside the one that repeats it.

    Args:
        then: Id of the past run.
        now: Id of the other one.
        parameters: Name to the values then and now, where they differ.
        states: Node to its states then and now; None where the run has no such node.
        results: Node to "the same", "different", "none then", "none now", or "none".
        evaluations: Node to metric to the values then and now.
    """

    then: str
    now: str
    parameters: Mapping[str, tuple[Any, Any]]
    states: Mapping[str, tuple[str | None, str | None]]
    results: Mapping[str, str]
    evaluations: Mapping[str, Mapping[str, tuple[float | None, float | None]]]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data for scripts."""
        return {
            "with": f"run:{self.then}",
            "parameters": {k: _pair(*both) for k, both in self.parameters.items()},
            "nodes": {
                node: {**_pair(*states), "result": self.results[node]}
                for node, states in self.states.items()
            },
            "evaluations": {
                node: {name: _pair(*both) for name, both in metrics.items()}
                for node, metrics in self.evaluations.items()
            },
        }


def compared(lineage: Lineage, then: RunRecord, now: RunRecord) -> Compared:
    """Return two recorded runs side by side."""
    from headrace.lineage.search import metrics_of

    before = {each.node: each for each in lineage.invocations(then.id)}
    after = {each.node: each for each in lineage.invocations(now.id)}
    nodes = list(dict.fromkeys([*after, *before]))
    measured = metrics_of(lineage, then.id), metrics_of(lineage, now.id)
    evaluations = {
        node: {
            name: (measured[0].get(node, {}).get(name), measured[1].get(node, {}).get(name))
            for name in dict.fromkeys([*measured[0].get(node, {}), *measured[1].get(node, {})])
        }
        for node in dict.fromkeys([*measured[0], *measured[1]])
    }
    return Compared(
        then=then.id,
        now=now.id,
        parameters=changed(then.parameters, now.parameters),
        states={node: (_state(before.get(node)), _state(after.get(node))) for node in nodes},
        results={node: _result(before.get(node), after.get(node)) for node in nodes},
        evaluations=evaluations,
    )


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the parameters that differ, with both values; one that is missing has None.

    Where both are mappings it is said what differs inside: `pot.litres`.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*then, *now]):
        was, is_now = then.get(name, _ABSENT), now.get(name, _ABSENT)
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            found |= {f"{name}.{inner}": both for inner, both in changed(was, is_now).items()}
        elif was != is_now:
            found[name] = (then.get(name), now.get(name))
    return found


def write_changed(parameters: Mapping[str, tuple[Any, Any]], then: str) -> None:
    """Write which parameters differ from those of a past run."""
    if not parameters:
        _screen.write(f"No parameter differs from run:{then[:12]}.")
        return
    rows = [
        [name, value_in_a_line(was), value_in_a_line(is_now)]
        for name, (was, is_now) in parameters.items()
    ]
    _screen.write_table(["parameter", f"run:{then[:12]}", "now"], rows)


def write_compared(found: Compared) -> None:
    """Write where two runs differ: in what came out of nodes, and in what evaluations measured."""
    short = f"run:{found.then[:12]}"
    differing = {n: result for n, result in found.results.items() if result != "the same"}
    same = len(found.results) - len(differing)
    _screen.write()
    _screen.write(f"Beside {short}: {same} of {len(found.results)} nodes give the same.")
    if differing:
        rows = [[node, *found.states[node], result] for node, result in differing.items()]
        _screen.write_table(["node", short, "now", "result"], rows)
    rows = [
        [node, name, figure(was), figure(now), _difference(was, now)]
        for node, metrics in found.evaluations.items()
        for name, (was, now) in metrics.items()
    ]
    if rows:
        _screen.write()
        _screen.write_table(["evaluation", "metric", short, "now", "difference"], rows)


def _pair(then: Any, now: Any) -> dict[str, Any]:
    return {"then": then, "now": now}


def _state(invocation: InvocationRecord | None) -> str | None:
    return None if invocation is None else invocation.state


def _result(then: InvocationRecord | None, now: InvocationRecord | None) -> str:
    made = [
        None if each is None else {edge.name: edge.digest for edge in each.outputs}
        for each in (then, now)
    ]
    if not made[0] and not made[1]:
        return "the same" if _state(then) == _state(now) else "none"
    if not made[0] or not made[1]:
        return "none then" if not made[0] else "none now"
    return "the same" if made[0] == made[1] else "different"


def _difference(then: float | None, now: float | None) -> str:
    return "" if then is None or now is None else f"{now - then:+.4f}"
