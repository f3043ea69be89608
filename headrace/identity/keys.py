"""This module identifies a function by all the code it reaches, and makes keys of that."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FunctionType

from headrace.identity import kernel
from headrace.identity.graph import Record, part_of, structure
from headrace.identity.installed import Installed, with_dependencies
from headrace.identity.memo import Memo, write_value
from headrace.identity.parts import STRUCTURE, CodeIdentity, Key, Part, decisive

# Part of every key: raised when keys are made differently, so that old ones are not mistaken.
_FORMAT = "headrace key 1"
_WORD = re.compile(r"[^\W\d]\w*")


def identify(
    function: Callable[..., object], *, roots: Sequence[Path] = (), memo: Memo | None = None
) -> CodeIdentity:
    """Say what a function is made of: its instructions and the first-party code it reaches.

    Args:
        function: An operator, a plain function, or anything that can be called.
        roots: Folders whose code is followed wherever they lie; what is not installed is anyway.
        memo: What the plan knows already; a new one when None.

    Returns:
        The parts. When `unresolved` has any sentence, results must not be reused.
    """
    memo = (memo or Memo()).with_roots(roots)
    body = getattr(function, "body", function)
    known = memo.identities.get(id(body))
    if known is None:
        known = memo.identities[id(body)] = _identify(body, memo)
        memo.keep(body)
    return known


def _identify(body: object, memo: Memo) -> CodeIdentity:
    if isinstance(body, FunctionType):
        root = memo.of_function(body)
        order = memo.from_here(root)
        artifacts = _annotated_kernel(body)
    else:
        root = Record(kind="constant", name=type(body).__qualname__)
        write_value(root, body, memo, f"the callable '{type(body).__qualname__}'")
        order, artifacts = memo.from_here(root), frozenset[str]()
    parts = [
        Part(kind="python", name="python", digest=_python()),
        Part(kind="code", name=STRUCTURE, digest=structure(order)),
        *_shown(order),
        *_packages(order, artifacts),
    ]
    return CodeIdentity(parts=_distinct(parts), unresolved=_complaints(order))


def key_of(
    code: CodeIdentity,
    *,
    schemas: Mapping[str, str],
    parameters: Mapping[str, object],
    inputs: Mapping[str, str],
    seed: int | None,
    roots: Sequence[Path] = (),
    memo: Memo | None = None,
) -> Key:
    """Make the exact-cache key of a node.

    Args:
        code: What `identify` said of its operator.
        schemas: Slot of the signature to the canonical JSON of its schema.
        parameters: Parameter values. The order of dictionaries in them does not count.
        inputs: Input name to the digest of its content.
        seed: The node's seed, None when it has none.
        roots: As for `identify`.
        memo: As for `identify`.

    Returns:
        The key; without a digest when anything in code or parameters cannot be seen through.
    """
    memo = (memo or Memo()).with_roots(roots)
    parts = list(code.parts)
    unresolved = list(code.unresolved)
    for name, value in sorted(parameters.items()):
        record = Record()
        write_value(record, value, memo, f"parameter '{name}'", ordered=False)
        order = memo.from_here(record)
        shown = record.shown if record.shown is not None else f"#{structure(order)}"
        parts.append(Part(kind="parameter", name=f"parameter {name}", digest=shown))
        parts += [*_shown(order), *_packages(order, frozenset())]
        unresolved += _complaints(order)
    for slot, schema in sorted(schemas.items()):
        digest = hashlib.sha256(schema.encode()).hexdigest()[:32]
        parts.append(Part(kind="schema", name=f"schema {slot}", digest=digest))
    for name, digest in sorted(inputs.items()):
        parts.append(Part(kind="input", name=f"input {name}", digest=digest))
    parts.append(Part(kind="seed", name="seed", digest=repr(seed)))
    kept, reasons = _distinct(parts), tuple(dict.fromkeys(unresolved))
    return Key(digest=None if reasons else _digest(kept), parts=kept, unresolved=reasons)


def _digest(parts: Iterable[Part]) -> str:
    content = repr((_FORMAT, decisive(parts)))
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _shown(order: list[Record]) -> list[Part]:
    parts = [part_of(record) for record in order]
    return [part for part in parts if part is not None]


def _packages(order: list[Record], artifacts: frozenset[str]) -> list[Part]:
    modules = artifacts.union(*(record.kernel for record in order))
    packages = set[Installed]().union(*(record.packages for record in order))
    found = {}
    if modules:
        within = kernel.reach(modules)
        packages |= within.packages
        found["headrace"] = within.version
    for package in packages:
        for installed in with_dependencies(package):
            found[installed.name] = installed.version
    return [Part(kind="package", name=name, digest=found[name]) for name in sorted(found)]


def _complaints(order: list[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for record in order for text in record.unresolved))


def _annotated_kernel(function: FunctionType) -> frozenset[str]:
    """Return the kernel modules that a signature names.

    A body calls methods of its artifacts, whose classes its instructions do not name: only the
    annotations do.
    """
    found = set()
    for annotation in function.__annotations__.values():
        names = _WORD.findall(annotation) if isinstance(annotation, str) else ()
        for value in [annotation, *(function.__globals__.get(name) for name in names)]:
            module = getattr(value, "__module__", None)
            if isinstance(module, str) and module.partition(".")[0] == "headrace":
                found.add(module)
    return frozenset(found)


def _distinct(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(dict.fromkeys(parts))


@functools.cache
def _python() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = sys.implementation.name
    return version if name == "cpython" else f"{name} {version}"
