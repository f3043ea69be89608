"""This module reads a class: its bases, its attributes, and what a library makes of them."""

from __future__ import annotations

import abc
import contextlib
import enum
import sys
import types
from typing import TYPE_CHECKING, Any

from headrace.identity import origins
from headrace.identity.graph import Edge, Record
from headrace.identity.origins import Owner
from headrace.identity.values import Writer

if TYPE_CHECKING:
    from headrace.identity.memo import Memo

_IGNORED = frozenset(
    {
        "__doc__",
        "__module__",
        "__qualname__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__slotnames__",
        "__abstractmethods__",
        "_abc_impl",
        "__parameters__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__static_attributes__",
        "__firstlineno__",
    }
)
_ENUM_MADE = frozenset(
    {
        "_member_map_",
        "_member_names_",
        "_value2member_map_",
        "_unhashable_values_",
        "_member_type_",
        "_use_args_",
        "_new_member_",
        "_value_repr_",
        "_generate_next_value_",
        "__new__",
        "_flag_mask_",
        "_singles_mask_",
        "_all_bits_",
        "_boundary_",
        "_inverted_",
        "_hashable_values_",
    }
)
_PYDANTIC_MADE = frozenset(
    {
        "__class_vars__",
        "__private_attributes__",
        "__signature__",
        "model_fields",
        "model_computed_fields",
        "__fields__",
        "model_config",
        "__fields_set__",
    }
)


def fill_class(record: Record, cls: type, memo: Memo) -> None:
    """Fill the record of a class: by name when it is not the user's, else by all it says."""
    origin = origins.of_class(cls, memo.roots)
    name = record.name
    if not origin.followed:
        record.content = repr(("class", name)).encode()
        record.packages |= origin.packages
        if origin.owner is Owner.KERNEL:
            record.kernel.add(cls.__module__)
            return
        patches = memo.patches(cls)
        if patches:
            record.content = repr(("class", name, [attribute for attribute, _ in patches])).encode()
            record.edges += [Edge(memo.of_function(function), False) for _, function in patches]
        return
    record.kind, record.label = "class", (repr(cls.__name__), "")
    record.extras = {"doc": repr(cls.__doc__), "place": name}
    writer = Writer(record, memo, f"the class '{name}'")
    writer.values("class", cls.__name__, *cls.__bases__)
    writer.value(type(cls))
    if isinstance(cls, abc.ABCMeta):
        # what was registered as a subclass answers `isinstance`
        registered = [entry() for entry in abc._get_dump(cls)[0]]  # type: ignore[attr-defined]
        writer.unordered("registered", [(item,) for item in registered if item is not None])
    if _is_compiled(cls):
        writer.opaque("is compiled, not Python")
    skipped = _IGNORED | _special(writer, cls)
    for attribute, value in sorted(vars(cls).items()):
        if attribute not in skipped and not attribute.startswith("__pydantic"):
            _attribute(writer, cls, attribute, value)
    record.content = writer.digest()


def _attribute(writer: Writer, cls: type, name: str, value: Any) -> None:
    # `__repr__` is wrapped once more, against recursion
    code = getattr(getattr(value, "__wrapped__", value), "__code__", None)
    if code is not None and code.co_qualname.startswith("__create_fn__."):
        return  # made by `dataclasses` from the fields, which are written
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
        writer.tag("slot", name)
        return
    writer.tag("attribute", name)
    writer.value(value)


def _special(writer: Writer, cls: type) -> frozenset[str]:
    """Write what a metaclass or decorator made; return the attributes that are covered by it."""
    if issubclass(cls, enum.Enum):
        members = cls.__members__
        writer.values("members", *((name, m._value_) for name, m in members.items()))
        return _ENUM_MADE | frozenset(members)
    if "__pydantic_fields__" in vars(cls) or "__pydantic_core_schema__" in vars(cls):
        if "__dataclass_fields__" in vars(cls):
            _dataclass(writer, cls)
        _pydantic(writer, cls)
        return _PYDANTIC_MADE
    if issubclass(cls, tuple) and "_field_defaults" in vars(cls):
        # collections.namedtuple and typing.NamedTuple make methods from the fields
        fields: tuple[str, ...] = vars(cls).get("_fields", ())
        writer.values("named tuple", fields, vars(cls)["_field_defaults"])
        _annotations(writer, cls)
        made = (name for name, value in vars(cls).items() if _named_tuple_made(value))
        return frozenset((*fields, *made, "_fields", "_field_defaults", "__match_args__"))
    if "__dataclass_fields__" in vars(cls):
        _dataclass(writer, cls)
        return frozenset()
    _annotations(writer, cls)
    return frozenset()


def _dataclass(writer: Writer, cls: Any) -> None:
    writer.tag("dataclass", repr(cls.__dataclass_params__))
    annotations = annotations_of(cls)
    for name, field in vars(cls)["__dataclass_fields__"].items():
        flags = (field.init, field.repr, field.hash, field.compare, field.kw_only)
        writer.values("field", name, flags, field._field_type.name, dict(field.metadata))
        writer.values("default", field.default, field.default_factory)
        writer.value(annotations.get(name, field.type))


def _pydantic(writer: Writer, cls: Any) -> None:
    for name, field in vars(cls).get("__pydantic_fields__", {}).items():
        writer.values("field", name, field)
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None)
    writer.mapping("config", dict(config or {}), ordered=False)
    private = vars(cls).get("__private_attributes__") or {}
    for name, attribute in private.items():
        writer.values("private", name, attribute)
    made = vars(cls).get("__pydantic_decorators__")
    for group in getattr(made, "__dataclass_fields__", ()):
        for name, decorator in getattr(made, group).items():
            function = getattr(decorator.func, "__func__", decorator.func)
            writer.tag("decorator", f"{group} {name} {decorator.cls_var_name}")
            writer.values("how", decorator.info, function)


def _annotations(writer: Writer, cls: type) -> None:
    for name, annotation in annotations_of(cls).items():
        writer.values("annotation", name, annotation)


def annotations_of(cls: type) -> dict[str, object]:
    """Return a class's own annotations, evaluated where that is possible.

    An annotation may name a constant, as in `Annotated[float, Col(unit=UNIT)]`, so its text alone
    would not tell when that changes.
    """
    module = sys.modules.get(cls.__module__)
    namespace = dict(vars(module)) if module is not None else {}
    found: dict[str, object] = {}
    written = vars(cls).get("__annotations__")
    for name, annotation in written.items() if isinstance(written, dict) else ():
        found[name] = annotation
        if isinstance(annotation, str):
            # a name that only type checkers know leaves the text, which is all there is
            with contextlib.suppress(Exception):
                found[name] = eval(annotation, namespace, dict(vars(cls)))  # noqa: S307
    return found


def _named_tuple_made(value: object) -> bool:
    function = getattr(value, "__func__", value)
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return str(name).startswith("namedtuple_") or name == "collections"


def _is_compiled(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return str(getattr(module, "__file__", "") or "").endswith((".so", ".pyd"))
