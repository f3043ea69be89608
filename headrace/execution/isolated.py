"""This module calls a body in a process of its own, which can really be stopped."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.artifacts import Artifact, Partitions
from headrace.errors import DefinitionError, ServiceError
from headrace.execution.channel import Telling, listening
from headrace.execution.frames import told_of_body
from headrace.execution.here import call_here
from headrace.execution.stored import get, put
from headrace.lineage.records import ArtifactRecord
from headrace.recording import Invocation
from headrace.settings import inherited_environment, settings

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.operation import Operator
    from headrace.plan import Node
    from headrace.store import Store

# What stands for artifacts between processes: one, the items of a list, or partitions by name.
Crossing: TypeAlias = ArtifactRecord | list[ArtifactRecord] | Mapping[str, ArtifactRecord]


@dataclass(frozen=True, kw_only=True)
class Errand:
    """This is what the other process is asked to do; it crosses as a file.

    Args:
        node: The node, with its operator by name.
        inputs: Input name to what crosses for it.
        grants: What external data the flow may read.
        invocation: What the body may know of where it runs.
        store: Folder of the store.
    """

    node: Node
    inputs: Mapping[str, Crossing]
    grants: tuple[str, ...]
    invocation: Invocation
    store: str


def call_in_process(
    node: Node,
    operator: Operator[..., Any],
    inputs: Mapping[str, Artifact | list[Artifact]],
    *,
    grants: Sequence[str],
    invocation: Invocation,
    session: Session,
) -> dict[str, Artifact]:
    """Return the outputs of a node's body, run in a process that is killed at the timeout.

    Raises:
        ServiceError: The timeout passed, or the process died.
        DefinitionError: The operator cannot be imported by another process.
        Exception: What the body raised.
    """
    if operator.module == "__main__":
        raise DefinitionError(
            f"Operator '{operator.name}' has a timeout, so it runs in a process of its own, which "
            "cannot import it from a notebook or script.",
            remedy="Move it into a module of a package, or leave out the timeout.",
        )
    with tempfile.TemporaryDirectory(prefix="headrace-errand-") as folder:
        errand, answer = Path(folder, "errand"), Path(folder, "answer")
        root = getattr(session.store, "root", None)
        asked = Errand(
            node=node,
            inputs={name: _kept(value, session.store) for name, value in inputs.items()},
            grants=tuple(grants),
            invocation=replace(invocation, tell=None, announce=None, ask=None),  # see channel
            store=str(root),
        )
        errand.write_bytes(pickle.dumps(asked))
        command = [sys.executable, "-m", "headrace.execution.child", str(errand), str(answer)]
        with listening(invocation) as pipe:
            code = _ended(operator, [*command, str(pipe)], pipe)
        if not answer.is_file():
            raise ServiceError(
                f"The process of operator '{operator.name}' ended with code {code} and no answer.",
                remedy="Look for a lack of memory or a crash of a library in its output above.",
            )
        made, error = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own child
    if error is not None:
        raise error
    return {name: _taken(crossed, session.store) for name, crossed in made.items()}


def _ended(operator: Operator[..., Any], command: Sequence[str], pipe: int) -> int:
    """Return the exit code of the process of a body, which is killed at the timeout."""
    timeout = operator.options.timeout
    process = subprocess.Popen(  # noqa: S603  our own module
        command,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        pass_fds=(pipe,),
        env=inherited_environment()
        | settings().as_environment()
        | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"Operator '{operator.name}' was stopped after {timeout:g} seconds, its timeout.",
            remedy="Give it more time with `timeout=`, or less to do.",
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _kept(value: Artifact | list[Artifact], store: Store) -> Crossing:
    """Put artifacts into the store and return the records that cross in their place."""
    if isinstance(value, Partitions):
        return {name: put(artifact, store)[1] for name, artifact in value.items.items()}
    if isinstance(value, list):
        return [put(artifact, store)[1] for artifact in value]
    return put(value, store)[1]


def _taken(crossed: Crossing, store: Store) -> Any:
    """Return the artifacts that records stand for."""
    if isinstance(crossed, Mapping):
        return Partitions.of({name: get(store, record) for name, record in crossed.items()})
    if isinstance(crossed, list):
        return [get(store, record) for record in crossed]
    return get(store, crossed)


def run_errand(errand: Errand, pipe: int) -> tuple[dict[str, Crossing], BaseException | None]:
    """Do what another process asks for; returns the records of what was made, or the error.

    Args:
        errand: What is asked.
        pipe: Where to tell, meanwhile, what the body says, prints and logs.
    """
    from headrace.store import LocalStore

    store = LocalStore(Path(errand.store))
    inputs = {name: _taken(crossed, store) for name, crossed in errand.inputs.items()}
    operator = errand.node.operator
    if operator is None:
        raise ValueError(errand.node.path)
    telling = Telling(pipe, operator.module)
    invocation = telling.over(errand.invocation)
    try:
        with telling.hearing():
            made = call_here(errand.node, operator, inputs, errand.grants, invocation)
        return {name: _kept(artifact, store) for name, artifact in made.items()}, None
    except (Exception, SystemExit) as error:  # it is raised again where it can be recorded
        error.add_note(f"In the process of its own:\n{told_of_body(error)}")
        return {}, error
