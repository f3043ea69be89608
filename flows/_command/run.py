"""This module is `headrace run`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen
from headrace.errors import ParameterError

if TYPE_CHECKING:
    from headrace.workflow import Flow

_Flow = Annotated[str | None, typer.Argument(help="Name of a flow, or path/to/file.py[:flow].")]
_Parameter = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", help="A parameter: name=value.")
]
_Backfill = Annotated[
    str | None,
    typer.Option(
        "--backfill",
        help="One run for each partition of a range that is not done: 2013-01..2013-03.",
    ),
]
_Again = Annotated[bool, typer.Option("--again", help="With --backfill: run what is done, too.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --backfill: say what would run, and why.")
]
_Node = Annotated[
    str | None,
    typer.Option(
        "--node",
        help="Call one node of a past run again on its recorded inputs: run:<id>/<node>, or with "
        "FLOW a node of its latest run.",
    ),
]
_Debugger = Annotated[
    bool,
    typer.Option("--debugger", help="With --node: stop inside the body, and where it fails."),
]
_Local = Annotated[
    bool, typer.Option("--local", help="Run in this process, without Prefect and MLflow.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON at the end.")]

_BESIDE_A_NODE = "; a node is called on the inputs that its run recorded."
_EXAMPLES = {
    "--node": "`headrace run --node run:<id>/<node>",
    "--backfill": "`headrace run FLOW --backfill 2013-01..2013-03",
}


def run(
    flow: _Flow = None,
    *,
    parameter: _Parameter = None,
    backfill: _Backfill = None,
    again: _Again = False,
    dry_run: _DryRun = False,
    node: _Node = None,
    debugger: _Debugger = False,
    local: _Local = False,
    as_json: _Json = False,
) -> None:
    """Run a flow and show how it goes; what is known already is reused.

    The run is seen in the Prefect UI and logged in MLflow. Exits with 1 if a node failed. With
    --backfill there is a run for each partition that is not done; one that fails stops no other.

    Example: headrace run flight_delay -p late_minutes=30
    """
    _refuse_what_does_not_fit(
        {"--node": node, "--backfill": backfill},
        {
            "--node": {"--debugger": debugger},
            "--backfill": {"--again": again, "--dry-run": dry_run},
        },
        without_node={"-p": parameter, "--local": local},
    )
    if node is not None:
        from flows._command._node import run_node

        run_node(node, flow=flow, debugger=debugger, as_json=as_json)
        return
    if flow is None:
        raise ParameterError(
            "Which flow is to run is not said.",
            remedy="Name one, as in `headrace run flight_delay`; `headrace flows` lists them.",
        )
    from flows._catalog import flow_named
    from flows._command._parameters import read_parameters

    found = flow_named(flow)
    arguments = read_parameters(parameter or [])
    if backfill is not None:
        from flows._command._backfill import run_backfill

        run_backfill(
            found,
            backfill,
            arguments,
            again=again,
            dry_run=dry_run,
            local=local,
            as_json=as_json,
        )
        return
    from flows._command._outcome import only_json, started
    from flows._command._progress import Progress
    from flows._command._summary import show_outcome

    with only_json(as_json), _screen.activity() as shown:
        if not as_json:
            _tell_of_changed_schemas(found, arguments, shown)
        finished = started(found, arguments, (Progress(shown, quiet=as_json),), local=local)
    show_outcome(finished, as_json=as_json)


def _tell_of_changed_schemas(
    flow: Flow[..., Any], arguments: Mapping[str, Any], shown: _screen.Activity
) -> None:
    """Say before anything runs which columns changed since the last run, and whom that affects."""
    from flows._schema_changes import changes_before, describe
    from headrace.execution import Session

    changes = changes_before(flow.plan_with(arguments), Session.of_settings())
    for line in [] if changes is None else describe(changes):
        shown.line(line)


def _refuse_what_does_not_fit(
    leading: Mapping[str, str | None],
    helping: Mapping[str, Mapping[str, bool]],
    *,
    without_node: Mapping[str, object],
) -> None:
    """Refuse options that do not go together.

    Args:
        leading: The options that say what sort of run it is.
        helping: For each of them the options that mean something beside it alone.
        without_node: The options that mean nothing beside `--node`.
    """
    given = [name for name, value in leading.items() if value is not None]
    apart = [name for name, value in without_node.items() if value and "--node" in given]
    clashing = [*given, *apart]
    if len(clashing) > 1:
        raise ParameterError(
            f"`{clashing[0]}` and `{clashing[1]}` do not go together.",
            remedy=f"Leave out one of them{_BESIDE_A_NODE if '--node' in given else '.'}",
        )
    for leader, helpers in helping.items():
        for name, value in helpers.items():
            if value and leader not in given:
                raise ParameterError(
                    f"`{name}` goes with `{leader}`.", remedy=f"Write {_EXAMPLES[leader]} {name}`."
                )
