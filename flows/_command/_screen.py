"""This module writes to the terminal: lines, JSON, tables, and what is going on meanwhile."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Activity(Protocol):
    """This shows what is going on."""

    def line(self, text: str) -> None:
        """Write a line that stays."""

    def doing(self, text: str) -> None:
        """Replace what is said to be going on; shown on a terminal only."""

    def happening(self, text: str) -> None:
        """Write a line about what is going on; where `doing` shows it, nothing."""


def write(text: str = "") -> None:
    """Write a line to standard output, at once."""
    print(text, flush=True)


def write_json(value: Any) -> None:
    """Write a value as indented JSON."""
    write(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def write_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows in aligned columns, under their heads; None is shown as an empty cell."""
    cells = [list(heads), *(["" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write("  ".join(padded).rstrip())


@contextmanager
def activity() -> Iterator[Activity]:
    """Show what is going on until the block ends: a moving line on a terminal, else lines only."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.console import Console

    console = Console(highlight=False)
    with console.status("") as moving:

        class _Moving:
            def line(self, text: str) -> None:
                console.print(text, markup=False)

            def doing(self, text: str) -> None:
                moving.update(text)

            def happening(self, text: str) -> None:
                """Say nothing: the moving line says it."""

        yield _Moving()


class _Lines:
    def line(self, text: str) -> None:
        write(text)

    def doing(self, text: str) -> None:
        """Say nothing: in a file, a line for each moment is noise."""

    def happening(self, text: str) -> None:
        write(text)
