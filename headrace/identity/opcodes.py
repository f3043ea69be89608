"""This module says what each instruction of CPython 3.11 does to the symbols on the stack."""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING

from headrace.identity.bytecode import Instruction
from headrace.identity.literals import literal
from headrace.identity.symbols import (
    CALLED,
    COMPUTED,
    IMPORTED,
    IMPORTS_CONSTANT,
    NAMED,
    NULL,
    OPTIONAL,
    Cells,
    Const,
    Inner,
    Path,
    Root,
    Symbol,
)

if TYPE_CHECKING:
    from headrace.identity.analysis import Entry, Interpreter

# Attributes that lead from any object to code that the instructions do not name.
SOURCE_ATTRIBUTES = frozenset(
    {
        "__globals__",
        "__builtins__",
        "__subclasses__",
        "f_globals",
        "f_locals",
        "f_back",
        "f_builtins",
        "f_code",
        "f_lineno",
        "gi_frame",
        "cr_frame",
        "ag_frame",
        "tb_frame",
        "tb_lineno",
        "co_filename",
        "co_firstlineno",
        "co_linetable",
        "co_lnotab",
        "co_lines",
        "co_positions",
        "co_code",
        "co_consts",
        "__loader__",
        "__spec__",
    }
)
# Attributes and functions that ask code for what is not part of what it does.
READING_ATTRIBUTES = {
    "__doc__": "doc",
    "getdoc": "doc",
    "__annotations__": "annotations",
    "get_type_hints": "annotations",
    "get_annotations": "annotations",
    "signature": "annotations",
    "getfullargspec": "annotations",
    "__signature__": "annotations",
    "__module__": "place",
    "__qualname__": "place",
}
_POPS = {
    "BINARY_OP": 2,
    "BINARY_SUBSCR": 2,
    "COMPARE_OP": 2,
    "IS_OP": 2,
    "CONTAINS_OP": 2,
    "CHECK_EG_MATCH": 2,
    "PREP_RERAISE_STAR": 2,
    "MATCH_CLASS": 3,
}
_POPS |= dict.fromkeys(
    {
        "UNARY_POSITIVE",
        "UNARY_NEGATIVE",
        "UNARY_NOT",
        "UNARY_INVERT",
        "GET_ITER",
        "GET_YIELD_FROM_ITER",
        "LIST_TO_TUPLE",
        "UNPACK_SEQUENCE",
        "UNPACK_EX",
        "YIELD_VALUE",
        "ASYNC_GEN_WRAP",
        "GET_AWAITABLE",
        "GET_AITER",
        "BEFORE_WITH",
        "BEFORE_ASYNC_WITH",
        "PUSH_EXC_INFO",
        "CHECK_EXC_MATCH",
        "RETURN_VALUE",
    },
    1,
)
_POPS_ARGUMENTS = frozenset(
    {"BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING", "BUILD_SLICE"}
)
_CLASS_BODY_NAMES = frozenset({"__module__", "__qualname__", "__doc__"})
_LOCALS = frozenset({"locals", "vars", "dir"})
_ATTRIBUTE_CALLS = frozenset({"getattr", "hasattr"})


def pops(name: str, argument: int, effect: int) -> int:
    """Return how many values an instruction takes off the stack."""
    if name in _POPS_ARGUMENTS:
        return argument
    if name == "BUILD_MAP":
        return 2 * argument
    if name == "BUILD_CONST_KEY_MAP":
        return argument + 1
    if name == "FORMAT_VALUE":
        return 2 if argument & 0x04 else 1
    return _POPS.get(name, max(0, -effect))


def operand(run: Interpreter, instruction: Instruction) -> tuple[object, ...]:
    """Return what an instruction works on, in a form that does not depend on numbering."""
    op, arg = instruction.op, instruction.arg
    if op in dis.hasname:
        return (run.code.co_names[arg],)
    if op in dis.haslocal or op in dis.hasfree:
        return (run.variable(run.names[arg]),)
    if op in dis.hascompare:
        return (dis.cmp_op[arg],)
    return (arg,) if op >= dis.HAVE_ARGUMENT else ()


def _load_const(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    value = run.code.co_consts[instruction.arg]
    # the code of an inner function is told where the function is made
    run.tokens.append(None if isinstance(value, CodeType) else ("const", literal(value)))
    run.push(stack, Const(value))


def _load_variable(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    name = run.names[instruction.arg]
    run.emit("load", run.variable(name))
    run.push(stack, run.load(name))


def _load_closure(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    # CPython orders captured variables by name: the order is told by their first use instead
    run.tokens.append(None)
    run.push(stack, Cells((run.names[instruction.arg],)))


def _build_tuple(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    items = stack[-instruction.arg :] if instruction.arg else []
    cells = [symbol for symbol, _ in items if isinstance(symbol, Cells)]
    if cells and len(cells) == len(items):
        del stack[-instruction.arg :]
        names = tuple(name for cell in cells for name in cell.names)
        run.push(stack, Cells(names), items[0][1])
        return
    run.emit("BUILD_TUPLE", instruction.arg)
    start = run.consume(stack, instruction.arg)
    run.push(stack, None, start)


def _store_variable(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    name = run.names[instruction.arg]
    run.emit("store", run.variable(name))
    symbol, _ = stack.pop()
    run.store(name, symbol)


def _load_global(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    root = Root("global", run.code.co_names[instruction.arg >> 1])
    run.emit("LOAD_GLOBAL", instruction.arg & 1, root)
    if instruction.arg & 1:
        run.push(stack, NULL)
    run.push(stack, Path(root))


def _load_name(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    # in the body of a class a name may be the class's own or a global: it counts as both
    name = run.code.co_names[instruction.arg]
    run.emit("LOAD_NAME", name)
    run.push(stack, Path(Root("global", name)))


def _store_name(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    name = run.code.co_names[instruction.arg]
    symbol, start = stack.pop()
    if name in _CLASS_BODY_NAMES:
        run.drop(start, len(run.tokens))
        return
    run.emit("STORE_NAME", name)
    run.escape(symbol)


def _return_generator(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    # `dis.stack_effect` leaves out the value that the generator is first resumed with
    run.emit("RETURN_GENERATOR")
    run.push(stack, None)


def _push_null(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    run.emit("PUSH_NULL")
    run.push(stack, NULL)


def _load_attribute(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    name = run.code.co_names[instruction.arg]
    method = instruction.name == "LOAD_METHOD"
    run.emit("LOAD_METHOD" if method else "LOAD_ATTR", name)
    run.attribute(name)
    symbol, start = stack.pop()
    if isinstance(symbol, Path):
        if method:
            run.push(stack, NULL, start)
        run.push(stack, symbol.extended(name), start)
        return
    run.escape(symbol)
    stack.extend([(None, start)] * (1 + method))


def _import_name(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    (names, _), (level, start) = stack.pop(), stack.pop()
    whole = isinstance(names, Const) and bool(names.value)
    dots = level.value if isinstance(level, Const) and isinstance(level.value, int) else 0
    name = run.code.co_names[instruction.arg]
    root = Root("import", name, dots, whole)
    run.emit("IMPORT_NAME", root)
    run.escape(Path(root), IMPORTED)
    run.push(stack, Path(root), start)


def _import_from(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    name = run.code.co_names[instruction.arg]
    run.emit("IMPORT_FROM", name)
    symbol, start = stack[-1]
    run.push(stack, symbol.extended(name) if isinstance(symbol, Path) else None, start)


def _pop_top(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    run.emit("POP_TOP")
    symbol, _ = stack.pop()
    # a module that an import leaves on the stack goes nowhere; other values did have an effect
    if not isinstance(symbol, Path) or symbol.root.kind != "import":
        run.escape(symbol)


def _copy(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    run.emit("COPY", instruction.arg)
    stack.append(stack[-instruction.arg])


def _swap(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    run.emit("SWAP", instruction.arg)
    stack[-1], stack[-instruction.arg] = stack[-instruction.arg], stack[-1]


def _keyword_names(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    run.emit("KW_NAMES", literal(run.code.co_consts[instruction.arg]))
    run.keywords = True


def _call(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    flags = NAMED if run.keywords else CALLED
    keywords, run.keywords = run.keywords, False
    run.emit("CALL", instruction.arg)
    taken = stack[len(stack) - instruction.arg - 2 :]
    del stack[len(stack) - instruction.arg - 2 :]
    symbols = [symbol for symbol, _ in taken]
    # either NULL and a callable, or a callable and its first argument
    callee, *arguments = symbols[1:] if symbols[0] is NULL else symbols
    if isinstance(callee, Path) and callee.root.name in _LOCALS and not (arguments or keywords):
        run.locals_by_name = True
    result = None if keywords else _known_call(run, callee, arguments)
    if result is None:
        run.escape(callee, flags)
        for symbol in arguments:
            run.escape(symbol)
    run.push(stack, result, taken[0][1])


def _known_call(run: Interpreter, callee: Symbol, arguments: list[Symbol]) -> Symbol:
    """Follow `getattr(module, "name")` and `import_module("name")`; return what they yield."""
    if not isinstance(callee, Path) or not arguments:
        return None
    name = (callee.root.name, *callee.attributes)[-1]
    if name in _ATTRIBUTE_CALLS and not callee.attributes and len(arguments) > 1:
        return _known_getattr(run, callee, arguments)
    first = arguments[0]
    if name in ("import_module", "__import__") and len(arguments) == 1 and isinstance(first, Const):
        run.escape(callee, IMPORTS_CONSTANT)
        whole = name == "import_module"
        return Path(Root("import", str(first.value), 0, whole))
    return None


def _known_getattr(run: Interpreter, callee: Path, arguments: list[Symbol]) -> Symbol:
    owner, name, *default = arguments
    if not isinstance(name, Const) or not isinstance(name.value, str):
        if isinstance(owner, Path):
            run.escape(owner, COMPUTED)
        return None
    run.attribute(name.value)
    if not isinstance(owner, Path):
        return None
    run.shadowable.add(callee.root.name)
    run.escape(callee, CALLED)
    for symbol in default:
        run.escape(symbol)
    found = owner.extended(name.value)
    if callee.root.name == "hasattr":
        run.escape(found, NAMED | OPTIONAL)
        return Const(None)
    if default:
        run.escape(found, OPTIONAL)
    return found


def _make_function(run: Interpreter, instruction: Instruction, stack: list[Entry]) -> None:
    flags = instruction.arg
    symbol, start = stack.pop()
    captured: tuple[str, ...] = ()
    if flags & 0x08:
        cells, start = stack.pop()
        captured = cells.names if isinstance(cells, Cells) else ()
    if flags & 0x04:
        # annotations are for readers and type checkers; so are those of functions in modules
        _, annotations = stack.pop()
        run.drop(annotations, start)
        start = annotations
    values = bool(flags & 0x02) + bool(flags & 0x01)
    start = run.consume(stack, values) if values else start
    code = symbol.value if isinstance(symbol, Const) else None
    if not isinstance(code, CodeType):
        run.remark("makes a function from code that is made at run time")
        run.push(stack, None, start)
        return
    analysis = run.analysis_of(code)
    inner = Inner(len(run.inner))
    run.inner.append((inner, analysis))
    numbers = tuple(run.variable(name) for name in analysis.free if name in captured)
    run.emit("MAKE_FUNCTION", flags & 0x03, analysis.digest, numbers)
    run.push(stack, inner, start)


SPECIAL: dict[str, Callable[[Interpreter, Instruction, list[Entry]], None]] = {
    "LOAD_CONST": _load_const,
    "LOAD_FAST": _load_variable,
    "LOAD_DEREF": _load_variable,
    "LOAD_CLASSDEREF": _load_variable,
    "LOAD_CLOSURE": _load_closure,
    "BUILD_TUPLE": _build_tuple,
    "STORE_FAST": _store_variable,
    "STORE_DEREF": _store_variable,
    "LOAD_GLOBAL": _load_global,
    "LOAD_NAME": _load_name,
    "STORE_NAME": _store_name,
    "RETURN_GENERATOR": _return_generator,
    "PUSH_NULL": _push_null,
    "LOAD_ATTR": _load_attribute,
    "LOAD_METHOD": _load_attribute,
    "IMPORT_NAME": _import_name,
    "IMPORT_FROM": _import_from,
    "POP_TOP": _pop_top,
    "COPY": _copy,
    "SWAP": _swap,
    "KW_NAMES": _keyword_names,
    "CALL": _call,
    "MAKE_FUNCTION": _make_function,
}
