"""This module gives back what a past run made."""

from __future__ import annotations

from headrace.artifacts import Artifact
from headrace.errors import ParameterError

_WAS = {"failed": "has failed", "skipped": "was skipped"}


def load(reference: str) -> Artifact:
    """Return a past artifact: `load("run:1a2b/label_by_outcome").frame()` in a notebook.

    Args:
        reference: "run:<id>/<node>", "run:<id>/<node>.<output>", "latest:<flow>/<node>" or
            "artifact:<digest>"; any unique beginning of an id or digest will do.

    Returns:
        The artifact; its data is read and verified when it is asked for.

    Raises:
        UnknownNameError: There is no such run, node or artifact.
        ParameterError: The reference names a run, or a node with several outputs.
        DamagedArtifactError: What is stored is not what was written.
    """
    from headrace.execution.session import Session
    from headrace.execution.stored import get, outputs_of
    from headrace.lineage.records import ArtifactRecord, InvocationRecord

    session = Session.of_settings()
    found = session.lineage.resolve(reference)
    if isinstance(found, ArtifactRecord):
        return get(session.store, found)
    if isinstance(found, InvocationRecord):
        outputs = outputs_of(found, session.lineage, session.store)
        if found.state in ("failed", "skipped"):
            raise ParameterError(
                f"'{reference}' made nothing; it {_WAS[found.state]}: {found.message}",
                remedy="Run the flow again, and load from the run that completes.",
            )
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        names = ", ".join(f"'{reference}.{name}'" for name in outputs) or "none"
        raise ParameterError(
            f"'{reference}' has {len(outputs)} outputs: {names}.", remedy="Name one of them."
        )
    raise ParameterError(
        f"'{reference}' is a run, not an artifact.",
        remedy=f"Name a node of it, as `headrace runs` and `headrace explain {reference}` show.",
    )
