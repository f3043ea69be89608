"""This module writes any value as bytes and references, exactly or not at all.

Two values that code could tell apart differ; what has no such form (locks, open files, context
variables, modules) is said to be opaque, and leaves the node that uses it uncached.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import logging
import re
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace.identity import adapters, origins
from headrace.identity.graph import Edge, Record
from headrace.identity.literals import scalar, token
from headrace.identity.opaque import GATEWAYS
from headrace.identity.origins import Owner

if TYPE_CHECKING:
    from headrace.identity.memo import Memo

# What an object holds as a number, text or container, whatever its class makes of it.
_PLAIN: dict[type, Callable[[Any], object]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    list: lambda value: list(list.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}
_COPIED = {
    "__doc__": "doc",
    "__module__": "place",
    "__qualname__": "place",
    "__annotations__": "annotations",
}
_HEAP_TYPE = 1 << 9


class Writer:
    """This writes one value into a record.

    Args:
        record: Where references, packages and complaints go.
        memo: What the plan knows already.
        place: What holds the value, for complaints.
        ordered: Whether the order of dictionaries counts: it does for code, which may iterate; it
            does not for parameters, which are JSON objects.
    """

    def __init__(self, record: Record, memo: Memo, place: str, *, ordered: bool = True) -> None:
        self.record = record
        self.memo = memo
        self.place = place
        self.ordered = ordered
        self.plain = True  # nothing but numbers, text and containers so far
        self.out: list[bytes] = []
        self.edges: list[Edge] = record.edges
        self.active: dict[int, int] = {}

    def digest(self) -> bytes:
        """Return the digest of what was written."""
        return hashlib.sha256(b"".join(self.out)).digest()

    def value(self, value: object) -> None:
        """Write a value of any kind."""
        written = scalar(value)
        if written is not None:
            self.out.append(written)
            return
        if id(value) in self.memo.opaque:
            name, reason = self.memo.opaque[id(value)]
            self.opaque(f"holds {name}, which {reason}")
            return
        if id(value) in self.active:
            self.plain = False
            self.out.append(token(b"cycle", b"%d" % (len(self.active) - self.active[id(value)])))
            return
        self.active[id(value)] = len(self.active)
        try:
            self._compound(value)
        except RecursionError:
            self.opaque("is nested too deeply to be hashed")
        except Exception as error:
            # other people's objects may refuse anything, even to say what they are
            kind = type(value)
            name = f"{kind.__module__}.{kind.__qualname__}"
            self.opaque(f"holds a {name}, which cannot be read ({type(error).__name__})")
        finally:
            del self.active[id(value)]

    def edge(self, record: Record, *, named: bool = True) -> None:
        """Write a reference."""
        self.plain = False
        self.out.append(b"edge ")
        self.edges.append(Edge(record, named))

    def tag(self, tag: str, text: str = "") -> None:
        """Write a word that says what comes next."""
        self.plain = False
        self.out.append(token(tag.encode(), text.encode("utf-8", "backslashreplace")))

    def values(self, tag: str, *values: object) -> None:
        """Write a tagged sequence of values."""
        self.tag(tag, str(len(values)))
        for value in values:
            self.value(value)

    def opaque(self, what: str) -> None:
        """Say that the value cannot be hashed."""
        self.tag("opaque", what)
        self.record.unresolved.append(f"{_capital(self.place)} {what}.")

    def readable(self, value: object) -> str:
        """Return plain data as Python would write it, in an order that is not chance."""
        if type(value) is dict:
            items = [f"{self.readable(k)}: {self.readable(v)}" for k, v in value.items()]
            return "{" + ", ".join(items if self.ordered else sorted(items)) + "}"
        if isinstance(value, set | frozenset):
            items = sorted(map(self.readable, value))
            name = type(value).__name__
            return f"{name}({{{', '.join(items)}}})" if items else f"{name}()"
        if isinstance(value, tuple):
            items = list(map(self.readable, value))
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.readable, value))}]"
        return repr(value)

    # -- containers -------------------------------------------------------------------------------

    def _compound(self, value: Any) -> None:
        kind = type(value)
        if kind is tuple or kind is list:
            self.out.append(token(kind.__name__.encode(), b"%d" % len(value)))
            for item in value:
                self.value(item)
        elif kind is dict:
            self.mapping("dict", value, ordered=self.ordered)
        elif kind is set or kind is frozenset:
            self.unordered(kind.__name__, [(item,) for item in value])
        else:
            self._object(value)

    def mapping(self, tag: str, value: dict[Any, Any], *, ordered: bool) -> None:
        """Write the items of a dictionary."""
        if not ordered:
            self.unordered(tag, list(value.items()))
            return
        self.out.append(token(tag.encode(), b"%d" % len(value)))
        for key, item in value.items():
            self.value(key)
            self.value(item)

    def unordered(self, tag: str, items: list[tuple[object, ...]]) -> None:
        """Write groups of values in an order that depends only on what they are."""
        self.out.append(token(tag.encode(), b"%d" % len(items)))
        written = []
        for item in items:
            part = Writer(self.record, self.memo, self.place, ordered=self.ordered)
            part.edges, part.active = [], self.active
            for value in item:
                part.value(value)
            targets = repr([edge.record.name for edge in part.edges])
            written.append((b"".join(part.out), targets, part))
        for content, _, part in sorted(written, key=lambda entry: entry[:2]):
            self.out.append(token(b"item", content))
            self.edges.extend(part.edges)
            self.plain &= part.plain

    # -- everything else --------------------------------------------------------------------------

    def _object(self, value: Any) -> None:
        self.plain = False
        for kind, write in _KINDS:
            if isinstance(value, kind):
                write(self, value)
                return
        if type(value).__name__ == "cython_function_or_method":
            _builtin(self, value)
            return
        adapter = adapters.adapter_for(value)
        if adapter is not None:
            adapter(self, value)
            return
        origin = origins.of_class(type(value), self.memo.roots)
        body = getattr(value, "body", None)
        if origin.owner is Owner.KERNEL and isinstance(body, types.FunctionType):
            self.edge(self.memo.of_function(body))  # an operator, called within a body
        elif origin.owner in (Owner.FIRST_PARTY, Owner.KERNEL):
            self._instance(value)
        else:
            self.reduced(value)

    def _instance(self, value: Any) -> None:
        """Write an object whose class is read: all of its state, whatever it says to pickle."""
        cls = type(value)
        self.edge(self.memo.of_class(cls))
        state = object.__getstate__(value)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        computed = {
            name
            for base in cls.__mro__
            for name, item in vars(base).items()
            if isinstance(item, functools.cached_property)
        }
        merged = self._undocumented({**(attributes or {}), **(slots or {})})
        kept = {name: item for name, item in merged.items() if name not in computed}
        # a class of the user's may iterate what it holds; a model is still data
        outside, self.ordered = self.ordered, self.ordered or not _is_model(cls)
        self.values("state", *(part for name in sorted(kept) for part in (name, kept[name])))
        self.ordered = outside
        self._hidden_state(value)

    def _hidden_state(self, value: Any) -> None:
        """Write what an object inherits from a type that is written in C."""
        if isinstance(value, BaseException):
            self.values("arguments", *value.args)
            return
        for base, plain in _PLAIN.items():
            if isinstance(value, base):
                self.value(plain(value))
        bases = [base for base in type(value).__mro__ if not base.__flags__ & _HEAP_TYPE]
        if any(base is not object and base not in _PLAIN for base in bases):
            self.reduced(value)

    def reduced(self, value: Any) -> None:
        """Write an object of other people's class, as pickle would take it apart."""
        cls = type(value)
        self.edge(self.memo.of_class(cls))
        try:
            parts = value.__reduce_ex__(4)
        except Exception:
            self.opaque(f"holds a {cls.__module__}.{cls.__qualname__}, whose state cannot be read")
            return
        if isinstance(parts, str):
            self._global(value, parts)
            return
        function, arguments, state, items, pairs = (*parts, None, None, None)[:5]
        self.value(function)
        self.value(arguments)
        self.value(self._undocumented(state))
        self.values("items", *(items or ()))
        pairs = [tuple(pair) for pair in pairs or ()]
        if pairs and not self.ordered and "OrderedDict" not in cls.__name__:
            self.unordered("pairs", pairs)
        else:
            self.values("pairs", *pairs)

    def _undocumented(self, state: Any) -> Any:
        # `functools.update_wrapper` copies from what is wrapped what does not change its results
        if type(state) is not dict or "__doc__" not in state:
            return state
        extras = self.record.extras
        for name, reading in _COPIED.items():
            extras[reading] = extras.get(reading, "") + repr(state.get(name))
        return {name: item for name, item in state.items() if name not in _COPIED}

    def _global(self, value: object, name: str) -> None:
        import pickle

        module = pickle.whichmodule(value, name)  # type: ignore[attr-defined]
        found: object = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not value:
            self.opaque(f"holds '{name}', which is no name of a module")
            return
        origin = self.memo.origin_of(module)
        self.edge(self.memo.leaf("global", module, name, origin=origin))


def _is_model(cls: type) -> bool:
    return hasattr(cls, "__pydantic_fields__")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _function(writer: Writer, value: types.FunctionType) -> None:
    registry = getattr(value, "registry", None)
    if isinstance(registry, types.MappingProxyType) and hasattr(value, "dispatch"):
        # functools.singledispatch: which class goes to which function, in whatever order
        writer.unordered("singledispatch", list(registry.items()))
        return
    writer.edge(writer.memo.of_function(value))


def _class(writer: Writer, value: type) -> None:
    writer.edge(writer.memo.of_class(value))


def _module(writer: Writer, value: types.ModuleType) -> None:
    origin = origins.of_module(value, writer.memo.roots)
    if origin.followed or value.__name__ in GATEWAYS:
        writer.opaque(f"holds the module '{value.__name__}', of which any part may be used")
    else:
        kernel = value.__name__ if origin.owner is Owner.KERNEL else ""
        writer.edge(writer.memo.leaf("module", value.__name__, origin=origin, kernel=kernel))


def _builtin(writer: Writer, value: types.BuiltinFunctionType) -> None:
    owner = getattr(value, "__self__", None)
    if isinstance(owner, types.ModuleType) or owner is None:
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        origin = writer.memo.origin_of(module)
        if origin is None or origin.followed:
            writer.opaque(f"holds {module}.{value.__name__}, which is compiled, not Python")
        else:
            name = value.__qualname__
            writer.edge(writer.memo.leaf("builtin", module, name, origin=origin))
        return
    writer.tag("bound builtin", value.__name__)
    writer.value(owner)


def _bound(writer: Writer, value: types.MethodType) -> None:
    writer.values("bound", value.__self__, value.__func__)


def _descriptor(writer: Writer, value: Any) -> None:
    writer.tag("descriptor", value.__name__)
    writer.value(value.__objclass__)


def _slot_method(writer: Writer, value: Any) -> None:
    writer.tag("slot method", value.__name__)
    writer.value(value.__self__)


def _wrapping(*names: str) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        writer.values(type(value).__name__, *(getattr(value, name) for name in names))

    return write


def _pattern(writer: Writer, value: re.Pattern[Any]) -> None:
    writer.values("pattern", value.pattern, value.flags)


def _member(writer: Writer, value: enum.Enum) -> None:
    writer.edge(writer.memo.of_class(type(value)))
    writer.values("member", value._name_, value._value_)


def _logger(writer: Writer, value: logging.Logger) -> None:
    # what is logged is no result
    writer.tag("logger")


def _proxy(writer: Writer, value: types.MappingProxyType[Any, Any]) -> None:
    writer.mapping("proxy", dict(value), ordered=writer.ordered)


_CACHED_FUNCTION = type(functools.lru_cache(lambda: None))
_KINDS: tuple[tuple[Any, Callable[[Writer, Any], None]], ...] = (
    (types.FunctionType, _function),
    (type, _class),
    (types.ModuleType, _module),
    (types.MethodType, _bound),
    (types.BuiltinFunctionType, _builtin),
    (
        (
            types.MethodDescriptorType,
            types.WrapperDescriptorType,
            types.ClassMethodDescriptorType,
            types.GetSetDescriptorType,
            types.MemberDescriptorType,
        ),
        _descriptor,
    ),
    (types.MethodWrapperType, _slot_method),
    (property, _wrapping("fget", "fset", "fdel")),
    ((staticmethod, classmethod), _wrapping("__func__")),
    (functools.cached_property, _wrapping("func", "attrname")),
    (_CACHED_FUNCTION, _wrapping("__wrapped__")),
    (re.Pattern, _pattern),
    (enum.Enum, _member),
    (logging.Logger, _logger),
    (types.MappingProxyType, _proxy),
)
