"""This module is `headrace run --node`: one node of a past run, on its recorded inputs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from flows._command import _screen
from headrace.errors import ParameterError

if TYPE_CHECKING:
    from headrace.artifacts import Artifact
    from headrace.execution.again import Again, CalledAgain

_ROWS = 5


def run_node(ref: str, *, flow: str | None, debugger: bool, as_json: bool) -> None:
    """Call one node of a past run again and say whether it gives what it gave.

    Args:
        ref: `run:<id>/<node>`, `latest:<flow>/<node>`, or a run of which one node has failed; with
            `flow` also a node alone, of its latest run.
        flow: Name of the flow, or `path/to/file.py[:flow]`; None looks for the run's flow.
        debugger: Stop at the first line of the body, and again where it fails.
        as_json: Print JSON.

    Raises:
        ParameterError: It cannot be called again, or a debugger has no terminal.
        Exit: With 1 when the body fails or the debugger is left.
    """
    from flows._catalog import flow_named
    from flows._command._past import flow_of
    from headrace.execution import Session
    from headrace.execution.again import call_again, prepare_again
    from headrace.execution.recorded import recorded_node

    if debugger:
        _require_terminal(as_json)
    session = Session.of_settings()
    name = None if flow is None else flow_named(flow).name
    recorded = recorded_node(session.lineage, ref, flow=name)
    found = flow_of(session.lineage.run(recorded.run_id), flow)
    again = prepare_again(recorded, found, session=session)
    if not as_json:
        _write_what_is_called(again)
    called: CalledAgain | None
    if debugger:
        from flows._command import _debugger

        called = _debugger.debugged(again, roots=session.roots)
    else:
        called = call_again(again, tell=None if as_json else _screen.write)
    if called is None:
        raise typer.Exit(1)
    if as_json:
        _screen.write_json(_as_json(again, called))
    else:
        _write_what_came(again, called, debugged=debugger)
    if called.error is not None:
        raise typer.Exit(1)


def _require_terminal(as_json: bool) -> None:
    if as_json:
        raise ParameterError(
            "`--debugger` and `--json` do not go together: one is for a person, one for a script.",
            remedy="leave out one of them.",
        )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ParameterError(
            "`--debugger` needs a terminal to type at, and there is none.",
            remedy="run it in a terminal, or without `--debugger` to see the traceback.",
        )


def _write_what_is_called(again: Again) -> None:
    recorded = again.recorded
    _screen.write(
        f"{recorded.node} of run:{again.run.id[:12]} ('{again.run.flow}'), {recorded.state} at "
        f"{recorded.started_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if recorded.state == "failed":
        _screen.write(f"  it failed with: {recorded.message}")
    for edge in recorded.inputs:
        _screen.write(f"  takes {edge.name}: {edge.kind} artifact:{edge.digest[:12]}")
    for clause in again.changes:
        _screen.write(f"  not as it was: {clause}")
    for sentence in again.remarks:
        _screen.write(f"  {sentence}")
    _screen.write()


def _write_what_came(again: Again, called: CalledAgain, *, debugged: bool) -> None:
    # under the debugger it lasts as long as the person takes
    took = "" if debugged else f" {called.seconds:.1f} s."
    if called.error is not None:
        if not debugged:
            _screen.write(traceback_of_body(again, called.error))
        _screen.write(f"It fails: {type(called.error).__name__}.{took} Nothing was recorded.")
        return
    for name, artifact in called.outputs.items():
        _screen.write(f"{name}: {artifact.kind} {called.digests[name][:12]}")
        for line in _beginning(artifact):
            _screen.write(f"  {line}")
    _screen.write()
    _screen.write(f"{verdict(again, called)}{took} Nothing was recorded.")


def verdict(again: Again, called: CalledAgain) -> str:
    """Return in a sentence how a result compares with the recorded one."""
    shown = f"run:{again.run.id[:12]}"
    if called.same is None:
        return f"It gives a result now; in {shown} it gave none."
    if called.same:
        return f"The same digest{'s' if len(called.digests) > 1 else ''} as in {shown}."
    names = sorted({*called.digests, *called.recorded})
    differing = [n for n in names if called.digests.get(n) != called.recorded.get(n)]
    said = f"Different from {shown}: {', '.join(differing)}."
    if again.changes:
        return f"{said} Since then {'; '.join(again.changes)}."
    if not again.operator.options.deterministic:
        return f"{said} It is declared `deterministic=False`."
    return f"{said} Nothing of its key has changed, so the body is not deterministic."


def traceback_of_body(again: Again, error: BaseException) -> str:
    """Return the traceback from the body's own frame on; the error alone if it was not reached."""
    import traceback

    from headrace.execution.again import frames_of_body

    frames = frames_of_body(again, error)
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")


def _beginning(artifact: Artifact) -> list[str]:
    """Return the first lines of what an artifact holds."""
    import json

    from headrace.artifacts import Document, Tabular

    if isinstance(artifact, Tabular):
        shown: str = artifact.frame().head(_ROWS).to_string(index=False, max_colwidth=40)
        more = artifact.rows - _ROWS
        return [*shown.splitlines(), *([f"… and {more:,} more rows"] if more > 0 else [])]
    if isinstance(artifact, Document):
        lines = json.dumps(artifact.document, indent=1, ensure_ascii=False).splitlines()
        return lines if len(lines) <= 4 * _ROWS else [*lines[: 4 * _ROWS], "…"]
    return []


def _as_json(again: Again, called: CalledAgain) -> dict[str, Any]:
    error = called.error
    return {
        "run": f"run:{again.run.id}",
        "flow": again.run.flow,
        "node": again.recorded.node,
        "recorded_state": again.recorded.state,
        "state": "executed" if error is None else "failed",
        "message": verdict(again, called) if error is None else str(error),
        "error": None if error is None else type(error).__name__,
        "traceback": None if error is None else traceback_of_body(again, error),
        "seconds": round(called.seconds, 3),
        "same": called.same,
        "outputs": {
            name: {
                "kind": artifact.kind,
                "digest": called.digests[name],
                "recorded": called.recorded.get(name),
            }
            for name, artifact in called.outputs.items()
        },
        "changes": list(again.changes),
        "remarks": list(again.remarks),
    }
