"""This module names what the reader of bytecode knows about a value on the stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# How a path is used. A function that is only called by position can be renamed, and so can its
# parameters; one that is passed on can be asked for its name (pandas names columns so).
CALLED = 1
NAMED = 2
IMPORTED = 4
IMPORTS_CONSTANT = 8
COMPUTED = 16
OPTIONAL = 32


class Root(NamedTuple):
    """This is where a path starts: a global, a variable of an enclosing function, or an import.

    Args:
        kind: "global", "free" or "import".
        name: The variable, or the module as written.
        level: Leading dots of an import.
        whole: Whether an import of `a.b` yields `a.b` rather than `a`.
    """

    kind: str
    name: str
    level: int = 0
    whole: bool = True


class Path(NamedTuple):
    """This is a chain of attributes from a root, such as `np.linalg.norm`."""

    root: Root
    attributes: tuple[str, ...] = ()

    def extended(self, name: str) -> Path:
        """Return the path to an attribute of this."""
        return Path(self.root, (*self.attributes, name))

    def __str__(self) -> str:
        return ".".join((self.root.name, *self.attributes))


class Const(NamedTuple):
    """This is a constant of the code."""

    value: object


class Cells(NamedTuple):
    """This is a tuple of variables that an inner function captures."""

    names: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Inner:
    """This is a function made by the code; `named` once its name can matter."""

    number: int
    named: bool = False


class Null(NamedTuple):
    """This is the NULL that precedes a callable on the stack."""


NULL = Null()

Symbol = Path | Const | Cells | Inner | Null | None


class Use(NamedTuple):
    """This is one thing outside of the code that the code uses, and how."""

    path: Path
    flags: int
    slot: int
    line: int


class Remark(NamedTuple):
    """This is something in the code that cannot be seen through."""

    text: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """This is what one code object says, apart from the values of the names it uses.

    Args:
        digest: Digest of the normalised instructions.
        label: The code's own name and those of its parameters.
        units: What is used by the code, then by each function within it.
        free: Captured variables in the order of their first use.
        rebinds: Captured variables that the code (or code within) assigns.
        attributes: Names of all attributes that the code reads.
        reads: What the code asks functions for: "doc", "annotations", "place".
        scans: Whether strings may name variables (as in `frame.query("delay > @limit")`).
        words: Words in the code's strings.
        shadowable: Built-in functions that were taken for what they are usually.
        remarks: What cannot be seen through.
    """

    digest: bytes
    label: str
    units: tuple[tuple[Use, ...], ...]
    free: tuple[str, ...]
    rebinds: frozenset[str]
    attributes: frozenset[str]
    reads: frozenset[str]
    scans: bool
    words: frozenset[str]
    shadowable: frozenset[str]
    remarks: tuple[Remark, ...]
