"""This module is `headrace explain`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows._command import _screen


def explain(
    reference: Annotated[
        str, typer.Argument(help="run:<id>, run:<id>/<node>, latest:<flow>, or artifact:<digest>.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say why a run's nodes were executed or reused, or where an artifact comes from.

    Example: headrace explain latest:flight_delay
    """
    from dataclasses import asdict

    from headrace.execution import Session
    from headrace.lineage import ArtifactRecord, InvocationRecord, RunRecord

    lineage = Session.of_settings().lineage
    found = lineage.resolve(reference)
    if as_json:
        shown: dict[str, Any] = asdict(found)
        if isinstance(found, RunRecord):
            shown["invocations"] = [asdict(i) for i in lineage.invocations(found.id)]
        _screen.write_json(shown)
    elif isinstance(found, RunRecord):
        _explain_run(found, lineage.invocations(found.id))
    elif isinstance(found, InvocationRecord):
        _explain_invocation(found)
    elif isinstance(found, ArtifactRecord):
        _explain_artifact(found, lineage)


def _explain_run(run: Any, invocations: list[Any]) -> None:
    ended = f", ended {run.ended_at:%Y-%m-%d %H:%M:%S}" if run.ended_at else ""
    _screen.write(f"run:{run.id} of '{run.flow}' by {run.actor or 'nobody named'}: {run.state}")
    _screen.write(f"  started {run.started_at:%Y-%m-%d %H:%M:%S} UTC{ended} from {run.origin}")
    parameters = ", ".join(f"{k}={v}" for k, v in run.parameters.items()) or "none"
    _screen.write(f"  parameters: {parameters}; seed {run.seed}")
    _screen.write()
    _screen.write_table(
        ["node", "state", "seconds", "why"],
        [[i.node, i.state, f"{i.seconds:.2f}", i.message.split("\n", 1)[0]] for i in invocations],
    )


def _explain_invocation(invocation: Any) -> None:
    _screen.write(f"{invocation.node} in run:{invocation.run_id[:12]}: {invocation.state}")
    _screen.write(f"  operator {invocation.operator}, {invocation.seconds:.2f} s")
    if invocation.message:
        _screen.write(f"  {invocation.message}")
    for title, edges in (("takes", invocation.inputs), ("makes", invocation.outputs)):
        for edge in edges:
            _screen.write(f"  {title} {edge.name}: {edge.kind} artifact:{edge.digest[:12]}")
    for reason in invocation.uncached_because:
        _screen.write(f"  cannot be cached: {reason}")
    if invocation.key:
        _screen.write(f"  key {invocation.key[:12]}, made of:")
        _screen.write_table(
            ["    kind", "name", "value"],
            [
                [f"    {p['kind']}", p["name"].removeprefix(f"{p['kind']} "), p["digest"][:40]]
                for p in invocation.key_parts
            ],
        )


def _explain_artifact(artifact: Any, lineage: Any) -> None:
    size = f", {artifact.rows:,} rows" if artifact.rows is not None else ""
    _screen.write(f"{artifact.kind} artifact:{artifact.digest}{size}, {artifact.bytes:,} bytes")
    _screen.write(f"  {artifact.uri}")
    for name, value in artifact.summary.items():
        _screen.write(f"  {name}: {value}")
    graph = lineage.closure(artifact.digest, "up")
    _screen.write()
    _screen.write(graph.table())
    if artifact.kind == "TestSet":
        looks = lineage.looks(artifact.digest)
        _screen.write()
        _screen.write(f"It was opened {len(looks)} time{'s' if len(looks) != 1 else ''}:")
        for look in looks:
            _screen.write(f"  {look.at:%Y-%m-%d %H:%M} by {look.node} in run:{look.run_id[:12]}")
