"""This module works out a node's cache key from its code, schemas, parameters and inputs."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Tabular
from headrace.identity import Key, Memo, Part, identify, key_of
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.artifacts import Artifact
    from headrace.operation import Operator
    from headrace.plan import Node


class Keys:
    """This works out keys for the nodes of one plan; code is read once per plan."""

    def __init__(self, roots: Sequence[Path], run_id: str | None) -> None:
        self._roots = tuple(roots)
        self._memo = Memo()
        self._run_id = run_id
        # Reading code is pure Python, so threads gain nothing here, and a memo that is half
        # filled by one thread must not be read by another.
        self._reading = threading.Lock()

    def of(
        self,
        node: Node,
        inputs: Mapping[str, Sequence[tuple[str, Artifact]]],
    ) -> Key:
        """Return a node's key.

        Args:
            node: A node with an operator.
            inputs: Input name to the artifacts that arrive, each with its name among several.

        Returns:
            The key; its digest is None when the code cannot be seen through.
        """
        if node.operator is None:
            raise ValueError(node.path)
        with self._reading:
            return self._of(node, node.operator, inputs)

    def _of(
        self,
        node: Node,
        operator: Operator[..., Any],
        inputs: Mapping[str, Sequence[tuple[str, Artifact]]],
    ) -> Key:
        code = identify(operator.body, roots=self._roots, memo=self._memo)
        digests = {
            name: " ".join(f"{label}{a.kind}:{a.digest}" for label, a in arriving)
            for name, arriving in inputs.items()
        }
        unread = []
        if operator.options.reads is not None:
            for external in operator.options.reads(node.parameters):
                fingerprint = external.fingerprint()
                digests[external.name] = fingerprint or "read every time"
                if fingerprint is None and not operator.options.always:
                    unread.append(f"The content of '{external.name}' is known only by reading it.")
        if not operator.options.deterministic:
            digests["this run"] = self._run_id or "a run of its own"
        key = key_of(
            code,
            schemas=_schemas(node, inputs),
            parameters=node.parameters,
            inputs=digests,
            seed=node.seed,
            roots=self._roots,
            memo=self._memo,
        )
        if unread:
            return Key(digest=None, parts=key.parts, unresolved=(*key.unresolved, *unread))
        return key


def _schemas(node: Node, inputs: Mapping[str, Sequence[tuple[str, Artifact]]]) -> dict[str, str]:
    found: dict[str, str] = {}
    if node.operator is None:
        return found
    for slot in node.operator.signature.inputs:
        # a body sees exactly the declared columns, or all of them through a type variable
        schema = slot.schema if slot.variable is None else None
        for label, artifact in inputs.get(slot.name, ()):
            seen = schema
            if seen is None and isinstance(artifact, Tabular):
                seen = artifact.schema
            if seen is not None:
                found[f"{slot.name}{label}"] = json.dumps(seen.to_json(), sort_keys=True)
    for name, symbol in node.outputs.items():
        if symbol.schema is not None:
            found[f"output {name}"] = json.dumps(symbol.schema.to_json(), sort_keys=True)
    return found


def parts_as_json(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return key parts as the lineage records them."""
    return [{"kind": p.kind, "name": p.name, "digest": p.digest} for p in parts]


def parts_from_json(parts: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Rebuild key parts from the lineage."""
    return tuple(Part(kind=p["kind"], name=p["name"], digest=p["digest"]) for p in parts)


def promised_of(outputs: Mapping[str, Symbol]) -> dict[str, Any]:
    """Return output name to the promised schema, models left out."""
    from headrace.artifacts import kind_named

    return {
        name: symbol.schema
        for name, symbol in outputs.items()
        if issubclass(kind_named(symbol.kind), Tabular)
    }
