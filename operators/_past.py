"""This module lets a parameter name an artifact that an earlier run made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from headrace.calls import Finding, PlannedCall
from headrace.errors import HeadraceError
from headrace.grants import External

if TYPE_CHECKING:
    from headrace.artifacts import Tabular
    from headrace.schemas import TableSchema

_PREFIX = "artifact:"


class _Resolved:
    """This makes a reference "artifact:<digest>", so that "latest:…" is settled in the plan."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def resolved(value: object) -> str:
            if not isinstance(value, str):
                raise PydanticCustomError("artifact", "a reference to an artifact is needed")
            if value.startswith(_PREFIX) and len(value) == len(_PREFIX) + 64:
                return value
            try:
                digest: str = _load(value).digest
            except HeadraceError as error:
                reason = error.problem.rstrip(".")
                raise PydanticCustomError("artifact", "{reason}", {"reason": reason}) from error
            return f"{_PREFIX}{digest}"

        return core_schema.no_info_plain_validator_function(resolved)


PastArtifact = Annotated[str, _Resolved()]


def reads(parameters: Mapping[str, Any]) -> Sequence[External]:
    """Return the artifact as a piece of the world outside the run; its digest is its content."""
    reference = str(parameters["artifact"])
    digest = reference.removeprefix(_PREFIX)
    return [External(name=reference, fingerprint=lambda: digest)]


def past_schema(call: PlannedCall) -> TableSchema | None:
    """Return the columns of the artifact."""
    try:
        found: TableSchema | None = _load(call.parameters["artifact"]).schema
    except (HeadraceError, AttributeError):
        return None
    return found


def past_rows(call: PlannedCall) -> Sequence[Finding]:
    """Find that the artifact does not exist, or has no rows."""
    reference = call.parameters["artifact"]
    try:
        found = _load(reference)
    except HeadraceError as error:
        return [Finding(problem=error.problem, remedy=error.remedy, rule="past artifact")]
    if hasattr(found, "arrow"):
        return []
    return [
        Finding(
            problem=f"'{reference}' is of kind {found.kind}, which has no rows.",
            remedy="Name a table or labels.",
            rule="past artifact",
        )
    ]


def rows_of(reference: str) -> Tabular[Any]:
    """Return the artifact, to be read."""
    found: Tabular[Any] = _load(reference)
    return found


def _load(reference: str) -> Any:
    from headrace.loading import load

    return load(reference)
