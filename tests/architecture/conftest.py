"""What the architecture tests look at: every module of the five packages, parsed once."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("headrace", "features", "operators", "serving", "flows")


@dataclass(frozen=True)
class Module:
    """One module of ours."""

    path: Path

    @property
    def name(self) -> str:
        """Its dotted name."""
        return ".".join(self.path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(
            ".__init__"
        )

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def at(self, node: ast.expr | ast.stmt) -> str:
        """The place of a node, for a message."""
        return f"{self.path.relative_to(REPOSITORY)}:{node.lineno}"

    def within(self, *packages: str) -> bool:
        """Whether it is one of these modules or packages, or lies in one."""
        return any(self.name == p or self.name.startswith(f"{p}.") for p in packages)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    return [
        Module(path)
        for package in PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if "template" not in path.parts  # files of another repository, checked in it
    ]
