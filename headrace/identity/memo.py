"""This module remembers, for the length of one plan, what was found out about code and values."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType

from headrace.errors import DefinitionError
from headrace.identity import adapters, opaque, origins
from headrace.identity.classes import fill_class
from headrace.identity.functions import fill_function
from headrace.identity.graph import Record, reached
from headrace.identity.origins import Origin
from headrace.identity.parts import CodeIdentity
from headrace.identity.patches import patches_of
from headrace.identity.values import Writer

_SHORT = 60


class Memo:
    """This is what one plan has hashed already.

    Functions, classes and module state are hashed once in its life: a dictionary that a node fills
    while the plan runs does not change the keys of the nodes that come after. Use a new one for
    each plan.

    Args:
        roots: Folders whose code is followed, wherever they lie.
    """

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self.roots = tuple(str(root) for root in roots)
        self.opaque = opaque.by_identity()
        self._records: dict[int, Record] = {}
        self._constants: dict[tuple[int, str], Record] = {}
        self._leaves: dict[object, Record] = {}
        self._modules: dict[str, Origin | None] = {}
        # what is known by its `id` must stay alive as long as that is used
        self._alive: list[object] = []
        self._waiting: list[Callable[[], None]] = []
        self._extensions: dict[str, object] | None = None
        self._patches: dict[int, list[tuple[str, FunctionType]]] = {}
        self.identities: dict[int, CodeIdentity] = {}

    def with_roots(self, roots: Sequence[Path]) -> Memo:
        """Take roots that were not known when the memo was made.

        Raises:
            DefinitionError: Code was read already, with other roots.
        """
        given = tuple(str(root) for root in roots)
        if given and given != self.roots:
            if self._records:
                raise DefinitionError(
                    f"The memo has read code with roots {list(self.roots)}, not {list(given)}.",
                    remedy="Use one memo for each plan, and the same roots throughout.",
                )
            self.roots = given
        return self

    def of_function(self, function: FunctionType) -> Record:
        """Return the record of a function."""
        record = self._records.get(id(function))
        if record is None:
            module = function.__globals__.get("__name__", "?")
            record = self._remember(function, f"{module}.{function.__qualname__}")
            self._waiting.append(lambda: fill_function(record, function, self))
        return record

    def of_class(self, cls: type) -> Record:
        """Return the record of a class."""
        record = self._records.get(id(cls))
        if record is None:
            record = self._remember(cls, f"{cls.__module__}.{cls.__qualname__}")
            self._waiting.append(lambda: fill_class(record, cls, self))
        return record

    def of_constant(self, holder: object, key: str, name: str, value: object) -> Record:
        """Return the record of the value that `holder` keeps under `key`.

        Args:
            holder: The module's dictionary or the function that has the value.
            key: The variable.
            name: The variable as a reader would name it.
            value: What it holds.
        """
        record = self._constants.get((id(holder), key))
        if record is None:
            record = Record(kind="constant", name=name)
            self._constants[id(holder), key] = record
            self._alive.append(holder)
            write_value(record, value, self, f"the constant '{name}'")
        return record

    def leaf(self, *content: object, origin: Origin | None = None, kernel: str = "") -> Record:
        """Return a record that refers to nothing: a name that stands for code of others."""
        record = self._leaves.get((content, kernel))
        if record is None:
            record = Record(content=repr(content).encode("utf-8", "backslashreplace"))
            if origin is not None:
                record.packages |= origin.packages
            if kernel:
                record.kernel.add(kernel)
            self._leaves[content, kernel] = record
        return record

    def origin_of(self, module: str) -> Origin | None:
        """Return whose a module is, None when there is no such module."""
        if module not in self._modules:
            self._modules[module] = origins.of_module_name(module, self.roots)
        return self._modules[module]

    def from_here(self, record: Record) -> list[Record]:
        """Return all records from `record` on, read to the end."""
        # code is read in turns rather than within each other: chains of calls can be long
        while self._waiting:
            self._waiting.pop()()
        return reached(record)

    def extension(self, attribute: str) -> object | None:
        """Return what the user's code attached to a pandas class under this name, or None.

        A frame in a local variable has it, and nothing in the instructions says so.
        """
        if self._extensions is None:
            self._extensions = adapters.pandas_extensions(self.roots)
        return self._extensions.get(attribute)

    def patches(self, cls: type) -> list[tuple[str, FunctionType]]:
        """Return the user's functions that were put on a library's class; see `patches_of`."""
        found = self._patches.get(id(cls))
        if found is None:
            self._alive.append(cls)
            found = self._patches[id(cls)] = patches_of(cls, self.roots)
        return found

    def is_builtin(self, name: str, value: object) -> bool:
        """Return whether `value` is what Python itself calls `name`."""
        return getattr(builtins, name, None) is value

    def keep(self, value: object) -> None:
        """Keep a value alive that something is known about by its `id`."""
        self._alive.append(value)

    def _remember(self, value: object, name: str) -> Record:
        record = self._records[id(value)] = Record(name=name)
        self._alive.append(value)
        return record


def write_value(
    record: Record, value: object, memo: Memo, place: str, *, ordered: bool = True
) -> None:
    """Fill a record from a value.

    Args:
        record: The record to fill.
        value: Any value.
        memo: What the plan knows already.
        place: What holds the value, for the sentence about what cannot be hashed.
        ordered: Whether the order of dictionaries counts.
    """
    writer = Writer(record, memo, place, ordered=ordered)
    writer.value(value)
    record.content = writer.digest()
    readable = writer.plain and not record.unresolved
    text = writer.readable(value) if readable else ""
    record.shown = text if 0 < len(text) <= _SHORT else None
