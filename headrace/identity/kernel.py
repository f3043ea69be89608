"""This module digests the kernel itself, as far as an operator reaches into it.

The kernel is not followed function by function: what it holds (locks, context variables, open
stores) cannot be hashed, and what a body calls on its artifacts is not visible in its instructions.
But it may be installed in place, where its version says nothing. So each of its modules that can be
reached counts with all of its code, comments and docstrings left out; one reaches another by
importing it, at its top or inside a function.
"""

from __future__ import annotations

import dis
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from types import CodeType
from typing import NamedTuple

from headrace.identity.installed import Installed, version_of
from headrace.identity.origins import Owner, of_module_name

_IMPORT_NAME, _LOAD_CONST = dis.opmap["IMPORT_NAME"], dis.opmap["LOAD_CONST"]
_IMPORT_FROM, _STORE_NAME = dis.opmap["IMPORT_FROM"], dis.opmap["STORE_NAME"]


class Reach(NamedTuple):
    """This is the kernel as far as it is reached: a readable version, and what it imports."""

    version: str
    packages: frozenset[Installed]


@cache
def reach(modules: frozenset[str]) -> Reach:
    """Return the version of the kernel that is reached from these modules, and what it uses."""
    waiting, seen = sorted(modules), set[str]()
    packages: set[Installed] = set()
    while waiting:
        name = waiting.pop()
        module = _module(name)
        if name in seen or module is None:
            continue
        seen.add(name)
        for imported in module.imports:
            if imported.partition(".")[0] == "headrace":
                waiting.append(imported)
            else:
                origin = of_module_name(imported.partition(".")[0], ())
                if origin is not None and origin.owner is Owner.DISTRIBUTION:
                    packages |= origin.packages
    content = hashlib.sha256()
    for name in sorted(seen):
        content.update(name.encode() + b"\n")
        module = _module(name)
        content.update(module.digest if module is not None else b"")
    return Reach(f"{version_of('headrace')}+{content.hexdigest()[:12]}", frozenset(packages))


class _Module(NamedTuple):
    digest: bytes
    imports: frozenset[str]


@cache
def _module(name: str) -> _Module | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError):
        return None  # `from headrace.x import y` also offers `headrace.x.y`, which may be no module
    loader = spec.loader if spec is not None else None
    code = loader.get_code(name) if hasattr(loader, "get_code") else None  # type: ignore[union-attr]
    if spec is None or not isinstance(code, CodeType):
        return None
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    imports = frozenset(_imports(code, package))
    content = repr(_bare(code)).encode("utf-8", "backslashreplace")
    return _Module(hashlib.sha256(content).digest(), imports)


def _imports(code: CodeType, package: str) -> Iterator[str]:
    stack: list[object] = []
    module = ""
    for op, arg in _operations(code):
        if op == _LOAD_CONST:
            stack.append(code.co_consts[arg])
        elif op == _IMPORT_NAME:
            level = stack[-2] if len(stack) > 1 else 0
            module = code.co_names[arg]
            if isinstance(level, int) and level:
                base = package.rsplit(".", level - 1)[0] if level > 1 else package
                module = f"{base}.{module}" if module else base
            yield module
        elif op == _IMPORT_FROM and module.startswith("headrace"):
            yield f"{module}.{code.co_names[arg]}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant, package)


def _operations(code: CodeType) -> Iterator[tuple[int, int]]:
    raw, extended = code.co_code, 0
    for at in range(0, len(raw), 2):
        arg = raw[at + 1] | extended
        extended = arg << 8 if raw[at] == dis.EXTENDED_ARG else 0
        if raw[at]:
            yield raw[at], arg


def _bare(code: CodeType) -> tuple[object, ...]:
    """Return all of a code object but its lines, its file and its docstrings."""
    constants: list[object] = [
        _bare(constant) if isinstance(constant, CodeType) else constant
        for constant in code.co_consts
    ]
    operations = list(_operations(code))
    if constants and isinstance(constants[0], str) and (_LOAD_CONST, 0) not in operations:
        constants[0] = None
    for (first, constant), (second, name) in pairwise(operations):
        if (first, second) == (_LOAD_CONST, _STORE_NAME) and code.co_names[name] == "__doc__":
            constants[constant] = None
    frozen = tuple(sorted(map(repr, c)) if isinstance(c, frozenset) else c for c in constants)
    shape = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, frozen, shape, names, code.co_exceptiontable
