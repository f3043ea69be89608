"""This module reads a code object once: what it does, in a form that ignores how it is written.

The instructions are walked as a program would run them, with symbols on the stack. What comes out
does not depend on lines, names of local variables, the order of blocks, or jumps that only lead to
jumps. It depends on nothing but the code object, so it is kept as long as that lives.
"""

from __future__ import annotations

import dis
import hashlib
import re
import weakref
from collections import deque
from itertools import accumulate
from types import CodeType

from headrace.identity import opcodes
from headrace.identity.bytecode import Handler, Instruction, decode, line_of
from headrace.identity.symbols import (
    CALLED,
    NAMED,
    Analysis,
    Inner,
    Path,
    Remark,
    Root,
    Symbol,
    Use,
)

Entry = tuple[Symbol, int]  # a symbol, and the token at which its expression starts
Token = tuple[object, ...]

_UNKNOWN: Entry = (None, -1)
_SKIPPED = frozenset(
    {"NOP", "RESUME", "MAKE_CELL", "COPY_FREE_VARS", "PRECALL", "EXTENDED_ARG", "CACHE"}
)
_JUMP_ONLY = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"})
_TERMINAL = frozenset({"RETURN_VALUE", "RAISE_VARARGS", "RERAISE"})
_CONDITIONAL = re.compile("POP_JUMP|JUMP_IF|FOR_ITER|SEND")
_TRUTH = frozenset({"JUMP_IF_TRUE", "JUMP_IF_FALSE"})
_MEANINGFUL_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x200  # *args, **kwargs, generator, coroutines
_WORD = re.compile(r"[^\W\d]\w*")
# these let a string name a variable: `frame.query("delay > @limit")`, `duckdb.sql("from flights")`
_STRINGS_NAME_VARIABLES = frozenset({"query", "eval", "sql", "execute", "evaluate"})

_ANALYSES: dict[int, tuple[weakref.ref[CodeType], Analysis]] = {}


def analyse(code: CodeType) -> Analysis:
    """Return what the code says; worked out once in the life of the code object."""
    known = _ANALYSES.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    analysis = Interpreter(code).analysis()
    key = id(code)
    _ANALYSES[key] = (weakref.ref(code, lambda _: _ANALYSES.pop(key, None)), analysis)
    return analysis


class Interpreter:
    """This walks one code object with symbols for values."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.program = decode(code)
        self.tokens: list[Token | None] = []
        self.stacks: dict[int, list[Entry]] = {}
        self.place: dict[int, int] = {}  # instruction → its token
        self.queue: deque[tuple[int, list[Entry]]] = deque([(0, [])])
        self.variables: dict[str, int] = {}
        self.slots: dict[Root, int] = {}
        self.stores = self._count_stores()
        self.bound: dict[str, Symbol] = {}
        self.read_early: set[str] = set()
        self.events: list[tuple[int, Path, int, int]] = []  # token, path, flags, offset
        self.inner: list[tuple[Inner, Analysis]] = []
        self.keywords = False
        self.locals_by_name = False
        self.attributes: set[str] = set()
        self.reads: set[str] = set()
        self.shadowable: set[str] = set()
        self.remarks: list[Remark] = []
        self.offset = 0

    def analysis(self) -> Analysis:
        """Walk all blocks and sum up."""
        for name in self.code.co_varnames[: _parameters(self.code)]:
            self.variable(name)
        while self.queue:
            index, stack = self.queue.popleft()
            self._block(index, stack)
        return self._summary()

    # -- walking ------------------------------------------------------------------------------

    def _block(self, index: int, stack: list[Entry]) -> None:
        queued = True
        handler: Handler | None = None
        while True:
            index = self._land(index)
            if index in self.stacks:
                if not queued:
                    self.tokens.append(("goto", _Target(index)))
                self._merge(self.stacks[index], stack)
                return
            instruction = self.program.instructions[index]
            self.stacks[index] = list(stack)
            covering = self.program.handlers[index]
            if queued or covering != handler:
                self._enter(covering)
                handler = covering
            queued = False
            self.place[index] = len(self.tokens)
            self.offset = instruction.offset
            self._step(instruction, stack)
            if instruction.name in _TERMINAL or instruction.name in _JUMP_ONLY:
                return
            index += 1

    def _land(self, index: int) -> int:
        """Return the first instruction that does something, from `index` on."""
        seen = set()
        while index not in seen:
            seen.add(index)
            instruction = self.program.instructions[index]
            if instruction.name in _JUMP_ONLY:
                index = instruction.target
            elif instruction.name in _SKIPPED:
                index += 1
            else:
                break
        return index

    def _enter(self, handler: Handler | None) -> None:
        if handler is None:
            self.tokens.append(("unguarded",))
            return
        self.tokens.append(("guarded", _Target(self._land(handler.target)), handler.depth))
        self.queue.append((handler.target, [_UNKNOWN] * handler.depth))

    def _merge(self, known: list[Entry], stack: list[Entry]) -> None:
        for (mine, _), (theirs, _) in zip(known, stack, strict=False):
            if mine != theirs:
                self.escape(mine)
                self.escape(theirs)

    def analysis_of(self, code: CodeType) -> Analysis:
        """Return what a function made inside this code does."""
        return analyse(code)

    def _step(self, instruction: Instruction, stack: list[Entry]) -> None:
        special = opcodes.SPECIAL.get(instruction.name)
        if special is not None:
            special(self, instruction, stack)
            return
        if _CONDITIONAL.match(instruction.name):
            self._branch(instruction, stack)
            return
        operand = opcodes.operand(self, instruction)
        self.emit(instruction.name, *operand)
        argument = instruction.arg if instruction.op >= dis.HAVE_ARGUMENT else None
        effect = dis.stack_effect(instruction.op, argument, jump=False)
        pops = opcodes.pops(instruction.name, instruction.arg, effect)
        start = self.consume(stack, pops)
        stack.extend([(None, start)] * (effect + pops))

    def _branch(self, instruction: Instruction, stack: list[Entry]) -> None:
        name, target = self._threaded(instruction)
        self.emit(name, _Target(target))
        if name != "SEND" and stack:
            self.escape(stack[-1][0])
        there = len(stack) - (0 if name.endswith("_OR_POP") else 1)
        here = len(stack) + dis.stack_effect(instruction.op, instruction.arg, jump=False)
        self.queue.append((target, stack[:there]))
        del stack[here:]
        stack.extend([_UNKNOWN] * (here - len(stack)))

    def _threaded(self, instruction: Instruction) -> tuple[str, int]:
        """Return what a conditional jump does, and where it leads in the end.

        The compiler shortens jumps to jumps, but only within a line of text: `a and b or c` on one
        line and on three are different instructions. So all are shortened here.
        """
        name, target = _undirected(instruction), self._land(instruction.target)
        while name.endswith("_OR_POP"):
            there = self.program.instructions[target]
            condition = name.removesuffix("_OR_POP")
            meets = _undirected(there)
            if meets == name:
                target = self._land(there.target)
            elif meets == f"POP_{condition}":
                name, target = meets, self._land(there.target)
            elif meets.removesuffix("_OR_POP").removeprefix("POP_") in _TRUTH:
                name, target = f"POP_{condition}", self._land(target + 1)
            else:
                break
        return name, target

    # -- what the instructions use ----------------------------------------------------------------

    def emit(self, *token: object) -> None:
        """Add a normalised instruction."""
        self.tokens.append(token)

    def push(self, stack: list[Entry], symbol: Symbol, start: int | None = None) -> None:
        """Put a symbol on the stack."""
        stack.append((symbol, len(self.tokens) - 1 if start is None else start))

    def consume(self, stack: list[Entry], count: int) -> int:
        """Take `count` values off the stack; return the token at which the first one starts."""
        if not count:
            return len(self.tokens) - 1
        taken = stack[-count:]
        del stack[-count:]
        for symbol, _ in taken:
            self.escape(symbol)
        return taken[0][1] if taken else -1

    def escape(self, symbol: Symbol, flags: int = NAMED) -> None:
        """Note that a value goes where it can no longer be followed."""
        if isinstance(symbol, Path):
            self.events.append((len(self.tokens) - 1, symbol, flags, self.offset))
        elif isinstance(symbol, Inner) and flags & NAMED:
            symbol.named = True

    def remark(self, text: str) -> None:
        """Note something that cannot be seen through."""
        self.remarks.append(Remark(text, line_of(self.code, self.offset)))

    def drop(self, start: int, end: int) -> None:
        """Forget the tokens of an expression, and what it used."""
        self.tokens[start:end] = [None] * (end - start)
        self.events = [event for event in self.events if not start <= event[0] < end]

    def attribute(self, name: str) -> None:
        """Note that the code asks something for an attribute of this name."""
        self.attributes.add(name)
        if name in opcodes.SOURCE_ATTRIBUTES:
            self.remark(f"reads '{name}', through which code can be reached that is not named")
        reading = opcodes.READING_ATTRIBUTES.get(name)
        if reading:
            self.reads.add(reading)

    def variable(self, name: str) -> int:
        """Return the number of a variable: the order in which variables appear."""
        return self.variables.setdefault(name, len(self.variables))

    def slot(self, root: Root) -> int:
        """Return the number of a root: the order in which roots appear."""
        return self.slots.setdefault(root, len(self.slots))

    def store(self, name: str, symbol: Symbol) -> None:
        """Remember what a variable holds, when it is assigned in one place only."""
        if self.stores.get(name, 0) != 1 or name in self.read_early:
            self.escape(symbol)
        elif symbol is not None:
            self.bound[name] = symbol

    def load(self, name: str) -> Symbol:
        """Return what a variable is known to hold."""
        if name in self.code.co_freevars:
            return Path(Root("free", name))
        if name not in self.bound:
            self.read_early.add(name)
        return self.bound.get(name)

    def _count_stores(self) -> dict[str, int]:
        counts = dict.fromkeys(self.code.co_varnames[: _parameters(self.code)], 1)
        cells = self.code.co_varnames + tuple(
            name for name in self.code.co_cellvars if name not in self.code.co_varnames
        )
        names = cells + self.code.co_freevars
        for instruction in self.program.instructions:
            if instruction.name in ("STORE_FAST", "STORE_DEREF"):
                name = names[instruction.arg]
                counts[name] = counts.get(name, 0) + 1
        for constant in self.code.co_consts:
            if isinstance(constant, CodeType):
                for name in analyse(constant).rebinds:
                    counts[name] = counts.get(name, 0) + 1
        self.names = names
        return counts

    # -- summing up -------------------------------------------------------------------------------

    def _summary(self) -> Analysis:
        free = [name for name in self.variables if name in self.code.co_freevars]
        free += sorted(set(self.code.co_freevars) - set(free))
        if "__class__" in self.code.co_freevars:  # what `super()` looks at without loading it
            self.events.append((len(self.tokens), Path(Root("free", "__class__")), CALLED, 0))
        within = [self._within(inner, analysis) for inner, analysis in self.inner]
        strings = [text for text in self.code.co_consts if isinstance(text, str)]
        scans = bool(_STRINGS_NAME_VARIABLES.intersection(self.code.co_names))
        names = tuple(self.variables) if scans or self.locals_by_name else ()
        inner = tuple((analysis.label if symbol.named else "") for symbol, analysis in self.inner)
        # names of globals do not count, only which of them are the same
        content = (_shape(self.code), self._placed_tokens(), inner, names)
        return Analysis(
            digest=hashlib.sha256(repr(content).encode("utf-8", "backslashreplace")).digest(),
            label=_label(self.code),
            units=(self._uses(), *(unit for units in within for unit in units)),
            free=tuple(free),
            rebinds=self._rebinds(),
            attributes=frozenset(self.attributes.union(*(a.attributes for _, a in self.inner))),
            reads=frozenset(self.reads.union(*(a.reads for _, a in self.inner))),
            scans=scans or any(a.scans for _, a in self.inner),
            words=words(*strings).union(*(a.words for _, a in self.inner)),
            shadowable=frozenset(self.shadowable.union(*(a.shadowable for _, a in self.inner))),
            remarks=(*self.remarks, *(remark for _, a in self.inner for remark in a.remarks)),
        )

    def _placed_tokens(self) -> list[Token]:
        numbers = list(accumulate((token is not None for token in self.tokens), initial=0))

        def placed(item: object) -> object:
            if isinstance(item, _Target):
                return "at", numbers[self.place[item.index]]
            return self.slot(item) if isinstance(item, Root) else item

        return [tuple(map(placed, token)) for token in self.tokens if token is not None]

    def _uses(self) -> tuple[Use, ...]:
        found: dict[Path, Use] = {}
        for _, path, flags, offset in sorted(self.events, key=lambda event: event[0]):
            use = found.get(path)
            if use is None:
                line = line_of(self.code, offset)
                found[path] = Use(path, flags, self.slot(path.root), line)
            else:
                found[path] = use._replace(flags=use.flags | flags)
        return tuple(found.values())

    def _within(self, inner: Inner, analysis: Analysis) -> list[tuple[Use, ...]]:
        """Return what an inner function uses, with the variables that it captures from here."""
        units = []
        for unit in analysis.units:
            uses = []
            for use in unit:
                if use.path.root.kind != "free" or use.path.root.name in self.code.co_freevars:
                    uses.append(use)
                    continue
                symbol = self.bound.get(use.path.root.name)
                if isinstance(symbol, Path):
                    path = Path(symbol.root, symbol.attributes + use.path.attributes)
                    uses.append(use._replace(path=path))
                elif isinstance(symbol, Inner) and (use.flags != CALLED or use.path.attributes):
                    symbol.named = True
            units.append(tuple(uses))
        return units

    def _rebinds(self) -> frozenset[str]:
        own = {
            self.names[instruction.arg]
            for instruction in self.program.instructions
            if instruction.name in ("STORE_DEREF", "DELETE_DEREF")
        }
        inner = {name for _, analysis in self.inner for name in analysis.rebinds}
        return frozenset((own | inner).intersection(self.code.co_freevars))


class _Target:
    """This is an instruction that a jump leads to, until its place in the tokens is known."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def _undirected(instruction: Instruction) -> str:
    return instruction.name.replace("FORWARD_", "").replace("BACKWARD_", "")


def words(*texts: str) -> frozenset[str]:
    """Return what may be names of variables in strings."""
    return frozenset(word for text in texts for word in _WORD.findall(text))


def _parameters(code: CodeType) -> int:
    stars = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _shape(code: CodeType) -> tuple[int, ...]:
    flags = code.co_flags & _MEANINGFUL_FLAGS
    return code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags


def _label(code: CodeType) -> str:
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    return repr(named)
