"""This module reads CPython 3.11 code objects: instructions, jump targets, exception handlers."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import NamedTuple

_EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
_CACHE = 0  # in 3.11 an inline cache entry is an instruction with this opcode
_JUMPS = frozenset(dis.hasjrel)
_BACKWARD = frozenset(op for op in _JUMPS if "BACKWARD" in dis.opname[op])


class Instruction(NamedTuple):
    """This is one instruction; `target` is the index of the instruction that it may jump to."""

    op: int
    name: str
    arg: int
    offset: int
    target: int


class Handler(NamedTuple):
    """This is where an exception goes: an instruction's index, and the depth of the stack then."""

    target: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """This is a code object, decoded; `handlers` has one entry for each instruction."""

    instructions: list[Instruction]
    handlers: list[Handler | None]


def decode(code: CodeType) -> Program:
    """Decode a code object; extended arguments are folded in, inline caches left out."""
    found: list[tuple[int, int, int]] = []
    index_at: dict[int, int] = {}
    extended = 0
    raw = code.co_code
    for offset in range(0, len(raw), 2):
        op = raw[offset]
        # a jump may point at the prefix of an instruction, which then stands for it
        index_at[offset] = len(found)
        if op == _CACHE:
            continue
        arg = raw[offset + 1] | extended
        if op == _EXTENDED_ARG:
            extended = arg << 8
            continue
        extended = 0
        found.append((op, arg, offset))
    instructions = []
    for op, arg, offset in found:
        target = -1
        if op in _JUMPS:
            target = index_at[offset + 2 + 2 * (-arg if op in _BACKWARD else arg)]
        instructions.append(Instruction(op, dis.opname[op], arg, offset, target))
    return Program(instructions=instructions, handlers=_handlers(code, instructions, index_at))


def line_of(code: CodeType, offset: int) -> int:
    """Return the line of the instruction at `offset`, or that of the definition."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def _handlers(
    code: CodeType, instructions: list[Instruction], index_at: dict[int, int]
) -> list[Handler | None]:
    table: list[Handler | None] = [None] * len(instructions)
    if not code.co_exceptiontable:
        return table
    for start, end, target, depth in _exception_entries(code.co_exceptiontable):
        for index in range(index_at[start], index_at.get(end, len(instructions))):
            table[index] = Handler(index_at[target], depth)
    return table


def _exception_entries(table: bytes) -> Iterator[tuple[int, int, int, int]]:
    # Objects/exception_handling_notes.txt: start, length, target in code units, and depth << 1 |
    # lasti, each a big-endian varint of six bits a byte.
    numbers: list[int] = []
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            numbers.append(value)
            value = 0
    for at in range(0, len(numbers), 4):
        start, length, target, packed = numbers[at : at + 4]
        # the handler finds the exception, and below it the instruction's offset when asked for
        yield 2 * start, 2 * (start + length), 2 * target, (packed >> 1) + (packed & 1) + 1
