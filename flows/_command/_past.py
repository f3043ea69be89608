"""This module finds what commands about past runs name: the run, and its flow as it is today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from headrace.lineage import Lineage, RunRecord
    from headrace.workflow import Flow


def run_named(lineage: Lineage, ref: str) -> RunRecord:
    """Return the run that a reference names: `run:3f2a`, `latest:<flow>`, or a bare id.

    Raises:
        UnknownNameError: There is no such run.
        ParameterError: It names a node or an artifact.
    """
    from headrace.lineage import InvocationRecord, RunRecord

    found = lineage.resolve(ref)
    if isinstance(found, RunRecord):
        return found
    if isinstance(found, InvocationRecord):
        run = f"run:{found.run_id[:12]}"
        raise ParameterError(
            f"'{ref}' names the node '{found.node}' of {run}, not a run.",
            remedy=f"name the run: {run}.",
        )
    raise ParameterError(
        f"'{ref}' names a {found.kind}, not a run.",
        remedy="name a run, as `headrace runs` lists them.",
    )


def flow_of(run: RunRecord, where: str | None) -> Flow[..., Any]:
    """Return a past run's flow as it is today.

    Args:
        run: The run.
        where: `path/to/file.py[:flow]` or the flow's name, if it is said; else it is looked for
            under the roots.

    Raises:
        UnknownNameError: There is no such flow; the message offers the nearest.
        ParameterError: `where` holds another flow.
    """
    from flows._catalog import flow_named

    shown = f"run:{run.id[:12]}"
    if where is not None:
        found = flow_named(where)
        if found.name != run.flow:
            raise ParameterError(
                f"{shown} is a run of '{run.flow}', and '{where}' is the flow '{found.name}'.",
                remedy=f"name the flow '{run.flow}', or the file that it lies in.",
            )
        return found
    try:
        return flow_named(run.flow)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{shown} is a run of '{run.flow}'. {error.problem}",
            remedy="name the file that it lies in if that is outside the roots of headrace.toml "
            "(`--flow path/to/file.py`), or run another flow; `headrace flows` lists them.",
        ) from error
