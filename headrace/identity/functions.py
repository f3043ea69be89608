"""This module joins what a function's code says with the values that its names have now."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from headrace.identity import opaque, origins
from headrace.identity.analysis import analyse, words
from headrace.identity.graph import Edge, Record
from headrace.identity.origins import Owner
from headrace.identity.symbols import (
    CALLED,
    COMPUTED,
    IMPORTED,
    IMPORTS_CONSTANT,
    NAMED,
    OPTIONAL,
    Analysis,
    Root,
    Use,
)
from headrace.identity.values import Writer

if TYPE_CHECKING:
    from headrace.identity.memo import Memo

_MISSING = object()
_WHOLE_MODULE = frozenset({"__dict__", "__getattr__", "__getattribute__", "__class__"})


def fill_function(record: Record, function: FunctionType, memo: Memo) -> None:
    """Fill the record of a function: by name when it is not the user's, else by all it reaches."""
    origin = origins.of_function(function, memo.roots)
    module = str(function.__globals__.get("__name__", "?"))
    if not origin.followed:
        _fill_foreign(record, function, module, origin, memo)
        return
    name = record.name
    analysis = analyse(function.__code__)
    record.kind = "code"
    record.label = (f"{function.__name__!r} {analysis.label}", analysis.label)
    record.reads = analysis.reads
    record.extras = {
        "doc": repr(function.__doc__),
        "annotations": repr(function.__annotations__),
        "place": name,
    }
    for remark in analysis.remarks:
        record.unresolved.append(f"'{name}' (line {remark.line}) {remark.text}.")
    writer = Writer(record, memo, f"a default or attribute of '{name}'")
    writer.out.append(analysis.digest)
    keywords = function.__kwdefaults__ or {}
    order = function.__code__.co_varnames
    writer.value(function.__defaults__)
    writer.values("keywords", *((order.index(n), keywords[n]) for n in sorted(keywords)))
    writer.value(vars(function))
    Linker(record, function, analysis, memo, writer).link()
    record.content = writer.digest()


def _fill_foreign(
    record: Record, function: FunctionType, module: str, origin: origins.Origin, memo: Memo
) -> None:
    code = function.__code__
    record.packages |= origin.packages
    if origin.owner is Owner.KERNEL:
        record.kernel.add(module)
    writer = Writer(record, memo, f"the function '{module}.{code.co_qualname}'")
    writer.tag("function", f"{module}.{code.co_qualname}")
    if function.__closure__ and function.__globals__.get(function.__name__) is not function:
        # made for the user by a library, around what the user gave it
        writer.values("made with", function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__:
            writer.value(_cell(cell))
    record.content = writer.digest()


def _cell(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty cell"


class Linker:
    """This resolves all names that one function uses."""

    def __init__(
        self,
        record: Record,
        function: FunctionType,
        analysis: Analysis,
        memo: Memo,
        writer: Writer,
    ) -> None:
        self.record = record
        self.function = function
        self.analysis = analysis
        self.memo = memo
        self.writer = writer
        self.cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        )

    def link(self) -> None:
        """Resolve every use, in order, and write what it stands for."""
        scanned = set(self.analysis.words) if self.analysis.scans else set()
        for unit in self.analysis.units:
            self.writer.tag("unit", str(len(unit)))
            for use in unit:
                self.writer.tag("use", f"{use.slot} {len(use.path.attributes)}")
                value = self.resolve(use)
                if self.analysis.scans and isinstance(value, str):
                    scanned |= words(value)
        for name in sorted(self.analysis.attributes):
            extension = self.memo.extension(name)
            if extension is not None:
                self.writer.values("extension", name, extension)
        for name in sorted(scanned):
            value = self.function.__globals__.get(name, _MISSING)
            if isinstance(value, FunctionType | type):
                if self._is_own(value):
                    self.writer.values("named in text", name, value)
            elif value is not _MISSING and not isinstance(value, ModuleType):
                self.writer.tag("named in text", name)
                self.constant(self.function.__globals__, name, self.module, value)

    @property
    def module(self) -> str:
        """Name of the module whose globals the function has."""
        return str(self.function.__globals__.get("__name__", "?"))

    def complain(self, use: Use, what: str) -> None:
        """Say that a use cannot be seen through."""
        self.writer.tag("opaque", what)
        self.record.unresolved.append(f"'{self.record.name}' (line {use.line}) {what}.")

    def refer(self, record: Record, *, named: bool = True) -> None:
        """Write a reference to what a use stands for."""
        self.writer.edge(record, named=named)

    # -- from a root to a value -------------------------------------------------------------------

    def resolve(self, use: Use) -> object:
        """Write what a use stands for; return the value, where that is known."""
        root = use.path.root
        if root.kind == "import":
            return self._imported(use, root)
        if root.kind == "free":
            cell = self.cells.get(root.name)
            value = _MISSING if cell is None else _cell(cell)
            return self._walk(use, value, self.function, f"{self.record.name}.{root.name}")
        namespace = self.function.__globals__
        if root.name in namespace:
            value = namespace[root.name]
            return self._walk(use, value, namespace, f"{self.module}.{root.name}")
        value = getattr(builtins, root.name, _MISSING)
        if value is _MISSING:
            self.complain(use, f"uses '{root.name}', which has no value yet")
            return None
        return self._value(use, value, vars(builtins), f"builtins.{root.name}")

    def _walk(self, use: Use, value: object, holder: object, name: str) -> object:
        """Follow attributes as long as they lead from module to module."""
        root = use.path.root
        if root.name in self.analysis.shadowable and not self.memo.is_builtin(root.name, value):
            self.complain(use, f"has a '{root.name}' of its own, which is taken for Python's")
            return None
        attributes = list(use.path.attributes)
        while isinstance(value, ModuleType) and attributes:
            module, attribute = value, attributes.pop(0)
            origin = origins.of_module(module, self.memo.roots)
            name = f"{module.__name__}.{attribute}"
            if not origin.followed and origin.owner is not Owner.KERNEL:
                self._foreign(use, module, attribute, attributes)
                return None
            if attribute in _WHOLE_MODULE:
                self.complain(use, f"reads '{attribute}' of the module '{module.__name__}'")
                return None
            holder, value = vars(module), _attribute(module, attribute)
            if value is _MISSING and "__getattr__" in vars(module):
                holder, value = vars(module), vars(module)["__getattr__"]
                attributes.clear()
        return self._value(use, value, holder, name)

    def _foreign(self, use: Use, module: ModuleType, attribute: str, rest: list[str]) -> None:
        """Write a name of a library, unless the user's own code was put there."""
        name = ".".join((module.__name__, attribute, *rest))
        value = _attribute(module, attribute)
        for part in rest:
            if not isinstance(value, ModuleType):
                break
            value = _attribute(value, part)
        if id(value) in self.memo.opaque or name in opaque.REASONS:
            if use.flags & ~IMPORTED != IMPORTS_CONSTANT:
                _, reason = self.memo.opaque.get(id(value), (name, opaque.REASONS.get(name)))
                self.complain(use, f"uses {name}, which {reason}")
            return
        if isinstance(value, FunctionType | type) and self._is_own(value):
            self._value(use, value, module, name)
            return
        origin = origins.of_module(module, self.memo.roots)
        self._plain_state(name, value)
        self.refer(self.memo.leaf("library", name, origin=origin))
        if isinstance(value, type):
            for patched, function in self.memo.patches(value):
                self.writer.tag("patched", patched)
                self.refer(self.memo.of_function(function))

    def _plain_state(self, name: str, value: object) -> None:
        """Write a setting of a library, which the user's code may have changed.

        What the library says of itself, such as `__version__`, is left to its distribution: it is
        not known while the library is not loaded, and a key does not depend on that.
        """
        if name.rpartition(".")[2].startswith("__"):
            return
        if isinstance(value, bool | int | float | str | bytes | dict | list | set):
            record = Record()
            writer = Writer(record, self.memo, name)
            writer.value(value)
            if writer.plain:
                self.writer.out.append(writer.digest())

    def _is_own(self, value: FunctionType | type) -> bool:
        if isinstance(value, type):
            return origins.of_class(value, self.memo.roots).followed
        return origins.of_function(value, self.memo.roots).followed

    def _imported(self, use: Use, root: Root) -> object:
        name = self._absolute(root)
        top = name.partition(".")[0]
        origin = self.memo.origin_of(top)
        if origin is None:
            self.writer.tag("not installed", name)
            return None
        if origin.followed or origin.owner is Owner.KERNEL:
            if use.flags == IMPORTED:
                return None
            try:
                module = importlib.import_module(name)
            except Exception as error:
                self.complain(use, f"imports '{name}', which fails: {type(error).__name__}")
                return None
            found = module if root.whole else sys.modules[top]
            if root.whole and use.path.attributes and not hasattr(found, use.path.attributes[0]):
                # `from package import module` imports the module
                with contextlib.suppress(ImportError):
                    importlib.import_module(f"{name}.{use.path.attributes[0]}")
            return self._walk(use, found, module, name)
        # a library is not imported for this: what it is does not depend on whether it is loaded
        start = name if root.whole else top
        full = ".".join((start, *use.path.attributes))
        if full in opaque.REASONS and use.flags & ~IMPORTED != IMPORTS_CONSTANT:
            self.complain(use, f"uses {full}, which {opaque.REASONS[full]}")
        elif start in sys.modules and use.path.attributes:
            first, *rest = use.path.attributes
            self._foreign(use, sys.modules[start], first, rest)
        elif not use.path.attributes and use.flags & (NAMED | COMPUTED) and full in opaque.GATEWAYS:
            self.complain(use, f"hands on the module '{full}', of which any part may be used")
        else:
            self.refer(self.memo.leaf("library", full, origin=origin))
        return None

    def _absolute(self, root: Root) -> str:
        if not root.level:
            return root.name
        namespace = self.function.__globals__
        package = namespace.get("__package__") or self.module.rpartition(".")[0]
        base = package.rsplit(".", root.level - 1)[0] if root.level > 1 else package
        return f"{base}.{root.name}" if root.name else base

    # -- from a value to a record -----------------------------------------------------------------

    def _value(self, use: Use, value: object, holder: object, name: str) -> object:
        if value is _MISSING and use.flags & OPTIONAL:
            self.writer.tag("absent")
        elif value is _MISSING:
            self.complain(use, f"uses '{name}', which has no value yet")
        elif id(value) in self.memo.opaque:
            if use.flags & ~IMPORTED != IMPORTS_CONSTANT:
                what, reason = self.memo.opaque[id(value)]
                self.complain(use, f"uses {what}, which {reason}")
        elif isinstance(value, ModuleType):
            self._module(use, value)
        elif isinstance(value, FunctionType) and not hasattr(value, "registry"):
            self.refer(self.memo.of_function(value), named=use.flags & ~CALLED != 0)
        elif isinstance(value, type):
            self.refer(self.memo.of_class(value))
        elif self.memo.is_builtin(name.rpartition(".")[2], value):
            self.refer(self.memo.leaf("builtin", name.rpartition(".")[2]))
        else:
            key = name.rpartition(".")[2]
            self.constant(holder, key, name.rpartition(".")[0], value)
        return value

    def constant(self, holder: object, key: str, owner: str, value: object) -> None:
        """Write a reference to a value that is neither function, class nor module."""
        self.record_edge(self.memo.of_constant(holder, key, f"{owner}.{key}", value))

    def record_edge(self, record: Record) -> None:
        """Write a reference to a constant."""
        self.writer.out.append(b"constant ")
        self.record.edges.append(Edge(record, False))

    def _module(self, use: Use, module: ModuleType) -> None:
        origin = origins.of_module(module, self.memo.roots)
        if origin.followed and use.flags & COMPUTED:
            self.complain(
                use, f"picks an attribute of the module '{module.__name__}' by a computed name"
            )
        elif origin.followed or (module.__name__ in opaque.GATEWAYS and use.flags != IMPORTED):
            self.complain(
                use, f"hands on the module '{module.__name__}', of which any part may be used"
            )
        else:
            kernel = module.__name__ if origin.owner is Owner.KERNEL else ""
            self.refer(self.memo.leaf("module", module.__name__, origin=origin, kernel=kernel))


def _attribute(module: object, name: str) -> object:
    found = vars(module).get(name, _MISSING) if isinstance(module, ModuleType) else _MISSING
    if found is _MISSING and isinstance(module, ModuleType):
        return sys.modules.get(f"{module.__name__}.{name}", _MISSING)
    return found
